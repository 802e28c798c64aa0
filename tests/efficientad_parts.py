"""A small EfficientAD teacher with random weights. Needs PyTorch: import it after `importorskip`."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import torch
from tiny_backbone import write_parts

from edge_convert.efficientad.networks import PdnSize, make_pdn
from edge_convert.efficientad.parts import GoodParts
from edge_convert.efficientad.teacher_file import Teacher, write_teacher
from edge_convert.images import survey
from edge_convert.teaching.area import Area
from edge_runtime.domain.model_bundle import ColourOrder, InputSpec, Layout, Resize, Tiles

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.vision.mask import Mask

CHANNELS = 4
SIDE_PX = 64


def make_teacher(channels: int = CHANNELS, size: PdnSize = PdnSize.S) -> Teacher:
    """A teacher of random weights."""
    torch.manual_seed(3)
    weights = {name: value.numpy() for name, value in make_pdn(size, channels).state_dict().items()}
    return Teacher(size, channels, weights, {"backbone": "none"})


def write_teacher_file(path: Path, size: PdnSize = PdnSize.S) -> Path:
    """`make_teacher` as a file."""
    write_teacher(path, make_teacher(size=size))
    return path


def press_ctrl_c() -> None:
    """Call the handler that Ctrl-C would reach, from within the training.

    Not by a real signal: in a process that had converted a model before, with pytest's faulthandler on, one ended in a
    segmentation fault inside `kill`, whose cause is not known.
    """
    handler = signal.getsignal(signal.SIGINT)
    assert callable(handler)
    handler(signal.SIGINT, None)


def good_parts(folder: Path, count: int, mask: Mask | None = None, tiles: Tiles | None = None) -> GoodParts:
    """Drawn good parts as the model sees them, at `SIDE_PX`."""
    spec = InputSpec(
        "image",
        SIDE_PX,
        SIDE_PX,
        Resize.AREA,
        ColourOrder.RGB,
        Layout.NHWC,
        "uint8",
        tiles=tiles,
        mask=None if mask is None else "mask.png",
    )
    return GoodParts(survey(write_parts(folder, count)), Area(spec, mask))
