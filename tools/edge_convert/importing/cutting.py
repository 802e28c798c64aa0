"""An imported PatchCore as a bundle of the kind that `teach` writes: features, memory bank, its search."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from edge_convert.bank_search import form_of, search_of
from edge_convert.convert.candidates import detector_of
from edge_convert.convert.finish import ANY_ENGINE
from edge_convert.draft import FEATURES_PAYLOAD
from edge_convert.graphs import PATCHES
from edge_convert.images import spread
from edge_convert.importing.onnx_export import outer_nodes
from edge_convert.importing.patchcore import read_patchcore
from edge_convert.importing.tail import NORMALISED_THRESHOLD
from edge_runtime.domain.errors import BundleError, ConfigError, EngineError
from edge_runtime.domain.model_bundle import DetectorKind
from edge_runtime.vision.compare import map_correlation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_convert.convert.source import ConvertOptions, SourceModel
    from edge_convert.images import ImageSet
    from edge_convert.importing.exports import Built
    from edge_convert.importing.patchcore import PatchCoreExport
    from edge_runtime.detectors.port import Detection, Detector
    from edge_runtime.domain.frame import Exposure

_IMAGES: Final = 4
_SCORE_ERROR: Final = 0.002
"""Of the score's distance, which the export computes from a difference of large squares in float32."""
_LOWEST_CORRELATION: Final = 0.999


@dataclass(frozen=True, slots=True)
class Cut:
    """What came of it."""

    source: SourceModel | None
    """None: the graph is imported as it is."""
    reason: str = ""
    """Why it could not be cut; empty where it is no PatchCore."""


def cut_patchcore(whole: SourceModel, built: Built, images: ImageSet, options: ConvertOptions) -> Cut:
    """Cut the search out of an exported PatchCore, if its parts together answer as the graph does.

    Args:
        whole: the export as one graph.
        built: the same, with the roles of its outputs.
        images: good parts, on a few of which, and on defects planted there, both are asked.
        options: of the conversion: the engine, and the form of the search.

    Raises:
        ConfigError: a form of search is wanted that such a bank cannot have.
        EngineError: the engine cannot run the graph.
    """
    if whole.engines:
        return Cut(None)
    try:
        found = read_patchcore(built)
    except ConfigError as error:
        return Cut(None, error.what)
    if found is None:
        return Cut(None)
    source = _source(whole, built, found, options)
    difference = _difference(source, whole, images, options)
    return Cut(None, difference) if difference else Cut(source)


def _source(whole: SourceModel, built: Built, found: PatchCoreExport, options: ConvertOptions) -> SourceModel:
    height, width = found.grid
    search = search_of(found.rows, height * width, found.neighbours, options.search)
    searched = "searched exactly" if form_of(search) == "exact" else "searched by a float32 graph"
    contents = {role: (name, search.payloads[name]) for role, name in search.graphs.items()}
    if found.drawing is not None:
        contents["map"] = ("map.onnx", found.drawing)
    score = found.score
    weighted = f", reweighted by {found.neighbours} neighbours" if found.neighbours > 1 else ""
    return replace(
        whole,
        model=found.features,
        kind=DetectorKind.PATCHCORE,
        outputs={"patches": PATCHES, **search.outputs},
        parameters={
            **whole.parameters,
            **search.parameters,
            "grid_height": float(height),
            "grid_width": float(width),
            "score_scale": 1.0 / score.width,
            "score_offset": NORMALISED_THRESHOLD - score.threshold / score.width,
        },
        keep_float=outer_nodes(found.features, built.input_spec.tensor),
        notes={**whole.notes, "memory_bank": f"{len(found.rows)} patches of the export, {searched}{weighted}"},
        payload=FEATURES_PAYLOAD,
        role="features",
        further=contents,
        whole=whole,
    )


def _difference(source: SourceModel, whole: SourceModel, images: ImageSet, options: ConvertOptions) -> str:
    """Where the parts answer otherwise than the graph, in words; or that they do not answer at all."""
    graph, parts = _detector(whole, options), None
    for frame in _frames(source, images, options.seed):
        expected = graph.inspect((frame,))
        try:
            parts = parts or _detector(source, options)
            said = _apart(source, parts.inspect((frame,)), expected)
        except (EngineError, BundleError) as error:
            said = f"its parts cannot be run: {error.what}"
        if said:
            return said
    return ""


def _detector(source: SourceModel, options: ConvertOptions) -> Detector:
    return detector_of(source, bytes(source.model.SerializeToString()), options, ANY_ENGINE, options.engine)


def _apart(source: SourceModel, found: Detection, expected: Detection) -> str:
    scale, offset = source.parameters["score_scale"], source.parameters["score_offset"]
    allowed = _SCORE_ERROR * abs(expected.score - offset) + 1e-6 * scale
    if not abs(found.score - expected.score) <= allowed:
        return f"its parts score {found.score:.6g} where the graph scores {expected.score:.6g}"
    if found.anomaly_map is None or expected.anomaly_map is None:
        return ""
    if float(expected.anomaly_map.max()) > float(expected.anomaly_map.min()):
        alike = map_correlation(expected.anomaly_map, found.anomaly_map)
        if not alike >= _LOWEST_CORRELATION:
            return f"its parts draw another map than the graph (they correlate by {alike:.4f})"
    return ""


def _frames(source: SourceModel, images: ImageSet, seed: int) -> Iterator[Exposure]:
    for turn, index in enumerate(spread(len(images.files), _IMAGES)):
        frame = images.load(index)
        yield frame
        yield source.plant(frame, seed + index, turn)
