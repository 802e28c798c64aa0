"""The demo's live terminal view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.columns import Columns
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edge_runtime.domain.status import Weight
from edge_runtime.domain.verdict import Disposition

if TYPE_CHECKING:
    from rich.console import ConsoleDimensions, RenderableType

    from edge_runtime.app.demo import Demo
    from edge_runtime.domain.status import LineHealth
    from edge_runtime.domain.verdict import Verdict

ROWS = 12
BAR_CELLS = 24
WIDE_COLUMNS = 132
"""From this width on the figures stand beside the parts, else above them."""
OTHER_LINES = 31
"""Lines of everything but the rows of parts, in a narrow terminal."""
SHORT_LINES = 36
"""Below this height a narrow terminal gets the figures as plain lines: how to subscribe must stay visible."""
SHORT_OTHER_LINES = 19
"""Lines of everything but the rows of parts then, with wrapped ones."""
COLOURS = {Disposition.PASS: "green", Disposition.REVIEW: "yellow", Disposition.REJECT: "bold red"}


def render(demo: Demo, size: ConsoleDimensions) -> RenderableType:
    """The whole view at this moment, for a terminal of this size."""
    if size.width >= WIDE_COLUMNS:
        return Group(_header(demo), Columns([_parts(demo, ROWS), _figures(demo)]), _footer(demo))
    if size.height < SHORT_LINES:
        rows = max(1, min(ROWS, size.height - SHORT_OTHER_LINES))
        return Group(_header_text(demo), _figures_text(demo), _parts(demo, rows), _footer_text(demo))
    rows = max(1, min(ROWS, size.height - OTHER_LINES))
    return Group(_header(demo), _figures(demo), _parts(demo, rows), _footer(demo))


def _header(demo: Demo) -> Panel:
    return Panel(_header_text(demo), title="simulated conveyor → detector → verdict → PLC gate")


def _header_text(demo: Demo) -> Text:
    health = demo.daemon.line.health
    inspector = demo.daemon.devices.inspector
    identity = inspector.bundle.identity
    return Text.assemble(
        ("edge-runtime ", "bold"),
        (str(health.state).upper(), "bold green" if health.can_judge else "bold red"),
        f"   bundle {identity.name} {identity.version}   ",
        (_worst(health), "bold yellow"),
        ("" if identity.trust == "production" else "DEVELOPMENT BUNDLE (unsigned)", "bold yellow"),
        f"\n{inspector.engine_description}",
    )


def _worst(health: LineHealth) -> str:
    heavy = [standing for standing in health.reasons if standing.weight > Weight.NOTICE]
    more = f" and {len(heavy) - 1} more" if len(heavy) > 1 else ""
    return f"{heavy[0].reason}{more}   " if heavy else ""


def _parts(demo: Demo, rows: int) -> Table:
    table = Table(title="last parts")
    for heading, justify in (("part", "right"), ("score", "right"), ("", "left"), ("verdict", "left"), ("ms", "right")):
        table.add_column(heading, justify="right" if justify == "right" else "left", no_wrap=True)
    for verdict in reversed(demo.daemon.line.monitor.snapshot().last_verdicts[-rows:]):
        colour = COLOURS[verdict.disposition]
        table.add_row(
            str(verdict.part_sequence),
            "–" if verdict.score is None else f"{verdict.score:.3f}",
            Text(_bar(verdict), style=colour),
            Text(f"{verdict.disposition} {verdict.reason}", style=colour),
            f"{(verdict.decided_ns - verdict.triggered_ns) / 1e6:.1f}",
        )
    return table


def _bar(verdict: Verdict) -> str:
    """Score against the reject limit: the limit is at two thirds of the bar."""
    if verdict.score is None or verdict.limits.reject <= 0:
        return " " * BAR_CELLS
    cells = round(BAR_CELLS * 2 / 3 * verdict.score / verdict.limits.reject)
    return ("█" * max(0, min(BAR_CELLS, cells))).ljust(BAR_CELLS)


def _figures(demo: Demo) -> Table:
    summary = demo.summary()
    table = Table(title="line", show_header=False)
    table.add_column(justify="left")
    table.add_column(justify="right")
    rows = [
        ("parts", f"{summary.parts}"),
        ("PASS / REVIEW / REJECT", f"{summary.passed} / {summary.review} / {summary.rejected}"),
        ("rejects fired in time", f"{summary.rejects_in_time} of {summary.rejects_planned}"),
        ("missed at the gate", f"{summary.rejects_missed}"),
        ("decision p50 / p99", f"{summary.decision_p50_ms:.1f} / {summary.decision_p99_ms:.1f} ms"),
        ("trigger → PLC ack p50 / p99", f"{summary.gate_p50_ms:.1f} / {summary.gate_p99_ms:.1f} ms"),
        ("at the gate: passed / rejected", f"{summary.gate_passed} / {summary.gate_rejected}"),
        ("defective past the gate", f"{summary.defective_past_the_gate}"),
        ("good parts rejected", f"{summary.good_rejected}"),
        ("committed / published", f"{summary.committed} / {summary.published}"),
    ]
    for label, value in rows:
        table.add_row(label, value)
    return table


def _figures_text(demo: Demo) -> Text:
    summary = demo.summary()
    return Text(
        f"{summary.parts} parts: {summary.passed} PASS, {summary.review} REVIEW, {summary.rejected} REJECT; "
        f"sent {summary.published} of {summary.committed}\n"
        f"rejects fired in time {summary.rejects_in_time} of {summary.rejects_planned}; "
        f"defective past the gate {summary.defective_past_the_gate}, good rejected {summary.good_rejected}\n"
        f"p50 / p99: decision {summary.decision_p50_ms:.1f} / {summary.decision_p99_ms:.1f} ms, "
        f"PLC ack {summary.gate_p50_ms:.1f} / {summary.gate_p99_ms:.1f} ms"
    )


def _footer(demo: Demo) -> Panel:
    return Panel(_footer_text(demo))


def _footer_text(demo: Demo) -> Text:
    pages = demo.daemon.pages_port
    lines = [
        f"broker: {demo.broker.description}",
        f"subscribe in another terminal:  {demo.subscribe_command}",
    ]
    if pages is not None:
        lines.append(f"live picture: http://127.0.0.1:{pages}/preview   also /metrics and /health")
    lines.append("Ctrl-C ends it.")
    return Text("\n".join(lines))
