"""What a bundle promises: its input, its detector, its limits, and how it proves itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_runtime.domain.verdict import BundleIdentity, Limits


class DetectorKind(StrEnum):
    """Which detector runs the bundle."""

    PATCHCORE = "patchcore"
    EFFICIENTAD = "efficientad"
    GENERIC = "generic"


class Resize(StrEnum):
    """How a frame becomes the network's size. Part of the model: training and device must agree."""

    AREA = "area"
    """Pixel-area relation (antialiased when shrinking), cv2.INTER_AREA; linear when enlarging."""
    LINEAR = "linear"
    """Bilinear without antialiasing, cv2.INTER_LINEAR."""
    LINEAR_ANTIALIAS = "linear_antialias"
    """Bilinear with a support that grows with the shrink factor, as PIL and torchvision antialias=True do."""
    NONE = "none"
    """The frame must already have the size."""


class ColourOrder(StrEnum):
    """Channel order that the graph expects."""

    RGB = "rgb"
    BGR = "bgr"
    MONO = "mono"


class Layout(StrEnum):
    """Tensor layout that the graph expects."""

    NCHW = "nchw"
    NHWC = "nhwc"


@dataclass(frozen=True, slots=True)
class InputSpec:
    """From exposure to input tensor, in this order: crop, colour, resize, scale, normalise, layout.

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
    """Role → graph output name. Roles: `anomaly_map`, `score` (at least one); patchcore: `patches` and `distances`."""
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


class PayloadReader(Protocol):
    """Reads payloads of one bundle in place."""

    def read(self, name: str) -> bytes:
        """The whole payload, its digest checked.

        Raises:
            BundleError: unknown name, or the content differs from the manifest.
        """
