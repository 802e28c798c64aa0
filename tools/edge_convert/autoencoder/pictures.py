"""Images of good parts as the network sees them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.naming import named
from edge_convert.training.images import split
from edge_runtime.domain.model_bundle import ColourOrder, InputSpec, Layout, Resize
from edge_runtime.vision.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from edge_convert.autoencoder.plan import TrainPlan
    from edge_convert.images import ImageSet
    from edge_convert.progress import Observer
    from edge_runtime.domain.frame import Exposure

INPUT: Final = "image"
"""Name of the graph's input."""

_COLOUR_PROBES: Final = 20
_COLOUR_DIMENSIONS: Final = 3


def input_spec(plan: TrainPlan, region: tuple[int, int, int, int] | None) -> InputSpec:
    """Pixels in 0…1, resized by area: what the network is trained on, and what the residual is taken from."""
    colour = ColourOrder.MONO if plan.channels == 1 else ColourOrder.RGB
    zeros, ones = (0.0,) * plan.channels, (1.0,) * plan.channels
    return InputSpec(
        tensor=INPUT,
        height_px=plan.height_px,
        width_px=plan.width_px,
        resize=Resize.AREA,
        colour=colour,
        layout=Layout.NCHW,
        dtype="float32",
        mean=zeros,
        std=ones,
        region=region,
    )


def all_grey(images: ImageSet) -> bool:
    """Whether some twenty of the images, spread over the folder, are mono or have three equal channels."""
    step = max(1, len(images.files) // _COLOUR_PROBES)
    return all(_grey(images.load(index)) for index in range(0, len(images.files), step))


def _grey(frame: Exposure) -> bool:
    if frame.ndim < _COLOUR_DIMENSIONS:
        return True
    first = frame[:, :, :1]
    return bool(np.array_equal(np.broadcast_to(first, frame.shape), frame))


@dataclass(frozen=True, slots=True)
class Pictures:
    """Prepared images, N×C×H×W uint8, with those that are never trained on."""

    training: npt.NDArray[np.uint8]
    held_out: npt.NDArray[np.uint8]
    held_out_indices: tuple[int, ...]
    """Their place in the `ImageSet`."""
    digest: str
    """Of the folder: a checkpoint belongs to it."""


def load_pictures(images: ImageSet, plan: TrainPlan, spec: InputSpec, observer: Observer) -> Pictures:
    """Prepare every image as the device does, to 8 bits, and hold a share of them out.

    Raises:
        ImageError: an image does not fit `spec`.
    """
    training, held_out = split(len(images.files), plan.holdout, plan.seed)
    with observer.stage("loading images", len(images.files)) as stage:

        def load(indices: Sequence[int]) -> npt.NDArray[np.uint8]:
            loaded = np.empty((len(indices), plan.channels, plan.height_px, plan.width_px), dtype=np.uint8)
            for place, index in enumerate(indices):
                with named(images.files[index]):
                    loaded[place] = prepare(images.load(index), replace(spec, dtype="uint8"))[0]
                stage.advance()
            return loaded

        return Pictures(load(training), load(held_out), held_out, images.digest)
