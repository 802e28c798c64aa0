"""Large frames tile by tile, and frames of which only a part is inspected."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_runtime.detectors.merge import worst_of
from edge_runtime.detectors.port import Detection
from edge_runtime.detectors.wiring import require_exposures
from edge_runtime.domain.errors import BundleError, ImageError
from edge_runtime.domain.inspection import DeferredMap, drawn
from edge_runtime.domain.model_bundle import DetectorKind, Fit
from edge_runtime.vision.anomaly_map import read_only
from edge_runtime.vision.cutting import Cutter
from edge_runtime.vision.decode import decode_image
from edge_runtime.vision.tiling import MAP_SIDE_LIMIT_PX, stitch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_runtime.detectors.port import WholeDetector
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.inspection import AnomalyMap
    from edge_runtime.domain.model_bundle import ModelBundle, PayloadReader
    from edge_runtime.vision.mask import Mask

_CONVERT_AGAIN: Final = "convert the bundle again"


class TiledDetector:
    """Cuts the region into the tiles of `InputSpec.tiles`, and leaves out what `InputSpec.mask` leaves out.

    Each tile goes through the model by itself, as if it were the frame; a tile without anything to inspect goes through
    nothing. The score is the largest of the tiles' scores. The map covers the region: the tiles' maps, the larger value
    where they overlap, 0 where nothing is inspected, its longer side at most `MAP_SIDE_LIMIT_PX`.

    PatchCore gets mid-grey where the mask is 0, so that nothing there can change a score; other models, which were not
    trained on such pictures, see the frame as it is, and only their map's values there do not count. For a graph with a
    map and a score of its own the score is the largest value of the masked map.
    """

    def __init__(self, bundle: ModelBundle, whole: WholeDetector, payloads: PayloadReader) -> None:
        """Read the mask.

        Args:
            bundle: as it was written.
            whole: runs `without_area(bundle)`.
            payloads: the bundle's.

        Raises:
            BundleError: the mask is missing, no grey PNG, too small for the region, or leaves nothing.
        """
        spec = bundle.input_spec
        mask = None if spec.mask is None else _read_mask(bundle, payloads.read(spec.mask))
        self._bundle = bundle
        self._mask_px = None if mask is None else mask.shape
        self._whole = whole
        self._cutter = Cutter(spec, mask, paint=paints(bundle.kind))

    @property
    def bundle(self) -> ModelBundle:
        """See the port."""
        return self._bundle

    @property
    def frame_px(self) -> tuple[int, int]:
        """Height and width of a frame that it accepts, for warming up."""
        spec = self._bundle.input_spec
        x, y, width, height = spec.region or (0, 0, spec.width_px, spec.height_px)
        return self._mask_px or (y + height, x + width)

    def inspect(self, exposures: tuple[Exposure, ...]) -> Detection:
        """See the port."""
        require_exposures(self._bundle, exposures)
        return worst_of([self.look(exposure) for exposure in exposures])

    def look(self, exposure: Exposure, within: Mask | None = None) -> Detection:
        """One exposure; `within`, H×W, narrows the mask for this exposure only.

        Raises:
            ImageError: the exposure does not fit region or mask, or nothing of it is inspected.
            EngineError: the engine failed.
        """
        cut = self._cutter.cut(exposure, within)
        found = [self._whole.look(piece.pixels, piece.inspected) for piece in cut.pieces]
        score = float(np.max([detection.score for detection in found]))  # NaN wins
        sources = [detection.source for detection in found if detection.source is not None]
        if len(sources) < len(found) or self._bundle.input_spec.tiles is None:
            return Detection(score, sources[0] if sources else None)
        places, width, height = [piece.place for piece in cut.pieces], cut.width, cut.height

        def draw() -> AnomalyMap:
            maps = [drawn(source) for source in sources]
            return read_only(stitch(width, height, places, maps, MAP_SIDE_LIMIT_PX))

        return Detection(score, DeferredMap(draw))


def paints(kind: DetectorKind) -> bool:
    """Whether a model of this kind was taught with mid-grey where the mask is 0."""
    return kind is DetectorKind.PATCHCORE


def without_area(bundle: ModelBundle) -> ModelBundle:
    """The bundle for one piece: without region, tiles and mask, and with a score that a mask can narrow.

    Raises:
        BundleError: tiles or mask ask for what this model cannot give.
    """
    spec = bundle.input_spec
    if spec.tiles is not None and (spec.fit is not Fit.STRETCH or spec.resized_px is not None):
        raise BundleError(
            f"bundle {bundle.identity.name} crops the middle of each tile: what lies between would never be inspected",
            "Convert it without tiles, or without the crop.",
        )
    outputs: Mapping[str, str] = bundle.outputs
    if spec.mask is not None and "score" in outputs:
        if "anomaly_map" not in outputs:
            raise BundleError(
                f"bundle {bundle.identity.name} gives one score for the whole picture: no mask can narrow it",
                "Leave the mask out, set a region instead, or take a model with an anomaly map.",
            )
        outputs = {role: name for role, name in outputs.items() if role != "score"}
    return replace(bundle, input_spec=replace(spec, region=None, tiles=None, mask=None), outputs=outputs)


def _read_mask(bundle: ModelBundle, content: bytes) -> Mask:
    name = bundle.identity.name
    try:
        image = decode_image(content)
    except ImageError as error:
        raise BundleError(f"the mask of bundle {name} is no image: {error.what}", _CONVERT_AGAIN) from error
    if image.format != "png" or image.array.ndim != 2:  # noqa: PLR2004  (H×W)
        raise BundleError(f"the mask of bundle {name} is no grey PNG", _CONVERT_AGAIN)
    mask = np.asarray(image.array > 0, dtype=np.bool_)
    inspected = mask
    if bundle.input_spec.region is not None:
        x, y, width, height = bundle.input_spec.region
        inspected = mask[y : y + height, x : x + width]
        if inspected.shape != (height, width):
            raise BundleError(f"the region of bundle {name} reaches beyond its mask", _CONVERT_AGAIN)
    if not inspected.any():
        raise BundleError(f"the mask of bundle {name} leaves nothing to inspect", _CONVERT_AGAIN)
    return mask
