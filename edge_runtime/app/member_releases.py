"""Releases of the models that a line combines, while it runs: what may stand where, and what is written down of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.app.combine import refuse_doubles, refuse_shares
from edge_runtime.domain.audit import combination_activated

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.app.stages import Common
    from edge_runtime.domain.audit import Attribution
    from edge_runtime.domain.records import EventRecord
    from edge_runtime.services.model_swap import Model


def refusal(line: Common, place: int) -> Callable[[Model], None] | None:
    """What keeps a release from that place; None where a line has one model."""
    combine = line.config.recipe.combine
    if combine is None:
        return None

    def refuse(model: Model) -> None:
        others = [one for number, one in enumerate(_all(line)) if number != place]
        refuse_doubles([*(other.bundle.identity for other in others), model.bundle.identity])
        refuse_shares(combine, place, model.bundle.identity, model.recipe.limits)

    return refuse


def recorder(line: Common, place: int) -> Callable[[Model, Attribution], EventRecord | None] | None:
    """The record of a change at that place; None for the line's own model, which has one of its own."""
    combine = line.config.recipe.combine
    if combine is None or place == 0:
        return None

    def record(model: Model, by: Attribution) -> EventRecord | None:
        others = [model if number == place else one for number, one in enumerate(_all(line)) if number]
        models = [(other.bundle.identity, other.engine, other.recipe.limits) for other in others]
        return combination_activated(None, combine.rule, models, by, line.clock.wall_ns())

    return record


def _all(line: Common) -> tuple[Model, ...]:
    """The line's own, then the others."""
    return (line.models.current, *line.models.others)
