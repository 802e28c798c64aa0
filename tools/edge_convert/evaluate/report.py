"""The evaluation as one self-contained HTML file: what a quality engineer shows an auditor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import jinja2

from edge_convert.evaluate import charts
from edge_convert.evaluate.dataset import GOOD
from edge_convert.evaluate.figures import confusion, scores_of
from edge_runtime.domain.verdict import Disposition

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_convert.evaluate.pictures import Card
    from edge_convert.evaluate.result import Evaluation, ImageRow

WORST = 6
"""Images shown of each kind."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """The worst images of one kind."""

    title: str
    text: str
    rows: tuple[ImageRow, ...]
    """Worst first."""


@dataclass(frozen=True, slots=True)
class _Shown:
    title: str
    text: str
    cards: tuple[Card, ...]


def worst_passes(rows: Sequence[ImageRow]) -> Gallery:
    """Defects that passed, lowest score first; if none did, the defects nearest to passing."""
    defects = sorted((row for row in rows if row.label != GOOD and row.score is not None), key=_score)
    passed = [row for row in defects if row.disposition is Disposition.PASS]
    if passed:
        text = f"{len(passed)} of {len(defects)} defects passed. Those with the lowest scores:"
        return Gallery("Worst false passes", text, tuple(passed[:WORST]))
    text = f"None of the {len(defects)} defects passed. Those nearest to passing:"
    return Gallery("False passes: none", text, tuple(defects[: WORST // 2]))


def worst_rejects(rows: Sequence[ImageRow]) -> Gallery:
    """Good parts that did not pass, highest score first; if all did, the good parts nearest to the limit."""
    good = sorted((row for row in rows if row.label == GOOD and row.score is not None), key=_score, reverse=True)
    stopped = [row for row in good if row.disposition is not Disposition.PASS]
    if stopped:
        text = f"{len(stopped)} of {len(good)} good parts got REVIEW or REJECT. Those with the highest scores:"
        return Gallery("Worst false rejects", text, tuple(stopped[:WORST]))
    text = f"All {len(good)} good parts passed. Those nearest to the limit:"
    return Gallery("False rejects: none", text, tuple(good[: WORST // 2]))


def render(evaluation: Evaluation, make_card: Callable[[ImageRow], Card]) -> str:
    """The page.

    Args:
        evaluation: what was found.
        make_card: turns a row into its pictures; called for the few rows that are shown.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("edge_convert.evaluate"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    limits = evaluation.bundle.calibration.limits
    good, defect = scores_of(evaluation.rows, defective=False), scores_of(evaluation.rows, defective=True)
    return environment.get_template("report.html.j2").render(
        e=evaluation,
        limits=limits,
        limited=evaluation.dataset.found > len(evaluation.dataset.samples),
        failed_golden=[result for result in evaluation.golden if not result.passed],
        histogram=charts.score_histogram(good, defect, limits),
        roc=charts.roc(evaluation.image) if evaluation.image else None,
        confusion=confusion(evaluation.classes),
        passes=_show(worst_passes(evaluation.rows), make_card),
        rejects=_show(worst_rejects(evaluation.rows), make_card),
    )


def _show(gallery: Gallery, make_card: Callable[[ImageRow], Card]) -> _Shown:
    return _Shown(gallery.title, gallery.text, tuple(make_card(row) for row in gallery.rows))


def _score(row: ImageRow) -> float:
    return row.score if row.score is not None else 0.0
