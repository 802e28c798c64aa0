"""What the student and the autoencoder are trained to (arXiv 2303.14535, sections 3.2 and 3.3, algorithm 1)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import torch

from edge_convert.efficientad.networks import BORDER_CELLS, STRIDE

if TYPE_CHECKING:
    from edge_convert.efficientad.model import EfficientAd

Window: TypeAlias = tuple[int, int, int, int]
"""Top and left cell, rows and columns of cells."""

HARD_QUANTILE: Final = 0.999
"""Only the thousandth part of the feature differences that is largest drives the student."""


def hard_feature_loss(wanted: Any, found: Any, quantile: float = HARD_QUANTILE) -> Any:
    """Mean of the squared differences at or above their quantile."""
    squares = ((wanted - found) ** 2).flatten()
    count = squares.numel() - math.ceil(quantile * (squares.numel() - 1))
    return torch.topk(squares, count, sorted=False).values.mean()


def total_loss(
    model: EfficientAd, parts: Any, unrelated: Any, changed: Any, window: Window, counted: Any = None
) -> Any:
    """Sum of the student's and the autoencoder's losses of one step.

    Args:
        model: the networks; the teacher has no gradients.
        parts: good parts, N×3×H×W, ImageNet-normalised.
        unrelated: pictures of other things: on them the student is to stay silent, so that it does not learn to imitate
            the teacher where good parts do not lead it.
        changed: good parts with changed brightness, contrast or saturation, for the autoencoder.
        window: the cells that the patch networks look at; the autoencoder always sees whole pictures.
        counted: which of the window's cells of good parts count, N×rows×columns, at least one; None: all.
    """
    number = len(parts)
    channels = model.channels
    with torch.no_grad():
        target = model.target(torch.cat([_cut(parts, window), _cut(changed, window)]))
    found = model.student(torch.cat([_cut(images, window) for images in (parts, unrelated, changed)])).float()
    rebuilt = _rebuilt(model, changed, window)
    silence = (found[number : 2 * number, :channels] ** 2).mean()
    hard = hard_feature_loss(_counted(target[:number], counted), _counted(found[:number, :channels], counted))
    autoencoder = _distance(target[number:], rebuilt, counted)
    return hard + silence + autoencoder + _distance(rebuilt, found[2 * number :, channels:], counted)


def autoencoder_loss(model: EfficientAd, changed: Any, window: Window, counted: Any = None) -> Any:
    """The autoencoder's part of `total_loss` alone, for a student that is solved for."""
    with torch.no_grad():
        target = model.target(_cut(changed, window))
    return _distance(target, _rebuilt(model, changed, window), counted)


def _rebuilt(model: EfficientAd, images: Any, window: Window) -> Any:
    """What the autoencoder says of whole pictures, within the window."""
    top, left, rows, columns = window
    return model.autoencoder(images).float()[:, :, top : top + rows, left : left + columns]


def _distance(one: Any, two: Any, counted: Any) -> Any:
    return ((_counted(one, counted) - _counted(two, counted)) ** 2).mean()


def _counted(features: Any, counted: Any) -> Any:
    """Of N×C×h×w the cells that count, C×M."""
    return features if counted is None else features.movedim(1, 0)[:, counted]


def _cut(images: Any, window: Window) -> Any:
    """The pixels from which the networks make exactly the window's cells."""
    top, left, rows, columns = (STRIDE * value for value in window)
    rim = STRIDE * 2 * BORDER_CELLS
    return images[:, :, top : top + rows + rim, left : left + columns + rim]
