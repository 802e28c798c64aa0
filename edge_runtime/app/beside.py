"""Whether this line ever compares a candidate with its model; what does it is imported where it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.app.models import ModelMaker
    from edge_runtime.app.stages import Common
    from edge_runtime.config.line import LineConfig
    from edge_runtime.services.beside import Beside
    from edge_runtime.services.rollout import RolloutService
    from edge_runtime.services.vitals import Vitals


def beside_of(config: LineConfig) -> Beside | None:
    """What the inspect stage asks and tells; None where nothing is ever compared."""
    if not config.rollout.enabled:
        return None
    from edge_runtime.services.beside import Beside  # noqa: PLC0415  (most lines never compare)

    return Beside()


def rollout_service(line: Common, maker: ModelMaker, beside: Beside | None, vitals: Vitals) -> RolloutService | None:
    """None where nothing is ever compared."""
    if beside is None:
        return None
    from edge_runtime.app.rollout import make_rollout  # noqa: PLC0415  (likewise)

    return make_rollout(line, maker, beside, vitals)
