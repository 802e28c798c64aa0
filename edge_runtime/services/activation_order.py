"""One trial at a time on a line that combines several models: two at once would blame each other."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from edge_runtime.decision.activation import put_off

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.domain.update import ProductStanding
    from edge_runtime.services.activation import ActivationStage
    from edge_runtime.services.activation_records import ActivationRecords


def one_at_a_time(stages: Sequence[ActivationStage]) -> None:
    """From now on each of these waits for the trials of those before it, and the first one's thread looks at all.

    A trial that may take for ever, of a model that is hardly ever asked, holds up nobody before it: it is interrupted.

    Args:
        stages: of one line, its own model's first; at least one.
    """
    for place, stage in enumerate(stages):
        stage.waits_for = partial(_waits_for, stages[:place])
    stages[0].beside = tuple(stages[1:])


def _waits_for(before: Sequence[ActivationStage]) -> str:
    """Why a place behind these may try nothing now; empty where it may."""
    for other in before:
        standing = other.standing
        is_due = standing is not None and (standing.armed or standing.trial) is not None
        if is_due or other.is_trying:
            return f"one release at a time goes on trial on this line, and now it is one of product {other.product}"
    return ""


def without_what_waits(standing: ProductStanding, why: str, records: ActivationRecords) -> ProductStanding:
    """What counts while a release that is due or on trial has to wait; said once.

    Args:
        standing: by the books.
        why: empty: nothing has to wait.
        records: where it is said.
    """
    due = standing.armed or standing.trial
    now = put_off(standing) if why and due is not None else standing
    if now is not standing and due is not None:
        records.waits(due, why)
    return now
