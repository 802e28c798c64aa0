"""The table of families as Markdown, from what `convert_all` measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HEADINGS: Final = (
    "family",
    "weights of its backbone",
    "imported",
    "graph: input → outputs",
    "float32 parity",
    "INT8 route, kept in float",
    "INT8 parity",
    "size (float32, INT8)",
)
_BEGIN: Final = "<!-- table:"
_END: Final = "<!-- end of table -->"
_NOTHING: Final = "–"
_LONGEST_MESSAGE: Final = 300


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
    if row.error is not None:
        return (row.title, row.weights, f"not exported: {_short(row.error)}", *[_NOTHING] * (len(HEADINGS) - 3))
    plain, whole = _attempt(row, "fp32"), _attempt(row, "int8")
    sizes = ", ".join(_size(attempt) for attempt in (plain, whole))
    return (row.title, row.weights, _imported(plain), row.graph, _parity(plain), _route(whole), _parity(whole), sizes)


def _attempt(row: Row, precision: str) -> Attempt | None:
    return next((attempt for attempt in row.attempts if attempt.precision == precision), None)


def _imported(attempt: Attempt | None) -> str:
    if attempt is None:
        return "not tried"
    return "yes" if attempt.error is None else f"no: {_short(attempt.error)}"


def _route(attempt: Attempt | None) -> str:
    if attempt is None:
        return "not tried"
    if attempt.error is not None:
        return _short(attempt.error) if attempt.error.startswith("refused") else f"refused: {_short(attempt.error)}"
    kept = [str(text).split(":", 1)[0] for text in attempt.report.get("kept", ())]
    names = f"{len(kept)} kept ({', '.join(_counted(kept))})" if kept else "nothing kept"
    return f"{attempt.report['route']}; {names}{_speed(attempt.report.get('timings_ms', {}))}"


def _speed(timings_ms: Mapping[str, float]) -> str:
    """How long INT8 takes where it was timed beside float32, run by run in turn."""
    if "fp32" not in timings_ms or "int8" not in timings_ms:
        return ""
    return f"; {timings_ms['int8'] / timings_ms['fp32']:.2f} of float32's time"


def _counted(kept: Sequence[str]) -> list[str]:
    """Operations by their type, which stands in parentheses behind the node's name."""
    types = [text.rpartition("(")[2].rstrip(")") for text in kept]
    return [f"{types.count(kind)} {kind}" for kind in sorted(set(types), key=lambda kind: (-types.count(kind), kind))]


def _parity(attempt: Attempt | None) -> str:
    if attempt is None or attempt.error is not None:
        return _NOTHING
    texts = [
        f"{engine}: {_figures(document, _in_import(attempt, engine))}" for engine, document in attempt.engines.items()
    ]
    return "; ".join(texts + _labelled(attempt)) or _NOTHING


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
    for label, name, form in (
        ("drift", "good_drift", ".2g"),
        ("separation", "separation_loss", ".2%"),
        ("flips", "flips", "d"),
        ("maps", "map_correlation", ".4f"),
    ):
        if measured.get(name) is not None:
            parts.append(f"{label} {format(measured[name], form)}")
    golden = (document.get("golden") or {}).get("parity") or {}
    if measured.get("map_correlation") is None:
        for found, where in ((golden, "golden images"), (imported, "import")):
            if found.get("map_correlation") is not None:
                parts.append(f"maps {found['map_correlation']:.4f} ({where})")
                break
    return ", ".join(parts) + ("" if document["holds"] else " — DOES NOT HOLD")


def _size(attempt: Attempt | None) -> str:
    if attempt is None or attempt.error is not None:
        return _NOTHING
    return f"{attempt.report['size_bytes'] / 1e6:.1f} MB"


def _short(message: str) -> str:
    text = " ".join(message.split())
    return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 1] + "…"
