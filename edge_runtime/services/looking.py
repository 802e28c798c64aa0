"""One look of one model at one part. Whatever goes wrong in it is a fault of this one part, never silence."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import EngineError, ImageError
from edge_runtime.domain.inspection import Inspection, InspectionFault
from edge_runtime.domain.verdict import Reason

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Frame
    from edge_runtime.domain.inspection import MapSource
    from edge_runtime.domain.part import Part
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.model_swap import Model

_log = logging.getLogger(__name__)


def look(model: Model, part: Part, frame: Frame, clock: Clock) -> tuple[Inspection | InspectionFault, MapSource | None]:
    """What the model says, and its map."""
    started_ns = clock.monotonic_ns()
    identity = model.bundle.identity
    try:
        detection = model.inspect(frame.exposures)
    except ImageError as error:
        return fault(model, part, Reason.IMAGE_UNEXPECTED, error.what, started_ns, clock), None
    except EngineError as error:
        return fault(model, part, Reason.ENGINE_ERROR, error.what, started_ns, clock), None
    except Exception as error:  # noqa: BLE001  (a crashed engine is a verdict too, whatever it throws)
        _log.error("the detector failed on %s", part.trigger.part_id, exc_info=True)
        what = f"{type(error).__name__}: {error}"
        return fault(model, part, Reason.ENGINE_ERROR, what, started_ns, clock), None
    finished_ns = clock.monotonic_ns()
    inspection = Inspection(part.trigger.part_id, detection.score, detection.source, identity, started_ns, finished_ns)
    return inspection, detection.source


def fault(model: Model, part: Part, reason: Reason, detail: str, started_ns: int, clock: Clock) -> InspectionFault:
    """That the model could not judge the part."""
    return InspectionFault(
        part_id=part.trigger.part_id,
        reason=reason,
        detail=detail,
        bundle=model.bundle.identity,
        started_ns=started_ns,
        finished_ns=clock.monotonic_ns(),
    )
