"""What there is before EfficientAD learns: teacher, images, the area that is inspected, and unrelated pictures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_convert.convert.pieces import inspected_area
from edge_convert.efficientad.data import UnrelatedFolder, UnrelatedScenes
from edge_convert.efficientad.export import IMAGE
from edge_convert.efficientad.parts import GoodParts
from edge_convert.efficientad.teacher_file import read_teacher
from edge_convert.teaching.area import Area
from edge_convert.training.images import gather as gather_images
from edge_convert.training.images import split, subset
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import ColourOrder, InputSpec, Layout, Resize

if TYPE_CHECKING:
    from edge_convert.efficientad.data import Unrelated
    from edge_convert.efficientad.options import EfficientAdOptions
    from edge_convert.efficientad.teacher_file import Teacher
    from edge_convert.images import ImageSet
    from edge_convert.progress import Observer


@dataclass(frozen=True, slots=True)
class Material:
    """What there is before anything is learnt."""

    teacher: Teacher
    trained: ImageSet
    held_out: ImageSet
    digest: str
    """Of all images."""
    spec: InputSpec
    area: Area | None
    """Tiles and mask; None: a frame is one piece."""
    unrelated: Unrelated

    def parts(self, images: ImageSet) -> GoodParts:
        """These images as the model sees them.

        Raises:
            ImageError: the first one does not fit the area.
        """
        return GoodParts(images, self.area or Area(self.spec))

    @property
    def inputs(self) -> str:
        """What a checkpoint belongs to."""
        grid = "" if self.area is None else f", tiles {self.area.spec.tiles}, mask {self._mask_digest}"
        spec = self.spec
        how = "" if spec.resize is Resize.AREA else f", {spec.resize.value}"
        size = f"{spec.height_px}×{spec.width_px}, region {spec.region}{grid}{how}"
        return f"teacher {self.teacher.digest}, images {self.digest}, {size}, {self.unrelated.description}"

    @property
    def _mask_digest(self) -> str:
        payloads = {} if self.area is None else self.area.payloads
        return ", ".join(hashlib.sha256(content).hexdigest() for content in payloads.values()) or "none"


def gather(options: EfficientAdOptions, observer: Observer) -> Material:
    """Read and check everything that training needs.

    Raises:
        ConfigError: the teacher, the images, the mask or the unrelated pictures cannot be used.
        ImageError: the first image does not fit the region.
    """
    teacher = read_teacher(options.teacher)
    if options.size not in {None, teacher.size}:
        raise ConfigError(
            f"{options.teacher} is a teacher of size {teacher.size.value}, not {options.size}",
            "Leave --size out, or distil a teacher of that size.",
        )
    images = gather_images(options.images, "EfficientAD", "100", observer)
    training, held_out = split(len(images.files), options.holdout, options.convert.seed)
    spec = InputSpec(
        tensor=IMAGE,
        height_px=options.height_px,
        width_px=options.width_px,
        resize=options.resize,
        colour=ColourOrder.RGB,
        layout=Layout.NHWC,
        dtype="uint8",
        region=options.region,
    )
    area, notices = inspected_area(options.area, spec, images.load(0))
    for text in notices:
        observer.notice(text)
    return Material(
        teacher=teacher,
        trained=subset(images, training),
        held_out=subset(images, held_out),
        digest=images.digest,
        spec=spec if area is None else area.spec,
        area=area,
        unrelated=_unrelated(options),
    )


def _unrelated(options: EfficientAdOptions) -> Unrelated:
    if options.unrelated is None:
        return UnrelatedScenes(options.height_px, options.width_px)
    return UnrelatedFolder(options.unrelated, options.height_px, options.width_px)
