"""What stands in where no model may decide: every part gets its fail-safe verdict at once; the line is not ready."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from edge_runtime.domain.errors import EngineError
from edge_runtime.services.engine_keeper import EngineKeeper

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import ModelBundle
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.model_swap import Model


class StandIn:
    """A Detector that looks at nothing."""

    def __init__(self, bundle: ModelBundle, why: str) -> None:
        self._bundle = bundle
        self._why = why

    @property
    def bundle(self) -> ModelBundle:
        """Of the model that was suspended: fault verdicts have to name one."""
        return self._bundle

    def inspect(self, exposures: tuple[Exposure, ...]) -> NoReturn:  # noqa: ARG002  (the port's)
        """See `Detector`.

        Raises:
            EngineError: always.
        """
        raise EngineError(self._why, "`edge-runtime bundle list` shows what there is; see the log for why")


def suspended(model: Model, product: str, why: str, clock: Clock) -> Model:
    """Instead of `model`, for `product`."""
    keeper = EngineKeeper(StandIn(model.bundle, why), None, clock)
    keeper.failing = why
    return replace(model, keeper=keeper, engine="none", product=product, memory_bytes=0, is_stand_in=True)
