"""One look of one model at one part. Whatever goes wrong in it is a fault of this one part, never silence."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import EngineError, ImageError
from edge_runtime.domain.inspection import Inspection, InspectionFault
from edge_runtime.domain.verdict import Reason

if TYPE_CHECKING:
    from edge_runtime.detectors.port import Detector
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.inspection import MapSource
    from edge_runtime.domain.verdict import BundleIdentity
    from edge_runtime.ops.clock import Clock

_log = logging.getLogger(__name__)


def look(
    model: Detector, part_id: str, exposures: tuple[Exposure, ...], clock: Clock
) -> tuple[Inspection | InspectionFault, MapSource | None]:
    """What the model says, and its map."""
    started_ns = clock.monotonic_ns()
    identity = model.bundle.identity
    try:
        detection = model.inspect(exposures)
    except ImageError as error:
        detail = f"{error.what} ({error.action})"
        return fault(identity, part_id, Reason.IMAGE_UNEXPECTED, detail, started_ns, clock), None
    except EngineError as error:
        return fault(identity, part_id, Reason.ENGINE_ERROR, error.what, started_ns, clock), None
    except Exception as error:  # noqa: BLE001  (a crashed engine is a verdict too, whatever it throws)
        _log.error("the detector failed on %s", part_id, exc_info=True)
        what = f"{type(error).__name__}: {error}"
        return fault(identity, part_id, Reason.ENGINE_ERROR, what, started_ns, clock), None
    inspection = Inspection(part_id, detection.score, detection.source, identity, started_ns, clock.monotonic_ns())
    return inspection, detection.source


def fault(
    bundle: BundleIdentity, part_id: str, reason: Reason, detail: str, started_ns: int, clock: Clock
) -> InspectionFault:
    """That this model could not judge the part."""
    return InspectionFault(
        part_id=part_id,
        reason=reason,
        detail=detail,
        bundle=bundle,
        started_ns=started_ns,
        finished_ns=clock.monotonic_ns(),
    )
