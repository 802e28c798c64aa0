"""The table of families as Markdown, from what `convert_all` measured."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HEADINGS: Final = ("family, weights of its backbone", "graph", "float32", "INT8", "MB: float32, INT8")
_BEGIN: Final = "<!-- table:"
_END: Final = "<!-- end of table -->"
_NOTHING: Final = "–"
_LONGEST_MESSAGE: Final = 300
_LINE: Final = "<br>"
"""Within a cell: figures that stand below each other keep the table narrow."""
_SMALLEST_DRIFT: Final = 0.001
_DEPARTS: Final = re.compile(r"on (\w+) it departs \((.*)\): the bundle is bound")
_OTHER_ENGINE: Final = re.compile(r"bundle \S+ is for (\w+), not for \w+.*")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One conversion of one export."""

    precision: str
    """What was asked for: fp32 or int8."""
    error: str | None = None
    """Why there is no bundle; None: there is one."""
    report: Mapping[str, Any] = field(default_factory=dict)
    """`edge-convert import --json`."""
    engines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Engine → `edge-convert parity --json` on all reference images; {"error": …} where it could not run."""


@dataclass(frozen=True, slots=True)
class Row:
    """One export."""

    title: str
    graph: str
    """Input and outputs, in words."""
    attempts: tuple[Attempt, ...] = ()
    error: str | None = None
    """Why the source framework could not export it; None: it could."""
    weights: str = _NOTHING
    """What its backbone is."""


def render(rows: Iterable[Row]) -> str:
    """A Markdown table with one row per export, in the given order; ends with a line feed."""
    lines = [_line(HEADINGS), _line("---" for _ in HEADINGS)]
    lines += [_line(_cells(row)) for row in rows]
    return "\n".join(lines) + "\n"


def replaced(document: str, table: str) -> str:
    """The document with this table between its two marks, which are comments on lines of their own.

    Raises:
        ValueError: the document has no such marks, in this order.
    """
    lines = document.splitlines(keepends=True)
    begin = next((number for number, line in enumerate(lines) if line.startswith(_BEGIN)), len(lines))
    end = next((number for number, line in enumerate(lines) if line.startswith(_END) and number > begin), None)
    if end is None:
        raise ValueError(f"the document has no lines {_BEGIN} … --> and {_END} to put the table between")
    return "".join(lines[: begin + 1]) + "\n" + table + "\n" + "".join(lines[end:])


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _cells(row: Row) -> Sequence[str]:
    family = _lines(row.title, row.weights)
    if row.error is not None:
        return (family, f"not exported: {_short(row.error)}", *[_NOTHING] * (len(HEADINGS) - 2))
    plain, whole = _attempt(row, "fp32"), _attempt(row, "int8")
    sizes = ", ".join(_size(attempt) for attempt in (plain, whole))
    graph = row.graph.replace(" → ", f" →{_LINE}").replace(", `", f",{_LINE}`")
    return (family, graph, _float32(plain), _int8(whole), sizes)


def _lines(*texts: str) -> str:
    return _LINE.join(text for text in texts if text)


def _attempt(row: Row, precision: str) -> Attempt | None:
    return next((attempt for attempt in row.attempts if attempt.precision == precision), None)


def _float32(attempt: Attempt | None) -> str:
    if attempt is None:
        return "not tried"
    return _parity(attempt) if attempt.error is None else f"not imported: {_short(attempt.error)}"


def _int8(attempt: Attempt | None) -> str:
    if attempt is None:
        return "not tried"
    if attempt.error is not None:
        return _short(attempt.error) if attempt.error.startswith("refused") else f"refused: {_short(attempt.error)}"
    kept = [str(text).split(":", 1)[0] for text in attempt.report.get("kept", ())]
    names = f"{len(kept)} kept ({', '.join(_counted(kept))})" if kept else "nothing kept"
    return _lines(f"{attempt.report['route']}, {names}{_rest(attempt)}", _speed(attempt.report), _parity(attempt))


def _rest(attempt: Attempt) -> str:
    """What is not INT8 may be bf16 instead of float32."""
    return ", the rest in bf16" if str(attempt.report.get("precision", "")).endswith("+bf16") else ""


def _speed(report: Mapping[str, Any]) -> str:
    """How long it takes where it was timed beside float32, run by run in turn."""
    timings_ms = report.get("timings_ms", {})
    taken = timings_ms.get(report.get("precision", "int8"))
    if taken is None or "fp32" not in timings_ms:
        return ""
    return f"{taken / timings_ms['fp32']:.2f} of float32's time"


def _counted(kept: Sequence[str]) -> list[str]:
    """Operations by their type, which stands in parentheses behind the node's name."""
    types = [text.rpartition("(")[2].rstrip(")") for text in kept]
    return [f"{types.count(kind)} {kind}" for kind in sorted(set(types), key=lambda kind: (-types.count(kind), kind))]


def _parity(attempt: Attempt) -> str:
    """One line per engine; engines of which the same is to be said share one."""
    said: dict[str, list[str]] = {}
    for engine, document in attempt.engines.items():
        text = _unheld(attempt, engine, document) or _figures(document, _in_import(attempt, engine))
        said.setdefault(text, []).append(engine)
    texts = [f"{' and '.join(engines)}: {text}" for text, engines in said.items()]
    return _lines(*texts, ", ".join(_labelled(attempt))) or _NOTHING


def _unheld(attempt: Attempt, engine: str, document: Mapping[str, Any]) -> str | None:
    """Why a bundle refuses this engine; None: it does not."""
    other = _OTHER_ENGINE.fullmatch(str(document.get("error", "")))
    if other is None:
        return None
    bound = f"the bundle is for {other[1]} alone"
    told = (_DEPARTS.match(str(warning)) for warning in attempt.report.get("warnings", ()))
    reason = next((found[2] for found in told if found is not None and found[1] == engine), None)
    return bound if reason is None else f"{reason}; {bound}"


def _labelled(attempt: Attempt) -> list[str]:
    """Image and pixel AUROC, the source's beside the bundle's."""
    labelled = attempt.report.get("labelled") or {}
    texts = []
    for label, kind in (("AUROC", "auroc"), ("pixel AUROC", "pixel_auroc")):
        source, device = labelled.get(f"source_{kind}"), labelled.get(f"device_{kind}")
        if source is not None and device is not None:
            texts.append(f"{label} {source:.3f} → {device:.3f}")
    return texts


def _in_import(attempt: Attempt, engine: str) -> Mapping[str, Any]:
    """What the import measured on that engine, over recorded and planted defects."""
    figures = attempt.report.get("figures") or ()
    return next((found for found in figures if str(found["engine"]).startswith(f"{engine} ")), {})


def _figures(document: Mapping[str, Any], imported: Mapping[str, Any]) -> str:
    if "error" in document:
        return _short(str(document["error"]))
    measured = document["files"] or {}
    parts = []
    if (drift := measured.get("good_drift")) is not None:
        parts.append(f"drift <{_SMALLEST_DRIFT}" if drift < _SMALLEST_DRIFT else f"drift {drift:.2g}")
    for label, name, form in (("separation", "separation_loss", ".2%"), ("flips", "flips", "d")):
        if measured.get(name) is not None:
            parts.append(f"{label} {format(measured[name], form)}")
    golden = (document.get("golden") or {}).get("parity") or {}
    for found, where in ((measured, ""), (golden, ""), (imported, " (import)")):
        if found.get("map_correlation") is not None:
            parts.append(f"maps {found['map_correlation']:.4f}{where}")
            break
    return ", ".join(parts) + ("" if document["holds"] else " — DOES NOT HOLD")


def _size(attempt: Attempt | None) -> str:
    if attempt is None or attempt.error is not None:
        return _NOTHING
    return f"{attempt.report['size_bytes'] / 1e6:.1f}"


def _short(message: str) -> str:
    text = " ".join(message.split())
    return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 1] + "…"
