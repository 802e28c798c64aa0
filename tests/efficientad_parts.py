"""A small EfficientAD teacher with random weights. Needs PyTorch: import it after `importorskip`."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import torch

from edge_convert.efficientad.networks import PdnSize, make_pdn
from edge_convert.efficientad.teacher_file import Teacher, write_teacher

if TYPE_CHECKING:
    from pathlib import Path

CHANNELS = 4
SIDE_PX = 64


def make_teacher(channels: int = CHANNELS) -> Teacher:
    """A PDN-S teacher of random weights."""
    torch.manual_seed(3)
    weights = {name: value.numpy() for name, value in make_pdn(PdnSize.S, channels).state_dict().items()}
    return Teacher(PdnSize.S, channels, weights, {"backbone": "none"})


def write_teacher_file(path: Path) -> Path:
    """`make_teacher` as a file."""
    write_teacher(path, make_teacher())
    return path


def press_ctrl_c() -> None:
    """Call the handler that Ctrl-C would reach, from within the training.

    Not by a real signal: in a process that had converted a model before, with pytest's faulthandler on, one ended in a
    segmentation fault inside `kill`, whose cause is not known.
    """
    handler = signal.getsignal(signal.SIGINT)
    assert callable(handler)
    handler(signal.SIGINT, None)
