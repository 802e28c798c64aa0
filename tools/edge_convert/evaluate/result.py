"""What an evaluation found: plain values, from which the JSON, the report and the summary are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_convert.evaluate.dataset import Dataset
    from edge_convert.evaluate.metrics import Interval, OperatingPoint, RocCurve
    from edge_convert.evaluate.pixels import BoundedFigure
    from edge_runtime.bundles.selftest import GoldenResult
    from edge_runtime.domain.model_bundle import ModelBundle
    from edge_runtime.domain.verdict import Disposition
    from edge_runtime.ops.machine import Machine


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under what the figures were made."""

    engine: str
    """Runtime, version, precision and threads, in the engine's own words."""
    threads: int
    """As asked for; 0: as many as the process may use cores."""
    aupro_fpr: float
    """AUPRO is integrated up to this false-positive rate."""


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image. Either score, disposition and latency are set, or `fault` is."""

    file: str
    """Relative to the dataset."""
    label: str
    """`good` or the defect's name."""
    sha256: str
    """Of the file; empty if it could not be read."""
    score: float | None
    disposition: Disposition | None
    """At the bundle's own limits."""
    latency_ms: float | None
    fault: str = ""
    """Why there is no score; on the line this part follows the recipe's fail-safe."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from decoded image to score and map (prepare and infer; no decoding, no first run)."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    images: int


@dataclass(frozen=True, slots=True)
class ImageFigures:
    """Image-level figures."""

    auroc: float
    average_precision: float
    f1_max: OperatingPoint
    fnr_at_fpr5: OperatingPoint
    roc: RocCurve


@dataclass(frozen=True, slots=True)
class PixelFigures:
    """Pixel-level figures, and what they rest on."""

    auroc: BoundedFigure
    aupro: BoundedFigure
    aupro_fpr_limit: float
    images: int
    """Good images and defective ones with a mask."""
    regions: int
    """Connected regions in the masks."""


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """What the bundle's limits make of one label."""

    label: str
    passed: int
    review: int
    reject: int
    faults: int
    auroc: float | None
    """Of this defect against all good parts; None for `good`, and where there is nothing to compare."""
    lowest: float | None
    """Range of the scores; None without any."""
    highest: float | None

    @property
    def images(self) -> int:
        """All of them, faults included."""
        return self.passed + self.review + self.reject + self.faults


@dataclass(frozen=True, slots=True)
class Share:
    """A share with what it rests on."""

    hits: int
    total: int
    interval: Interval
    """95 % confidence."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything."""

    bundle: ModelBundle
    dataset: Dataset
    conditions: Conditions
    machine: Machine
    created: str
    """ISO 8601 UTC."""
    rows: tuple[ImageRow, ...]
    image: ImageFigures | None
    """None if one kind of parts gave no score at all."""
    pixel: PixelFigures | None
    """None without masks or maps."""
    pixel_note: str
    """Why there are no pixel figures, or what they leave out; empty if nothing."""
    classes: tuple[ClassCounts, ...]
    """`good` first."""
    false_pass: Share | None
    """Defects that got PASS."""
    false_reject: Share | None
    """Good parts that got REJECT."""
    not_passed: Share | None
    """Good parts that got REVIEW or REJECT: what the default recipe sends to the reject lane."""
    latency: Latency | None
    golden: tuple[GoldenResult, ...]
    """Each golden image of the bundle, scored here."""
    repeatable: bool | None
    """The first image gave the same score twice, bit for bit; None if none could be inspected."""
    problems: tuple[str, ...]
    """Masks that could not be used, images that are also in train: each names its file."""

    @property
    def faults(self) -> tuple[ImageRow, ...]:
        """Images without a score."""
        return tuple(row for row in self.rows if row.score is None)
