"""From a bundle and an engine to a score and an anomaly map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.domain.model_bundle import DetectorKind

if TYPE_CHECKING:
    from edge_runtime.detectors.port import Detector, WholeDetector
    from edge_runtime.domain.model_bundle import ModelBundle, PayloadReader
    from edge_runtime.engine.port import Engine


def create(bundle: ModelBundle, payloads: PayloadReader, engine: Engine) -> Detector:
    """Load the bundle's graphs on the engine.

    Raises:
        BundleError: a payload, graph, input, output or parameter that the detector needs is missing or wrong.
        EngineError: the engine cannot load a graph.
    """
    spec = bundle.input_spec
    if spec.tiles is None and spec.mask is None:
        return _of_kind(bundle, payloads, engine)
    from edge_runtime.detectors.tiled import TiledDetector, without_area  # noqa: PLC0415

    return TiledDetector(bundle, _of_kind(without_area(bundle), payloads, engine), payloads)


def _of_kind(bundle: ModelBundle, payloads: PayloadReader, engine: Engine) -> WholeDetector:
    match bundle.kind:
        case DetectorKind.PATCHCORE:
            from edge_runtime.detectors.patchcore import PatchCoreDetector  # noqa: PLC0415

            return PatchCoreDetector(bundle, payloads, engine)
        case DetectorKind.EFFICIENTAD:
            from edge_runtime.detectors.efficientad import EfficientAdDetector  # noqa: PLC0415

            return EfficientAdDetector(bundle, payloads, engine)
        case DetectorKind.GENERIC:
            from edge_runtime.detectors.generic import GenericDetector  # noqa: PLC0415

            return GenericDetector(bundle, payloads, engine)
        case DetectorKind.RECONSTRUCTION:
            from edge_runtime.detectors.reconstruction import ReconstructionDetector  # noqa: PLC0415

            return ReconstructionDetector(bundle, payloads, engine)
