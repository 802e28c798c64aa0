"""What a bundle promises: its input, its detector, its limits, and how it proves itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_runtime.domain.update import ReleaseTerms
    from edge_runtime.domain.verdict import BundleIdentity, Limits

NAME_PATTERN: Final = r"^[A-Za-z0-9_.-]{1,64}$"
VERSION_PATTERN: Final = r"^[A-Za-z0-9_.+-]{1,64}$"


class DetectorKind(StrEnum):
    """Which detector runs the bundle."""

    PATCHCORE = "patchcore"
    EFFICIENTAD = "efficientad"
    GENERIC = "generic"
    RECONSTRUCTION = "reconstruction"


class Resize(StrEnum):
    """How a frame becomes the network's size. Part of the model: training and device must agree."""

    AREA = "area"
    """Pixel-area relation (antialiased when shrinking), cv2.INTER_AREA; linear when enlarging."""
    AREA_HALVED = "area_halved"
    """Halved by rounded means of 2×2 pixels while both sides are even and at least twice too long, the rest as AREA: an
    eighth of its time on a large frame."""
    LINEAR_HALVED = "linear_halved"
    """Halved likewise, the rest as LINEAR where no side then shrinks by two and a half or more, which gives at most a
    fifth of a side's pixels no weight; else as AREA."""
    LINEAR = "linear"
    """Bilinear without antialiasing, cv2.INTER_LINEAR."""
    LINEAR_ANTIALIAS = "linear_antialias"
    """Bilinear with a support that grows with the shrink factor, as PIL and torchvision antialias=True do."""
    CUBIC = "cubic"
    """Bicubic without antialiasing, coefficient −0.75: cv2.INTER_CUBIC, PyTorch's `bicubic`."""
    CUBIC_ANTIALIAS = "cubic_antialias"
    """Bicubic with a support that grows with the shrink factor, coefficient −0.5, as PIL and torchvision
    antialias=True do."""
    NEAREST = "nearest"
    """The pixel under the new pixel's centre, as PIL's NEAREST and PyTorch's `nearest-exact`."""
    NONE = "none"
    """The frame must already have the size."""


class ColourOrder(StrEnum):
    """Channel order that the graph expects."""

    RGB = "rgb"
    BGR = "bgr"
    MONO = "mono"


class Fit(StrEnum):
    """What becomes of the frame's proportions."""

    STRETCH = "stretch"
    """The whole frame is resized to `resized_px`, whatever its proportions."""
    SHORTER_SIDE = "shorter_side"
    """Proportions are kept: the shorter side becomes that of `resized_px`, as torchvision's `Resize(256)` does."""


class Layout(StrEnum):
    """Tensor layout that the graph expects."""

    NCHW = "nchw"
    NHWC = "nhwc"


@dataclass(frozen=True, slots=True)
class Tiles:
    """A grid of equally large, overlapping tiles over the inspected region; each goes through the model by itself."""

    rows: int
    columns: int
    overlap: float = 0.0
    """Share of a tile's side that it has in common with its neighbour, 0 ≤ overlap ≤ 0.5."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """From exposure to input tensor, in this order: region, colour, resize, centre crop, scale, normalise, layout.

    The frame is resized to `resized_px` (without it to height × width), of which the central height × width are kept.

    value = (pixel / (max of the pixel's dtype) · `scale` − mean) / std, per channel; with `dtype` "uint8" nothing is
    scaled and the graph does its own arithmetic (a 16-bit frame is reduced to its high byte after the resize).
    """

    tensor: str
    """Name of the graph's input."""
    height_px: int
    width_px: int
    resize: Resize
    colour: ColourOrder
    layout: Layout
    dtype: str
    """"uint8" or "float32"."""
    scale: float = 1.0
    """1.0 gives [0, 1]; 255.0 gives [0, 255]."""
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    region: tuple[int, int, int, int] | None = None
    """x, y, width, height in frame pixels that are inspected; None is the whole frame."""
    fit: Fit = Fit.STRETCH
    resized_px: tuple[int, int] | None = None
    """Height and width before the centre crop; None where nothing is cropped."""
    keep_fractions: bool = False
    """Resized pixels are not rounded: the source resizes float tensors, as torchvision does behind `ToDtype`. False:
    whole pixels, as PIL and OpenCV give them of integer images. Only with `dtype` "float32"."""
    tiles: Tiles | None = None
    """None: the whole region at once."""
    mask: str | None = None
    """Payload with a lossless grey PNG of the frame's proportions (with a region: of the frame's size): where it is 0,
    nothing is inspected."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the scores of good parts looked like, and the limits drawn from them."""

    limits: Limits
    good_scores: tuple[float, ...]
    """Held-out scores behind the limits, ascending."""
    false_reject_rate: float
    """Target that set the limits, 0…1."""
    map_range: tuple[float, float]
    """Anomaly-map values drawn as 0 % and 100 % of the heatmap's colours."""
    warnings: tuple[str, ...] = ()
    """What the converter warned of (too few images to support the rate, …)."""


@dataclass(frozen=True, slots=True)
class GoldenImage:
    """An image inside the bundle whose score the device must reproduce before the model may decide."""

    payload: str
    """Name of the payload (a lossless PNG)."""
    expected_score: float
    tolerance: float
    """Largest allowed |score − expected|."""
    disposition: str
    """Disposition it must get under the bundle's own limits."""


@dataclass(frozen=True, slots=True)
class ParityLimits:
    """How far a device may depart from the reference."""

    good_drift: float = 0.5
    """|score − reference| of a good image, as a share of the spread of good parts (95 % quantile over the images)."""
    separation_loss: float = 0.1
    """Share of its distance from the good parts that a defective image may lose or gain (largest over the images)."""
    flips: int = 0
    """Images that change between PASS and not PASS although their reference is clear of the limit."""
    map_correlation: float = 0.95
    """Lowest Pearson correlation of an anomaly map with its reference, over images that stand out (defects)."""
    image_auroc_loss: float = 0.002
    """Largest loss of image AUROC, where labels exist (or one swapped pair, where that is more)."""
    pixel_auroc_loss: float = 0.005
    """Largest loss of pixel AUROC, where masks exist."""


@dataclass(frozen=True, slots=True)
class ReferenceImage:
    """What the source model said about one image."""

    sha256: str
    """Of the image file's bytes; of a golden image, of its payload."""
    score: float
    defective: bool
    payload: str | None = None
    """The golden image's payload; None for an image that the bundle does not carry."""
    anomaly_map: str | None = None
    """Payload with the reference map: float16 `.npy`, reduced to at most 64 × 64; None where it is not kept."""


@dataclass(frozen=True, slots=True)
class ParityFigures:
    """How far one engine departs from the reference; None where there was nothing to compare."""

    engine: str
    """Name, version, precision and threads."""
    images: int
    good_drift: float | None
    separation_loss: float | None
    flips: int
    flips_near_limit: int
    """Images whose reference lies within a tenth of the good spread of the limit: any rounding may flip them."""
    map_correlation: float | None
    image_auroc_loss: float | None = None
    pixel_auroc_loss: float | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """The source model's own answers: float32, in its own runtime, with its own preprocessing."""

    source: str
    """Framework and versions that gave the answers."""
    good_median: float
    """Median reference score of good parts."""
    good_spread: float
    """Standard deviation of the reference scores of good parts, > 0."""
    limits: ParityLimits
    allowed: tuple[str, ...]
    """What was departed from all the same, in words (`--allow-loss`); empty: nothing."""
    images: tuple[ReferenceImage, ...]
    """Golden images first."""
    measured: tuple[ParityFigures, ...]
    """At conversion, one per engine that the bundle was checked on."""


@dataclass(frozen=True, slots=True)
class Requires:
    """What the device must offer."""

    runtime: str = "0"
    """Lowest version of edge_runtime."""
    engines: tuple[str, ...] = ()
    """Engines the bundle was checked on; empty means any."""
    memory_mb: int = 0


@dataclass(frozen=True, slots=True)
class PayloadRef:
    """One file inside the bundle."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelBundle:
    """A bundle's manifest, verified against its payload digests."""

    identity: BundleIdentity
    kind: DetectorKind
    input_spec: InputSpec
    graphs: Mapping[str, str]
    """Role → payload name. Roles: patchcore has `features` and `search`; the others have `model`."""
    outputs: Mapping[str, str]
    """Role → graph output name. Roles: `anomaly_map`, `score` (at least one); patchcore: `patches` and `distances`;
    reconstruction: `reconstruction`."""
    parameters: Mapping[str, float]
    """Detector parameters (see the detector's docstring): `map_sigma_px`, …"""
    calibration: Calibration
    golden: tuple[GoldenImage, ...]
    requires: Requires
    payloads: Mapping[str, PayloadRef]
    created: str
    """ISO 8601 UTC."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Free provenance: backbone, converter version, training folder's digest."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Detector parameters that are words (see the detector's docstring): `criterion`, …"""
    reference: Reference | None = None
    """None only for bundles of edge-convert 0.1."""
    revision: int = 0
    """Grows with every change of limits that leaves the weights alone."""
    release: ReleaseTerms | None = None
    """What a signed release demands of a device; None for format 0, which is never signed."""


class PayloadReader(Protocol):
    """Reads payloads of one bundle in place."""

    def read(self, name: str) -> bytes:
        """The whole payload, its digest checked.

        Raises:
            BundleError: unknown name, or the content differs from the manifest.
        """
