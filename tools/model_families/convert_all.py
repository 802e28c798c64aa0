"""Import every export below a folder, in float32 and INT8, check parity on both engines, and print the table.

    cd tools
    python -m model_families.convert_all EXPORTS --data DATA --work var/families > table.md

Each folder in `EXPORTS` is what `model_families.export` wrote. `--work` receives the bundles and one
`attempt.json` per export and precision, from which an interrupted run goes on; `--again NAME` converts that one once
more. `--data` is the dataset in
MVTec's folders whose `test` the references were recorded on; an export with a file `data.txt` names its own there, and
one with `flags.txt` has further options of the import in it. Options that are not known here (`--threads 1`) go to
every import.
Runs in the project's environment and needs no anomalib.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import onnx

from model_families.families import FAMILIES
from model_families.table import Attempt, Row, render, replaced

if TYPE_CHECKING:
    from collections.abc import Sequence

PRECISIONS: Final = ("fp32", "int8")
ENGINES: Final = ("onnxruntime", "openvino")
_TIMEOUT_S: Final = 7200


def model_file(export: Path) -> Path | None:
    """The exported graph in the folder."""
    return next((export / name for name in ("model.onnx", "model.xml") if (export / name).is_file()), None)


def data_of(export: Path, data: Path) -> Path:
    """The dataset on whose test images the export's reference was recorded."""
    named = export / "data.txt"
    return Path(named.read_text(encoding="utf-8").strip()) if named.is_file() else data


def flags_of(export: Path) -> list[str]:
    """Options of the import that this export needs."""
    file = export / "flags.txt"
    return file.read_text(encoding="utf-8").split() if file.is_file() else []


def describe(model: Path) -> str:
    """Inputs and outputs of the graph in words."""
    if model.suffix == ".onnx":
        graph = onnx.load(model, load_external_data=False).graph
        ends = [[(value.name, _shape(value)) for value in values] for values in (graph.input, graph.output)]
    else:
        import openvino  # noqa: PLC0415 — only for OpenVINO's own format

        network = openvino.Core().read_model(model)
        ends = [
            [
                (value.any_name, str(value.partial_shape).strip("[]").replace("?", "*").replace(",", "×"))
                for value in values
            ]
            for values in (network.inputs, network.outputs)
        ]
    inputs, outputs = (", ".join(f"`{name}` {shape}".strip() for name, shape in end) for end in ends)
    return f"{inputs} → {outputs}"


def _shape(value: onnx.ValueInfoProto) -> str:
    return "×".join(
        str(size.dim_value) if size.HasField("dim_value") else "*" for size in value.type.tensor_type.shape.dim
    )


def edge_convert(*arguments: str | Path) -> tuple[int, str]:
    """Run the product's own command.

    Returns:
        Exit code, and what it wrote to its error stream.
    """
    command = [sys.executable, "-m", "edge_convert", *map(str, arguments)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)  # noqa: S603
    except subprocess.TimeoutExpired:
        return -1, f"error: not finished after {_TIMEOUT_S} s"
    return done.returncode, done.stderr


def error_in(text: str) -> str:
    """The command's error message; without one, its last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    start = next((index for index, line in enumerate(lines) if line.startswith("error:")), len(lines) - 1)
    return " ".join(lines[start:]).removeprefix("error:").strip() if lines else "it failed without a word"


def attempt(export: Path, data: Path, work: Path, precision: str, extra: Sequence[str]) -> Attempt:
    """Import one export with one precision and check the bundle on every engine."""
    model = model_file(export)
    if model is None:
        return Attempt(precision, f"no model in {export.name}")
    bundle = work / f"{export.name}-{precision}.bundle"
    report_file = bundle.with_suffix(".json")
    options = ["--reference", export / "reference", "--images", data / "test" / "good", "--dataset", data]
    options += ["--precision", precision, *(["--even-if-slower"] if precision == "int8" else [])]
    options += [*flags_of(export), *extra]
    code, errors = edge_convert("import", model, *options, "--out", bundle, "--json", report_file)
    if code != 0:
        return Attempt(precision, error_in(errors))
    report = json.loads(report_file.read_text(encoding="utf-8"))
    return Attempt(precision, None, report, {engine: parity(bundle, data / "test", engine) for engine in ENGINES})


def parity(bundle: Path, images: Path, engine: str) -> dict[str, Any]:
    """`edge-convert parity` on all reference images."""
    figures = bundle.with_suffix(f".{engine}.json")
    figures.unlink(missing_ok=True)
    _, errors = edge_convert("parity", bundle, images, "--engine", engine, "--threads", "1", "--json", figures)
    if not figures.is_file():
        return {"error": error_in(errors)}
    document: dict[str, Any] = json.loads(figures.read_text(encoding="utf-8"))
    return document


def exports_in(folder: Path) -> list[Path]:
    """Folders with an export, in the order of `families`, variants behind their family."""
    order = [recipe.name for recipe in FAMILIES]
    found = [
        (json.loads((path / "export.json").read_text(encoding="utf-8"))["family"], path)
        for path in folder.iterdir()
        if (path / "export.json").is_file()
    ]
    return [path for _, path in sorted(found, key=lambda item: (_place(order, item[0]), item[1].name))]


def _place(order: Sequence[str], family: str) -> int:
    return order.index(family) if family in order else len(order)


def kept_attempt(export: Path, work: Path, precision: str) -> Path:
    """Where the outcome of one conversion is kept."""
    return work / f"{export.name}-{precision}.attempt.json"


def row_of(export: Path, work: Path) -> Row:
    """The table's row, from what was kept."""
    built = json.loads((export / "export.json").read_text(encoding="utf-8"))
    title = built.get("title", export.name)
    weights = built.get("weights", "–")
    if "error" in built:
        return Row(title, "", (), built["error"], weights)
    model = model_file(export)
    if model is None:
        return Row(title, "", (), "the export folder holds no model", weights)
    if model.suffix == ".xml":
        title += " (OpenVINO export)"
    kept = (kept_attempt(export, work, precision) for precision in PRECISIONS)
    attempts = (Attempt(**json.loads(file.read_text(encoding="utf-8"))) for file in kept if file.is_file())
    return Row(title, describe(model), tuple(attempts), weights=weights)


def main() -> None:
    """Convert what is not converted yet, then print the whole table."""
    parser = argparse.ArgumentParser(description="Import every export and print the table of families.")
    parser.add_argument("exports", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="dataset in MVTec's folders, of the references")
    parser.add_argument("--work", type=Path, required=True, help="receives bundles and results")
    parser.add_argument("--again", action="append", default=[], metavar="NAME", help="convert this export once more")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="convert no other export")
    parser.add_argument("--precision", action="append", choices=PRECISIONS, help="without it, all")
    parser.add_argument("--into", type=Path, help="Markdown document that receives the table between its marks")
    parser.add_argument("--table-only", action="store_true", help="print what is there, convert nothing")
    arguments, options = parser.parse_known_args()  # what is not known here goes to the import
    arguments.work.mkdir(parents=True, exist_ok=True)
    exports = exports_in(arguments.exports)
    wanted = (
        []
        if arguments.table_only
        else [export for export in exports if export.name in (arguments.only or [export.name])]
    )
    for precision in arguments.precision or PRECISIONS:
        for export in wanted:
            kept = kept_attempt(export, arguments.work, precision)
            if model_file(export) is not None and (not kept.is_file() or export.name in arguments.again):
                outcome = attempt(export, data_of(export, arguments.data), arguments.work, precision, options)
                kept.write_text(json.dumps(asdict(outcome), indent=1) + "\n", encoding="utf-8")
    table = render(row_of(export, arguments.work) for export in exports)
    if arguments.into is None:
        sys.stdout.write(table)
    else:
        arguments.into.write_text(replaced(arguments.into.read_text(encoding="utf-8"), table), encoding="utf-8")


if __name__ == "__main__":
    main()
