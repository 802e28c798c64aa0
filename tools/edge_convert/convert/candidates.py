"""A candidate model as the daemon would run it, before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_convert.convert.remembering import Remembering
from edge_convert.draft import UNCALIBRATED
from edge_runtime import detectors, engine
from edge_runtime.bundles.writer import BundleDraft, MemoryPayloads, manifest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_convert.convert.source import ConvertOptions, SourceModel
    from edge_runtime.config.engine import EngineSettings
    from edge_runtime.detectors.port import Detector
    from edge_runtime.domain.model_bundle import Calibration, GoldenImage, Reference, Requires


def draft_of(
    source: SourceModel,
    options: ConvertOptions,
    requires: Requires,
    calibration: Calibration = UNCALIBRATED,
    golden: tuple[GoldenImage, ...] = (),
    reference: Reference | None = None,
    notes: Mapping[str, str] | None = None,
    detector_options: Mapping[str, str] | None = None,
) -> BundleDraft:
    """The manifest of a converted model."""
    return BundleDraft(
        name=options.name,
        version=options.version,
        created=source.created,
        kind=source.kind,
        input_spec=source.input_spec,
        graphs=source.graphs,
        outputs=source.outputs,
        parameters=source.parameters,
        calibration=calibration,
        golden=golden,
        requires=requires,
        notes=notes or {},
        options={**source.options, **(detector_options or {})},
        reference=reference,
    )


def detector_of(
    source: SourceModel, model: bytes, options: ConvertOptions, requires: Requires, settings: EngineSettings
) -> Detector:
    """The daemon's own detector on these bytes; what it was asked before it answers from memory.

    Raises:
        EngineError: the engine is not there or cannot run the graph.
        BundleError: the graph lacks what the detector needs.
    """
    payloads = {source.payload: model, **source.payloads}
    manifest = manifest_of(draft_of(source, options, requires), payloads)
    return Remembering(detectors.create(manifest, MemoryPayloads(payloads), engine.create(settings)))
