"""Frames of other proportions than the images that a bundle was taught from: they are refused, never scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_runtime.domain.errors import ImageError
from edge_runtime.vision import png

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge_runtime.detectors.port import Detection, Detector
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import ModelBundle, PayloadReader

LARGEST_FACTOR: Final = 1.2
"""Between a frame's aspect and the nearest that was taught.

A camera switched from 4:3 to 16:9 or to a square (1.33), from a square to 5:4 (1.25), or to half its height (2) is
beyond it; parts cut out by hand, and sensors that differ by some rows (5:4 and 4:3 by 1.07, 3:2 and 16:9 by 1.19), are
within it.
"""
NARROWEST: Final = "narrowest_aspect"
WIDEST: Final = "widest_aspect"
"""Of a bundle's `parameters`: width / height of the images that it was taught from, where they differ."""
_TRANSPOSED: Final = 5
"""EXIF orientations from here on swap rows and columns."""


@dataclass(frozen=True, slots=True)
class Proportions:
    """Width / height of what a bundle was taught from."""

    narrowest: float
    """> 0."""
    widest: float
    """≥ narrowest."""
    example_px: tuple[int, int]
    """Width and height of an image that has them."""

    def hold(self, width_px: int, height_px: int) -> bool:
        """Whether a frame of this size departs by no more than `LARGEST_FACTOR`. Its scale does not matter."""
        least, most = height_px * self.narrowest, height_px * self.widest
        return least <= width_px * LARGEST_FACTOR and width_px <= most * LARGEST_FACTOR

    def fitted(self, width_px: int, height_px: int) -> tuple[int, int]:
        """This width and height where they hold, else the taught proportions with the same shorter side."""
        if self.hold(width_px, height_px):
            return width_px, height_px
        shorter_px = min(width_px, height_px)
        return round(shorter_px * max(1.0, self.narrowest)), round(shorter_px / min(1.0, self.narrowest))


def proportions_of(bundle: ModelBundle, payloads: PayloadReader) -> Proportions | None:
    """What its golden images show, which keep the proportions of the frames; and what its teacher noted.

    Returns:
        None where nothing tells: no golden image, or golden images that differ by more than `LARGEST_FACTOR` in a
        bundle that does not note how far its images went.

    Raises:
        BundleError: a golden image is missing from the bundle.
    """
    sizes = list(_sizes(bundle, payloads))
    if not sizes:
        return None
    aspects = [width / height for width, height in sizes]
    narrowest, widest = min(aspects), max(aspects)
    noted = (bundle.parameters.get(NARROWEST), bundle.parameters.get(WIDEST))
    if noted[0] is not None and noted[1] is not None:
        narrowest, widest = min(narrowest, noted[0]), max(widest, noted[1])
    elif widest > narrowest * LARGEST_FACTOR:
        return None
    return Proportions(narrowest, widest, sizes[0]) if narrowest > 0 else None


def aspects_to_note(aspects: Iterable[float]) -> dict[str, float]:
    """For a bundle's `parameters`: the range of width / height that was taught; nothing where all are the same."""
    seen = set(aspects)
    return {NARROWEST: min(seen), WIDEST: max(seen)} if len(seen) > 1 else {}


class ProportionedDetector:
    """A detector that refuses frames of other proportions than its bundle was taught from.

    Resized to the network's input they would be scored like any other, with every mark squeezed or out of the picture.
    """

    def __init__(self, detector: Detector, proportions: Proportions) -> None:
        self._detector = detector
        self._proportions = proportions

    @property
    def bundle(self) -> ModelBundle:
        """See the port."""
        return self._detector.bundle

    def inspect(self, exposures: tuple[Exposure, ...]) -> Detection:
        """See the port."""
        for exposure in exposures:
            height, width = exposure.shape[:2]
            if not self._proportions.hold(width, height):
                raise self._refusal(width, height)
        return self._detector.inspect(exposures)

    def _refusal(self, width: int, height: int) -> ImageError:
        taught, aspect = self._proportions, width / max(1, height)
        taught_range = f"{taught.narrowest:.2f}"
        if taught.widest > taught.narrowest:
            taught_range += f" to {taught.widest:.2f}"
        return ImageError(
            f"the frame is {width}×{height} pixels, {aspect:.2f} times as wide as high; bundle "
            f"{self.bundle.identity.name} was taught from images of other proportions, such as "
            f"{taught.example_px[0]}×{taught.example_px[1]} ({taught_range})",
            "set the camera's width and height to the proportions that the bundle was taught at, or teach a bundle "
            "with the present ones",
        )


def of_any_frame(detector: Detector) -> Detector:
    """Without that check: for a stopwatch, whose frames are stretched to a camera's size. Never for a verdict."""
    return detector._detector if isinstance(detector, ProportionedDetector) else detector  # noqa: SLF001


def _sizes(bundle: ModelBundle, payloads: PayloadReader) -> Iterable[tuple[int, int]]:
    for golden in bundle.golden:
        try:
            header = png.read_header(payloads.read(golden.payload))
        except ImageError:
            continue  # the self-test says so, and such a bundle decides nothing
        width, height = header.width_px, header.height_px
        if width < 1 or height < 1:
            continue
        yield (height, width) if header.orientation >= _TRANSPOSED else (width, height)
