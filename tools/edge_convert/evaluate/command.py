"""`edge-convert eval`: arguments in, files and a summary out."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from edge_convert.evaluate.assemble import evaluate
from edge_convert.evaluate.dataset import DatasetError, open_dataset
from edge_convert.evaluate.document import to_json
from edge_convert.evaluate.outputs import Outputs
from edge_convert.evaluate.result import Conditions
from edge_convert.evaluate.summary import summary
from edge_runtime.app.inspection import load_inspector
from edge_runtime.bundles.selftest import golden_self_test
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import EdgeError
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from edge_convert.evaluate.dataset import Dataset
    from edge_convert.evaluate.result import Evaluation
    from edge_runtime.app.inspection import Inspector


def register(app: typer.Typer) -> None:
    """Add the command `eval`. Exit code 0 whatever the figures are; 2 if they could not be made."""
    app.command(name="eval", help="Score a labelled dataset with a bundle: figures, JSON and an HTML report.")(_eval)


def _eval(
    bundle: Annotated[Path, typer.Argument(help="The bundle file.")],
    dataset: Annotated[
        Path, typer.Argument(help="Folder with test/good, test/<defect>, ground_truth/…, or good/ beside defects.")
    ],
    report: Annotated[Path | None, typer.Option(help="Folder for the HTML report (index.html).")] = None,
    json: Annotated[Path | None, typer.Option(help="File for the figures and every image's score.")] = None,
    engine: Annotated[Literal["auto", "onnxruntime", "openvino"], typer.Option(help="Inference engine.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, max=256, help="Engine threads; 0 takes every core.")] = 0,
    limit: Annotated[int | None, typer.Option(min=2, help="At most this many images, spread over the labels.")] = None,
    aupro_fpr: Annotated[float, typer.Option(help="AUPRO is integrated up to this false-positive rate.")] = 0.3,
) -> None:
    console = Console(stderr=True)
    try:
        if not 0 < aupro_fpr <= 1:
            raise DatasetError(f"--aupro-fpr {aupro_fpr} is not a rate above 0 and up to 1", "The usual value is 0.3.")
        outputs = Outputs(report, json)
        outputs.prepare()
        found = open_dataset(dataset, limit)
        evaluation = _run(bundle, found, EngineSettings(name=engine, threads=threads), aupro_fpr, outputs, console)
    except EdgeError as error:
        console.print(f"error: {error.diagnostics()}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error
    out = Console()
    out.print(summary(evaluation))
    for written in outputs.written():
        out.print(written, markup=False, highlight=False, soft_wrap=True)


def _run(
    bundle: Path, dataset: Dataset, engine: EngineSettings, aupro_fpr: float, outputs: Outputs, console: Console
) -> Evaluation:
    # Nothing is decided on a line here, so an unsigned bundle may be evaluated; the report says so.
    with load_inspector(bundle, engine, "development") as inspector, _progress(console) as progress:
        golden = golden_self_test(inspector.detector, inspector.bundle, inspector.payloads).results
        task = progress.add_task("inspecting", total=len(dataset.samples))
        conditions = Conditions(inspector.engine_description, engine.threads, aupro_fpr)
        evaluation = evaluate(inspector, golden, dataset, conditions, SystemClock(), lambda: progress.advance(task))
        outputs.write(lambda: _page(evaluation, inspector), lambda: to_json(evaluation))
    return evaluation


def _page(evaluation: Evaluation, inspector: Inspector) -> str:
    from edge_convert.evaluate.pictures import CardMaker  # noqa: PLC0415  (needs the extra `convert`)
    from edge_convert.evaluate.report import render  # noqa: PLC0415  (needs the extra `convert`)

    return render(evaluation, CardMaker(inspector, evaluation.dataset).make)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
