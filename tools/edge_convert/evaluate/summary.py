"""The evaluation on one terminal screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edge_convert.evaluate.figures import confusion

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edge_convert.evaluate.result import Evaluation, Share


def summary(evaluation: Evaluation) -> RenderableType:
    """Identity, key figures, confusion and what to beware of."""
    identity = evaluation.bundle.identity
    title = f"[bold]{escape(identity.name)} {escape(identity.version)}[/] on {escape(evaluation.dataset.root.name)}"
    return Group(
        Panel(
            f"[dim]{identity.digest}[/]\n{escape(evaluation.conditions.engine)} · {_machine(evaluation)}",
            title=title,
            subtitle=None if identity.trust == "production" else f"[bold white on red] {identity.trust.upper()} [/]",
            title_align="left",
            subtitle_align="left",
        ),
        _figures(evaluation),
        _confusion(evaluation),
        *(Text(f"! {line}", style="yellow") for line in _warnings(evaluation)),
    )


def _machine(evaluation: Evaluation) -> str:
    machine = evaluation.machine
    return escape(f"{machine.cpu} ({', '.join(machine.instruction_sets) or 'instruction sets unknown'})")


def _figures(evaluation: Evaluation) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2))
    image, pixel, latency = evaluation.image, evaluation.pixel, evaluation.latency
    if image:
        table.add_row("image_auroc", f"[bold]{image.auroc:.4f}[/]", "image_ap", f"{image.average_precision:.4f}")
        missed = f"{image.fnr_at_fpr5.value:.1%}"
        table.add_row("f1_max", f"{image.f1_max.value:.4f}", "fnr_at_fpr5", missed)
    if pixel:
        table.add_row("pixel_auroc", f"{pixel.auroc.value:.4f}", "aupro", f"{pixel.aupro.value:.4f}")
    if latency:
        late = f"{latency.p50_ms:.1f} / {latency.p90_ms:.1f} / {latency.p99_ms:.1f}"
        table.add_row("ms p50/p90/p99", late, "golden images", _golden(evaluation))
    table.add_row("defects passed", _share(evaluation.false_pass), "good rejected", _share(evaluation.false_reject))
    return table


def _golden(evaluation: Evaluation) -> str:
    held = sum(result.passed for result in evaluation.golden)
    text = f"{held} of {len(evaluation.golden)} hold"
    return text if held == len(evaluation.golden) and held else f"[bold red]{text}[/]"


def _share(share: Share | None) -> str:
    if share is None:
        return "–"
    return f"{share.hits} of {share.total} ({share.interval.low:.1%}–{share.interval.high:.1%})"


def _confusion(evaluation: Evaluation) -> Table:
    limits = evaluation.bundle.calibration.limits
    table = Table(title=f"limits {limits.review:.4g} / {limits.reject:.4g}", title_justify="left", title_style="dim")
    for name in ("", "PASS", "REVIEW", "REJECT", "no score"):
        table.add_column(name, justify="right" if name else "left")
    for kind, row in confusion(evaluation.classes).items():
        passed = f"[bold red]{row['PASS']}[/]" if kind == "defect" and row["PASS"] else str(row["PASS"])
        table.add_row(kind, passed, str(row["REVIEW"]), str(row["REJECT"]), str(row["fault"]))
    return table


def _warnings(evaluation: Evaluation) -> list[str]:
    lines = list(evaluation.bundle.calibration.warnings)
    if len(evaluation.dataset.samples) < evaluation.dataset.found:
        lines.append(f"only {len(evaluation.dataset.samples)} of {evaluation.dataset.found} images (--limit)")
    if evaluation.pixel_note:
        lines.append(f"pixel figures: {evaluation.pixel_note}")
    if evaluation.repeatable is False:
        lines.append("the same image gave two different scores in a row: the engine is not deterministic here")
    named = [*(f"{row.file}: {row.fault}" for row in evaluation.faults), *evaluation.problems]
    lines += named[:5]
    if len(named) > 5:  # noqa: PLR2004 (one screen)
        lines.append(f"… and {len(named) - 5} more in the report and the JSON")
    return lines
