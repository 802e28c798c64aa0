"""A teacher before its first step: layers from exemplars, and the last one solved for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from edge_convert.efficientad.exemplars import start_on_exemplars
from edge_convert.efficientad.networks import BORDER_CELLS, STRIDE, cells
from edge_convert.efficientad.quantiles import spaced
from edge_convert.efficientad.readout import Moments, inputs_of, last_of, put, solve

if TYPE_CHECKING:
    from edge_convert.efficientad.data import Views
    from edge_convert.efficientad.device import Device
    from edge_convert.efficientad.targets import Targets
    from edge_convert.progress import Observer

_EXEMPLARS_OF: Final = 32
_VIEWS: Final = 300
_ROWS: Final = 50_000
"""Cells of all views: twelve for each input of PDN-S's last convolution."""
_SIDE_PX: Final = 128
"""Of the cut-out of each view: neighbouring cells tell much the same."""
_RIDGES: Final = (1e-3, 1e-2, 3e-2, 1e-1, 1.0)
"""The one that suits the views that were left out: few pictures need a strong one."""
_TESTED: Final = 10
"""Each so many-th view is not solved on, but tells how well the rest was."""
_START: Final = 8
"""Marks the random numbers of the start."""


def start_teacher(
    network: Any, views: Views, targets: Targets, norm: tuple[Any, Any], device: Device, seed: int, observer: Observer
) -> float:
    """Set all layers of a patch network, so that it explains what a linear last layer can of the targets.

    Args:
        network: on the device.
        views: pictures, at twice the network's resolution and at its own.
        targets: their features.
        norm: mean and deviation of the features' channels, 1×C×1×1.
        device: where it computes.
        seed: of the exemplars and cells.
        observer: who watches.

    Returns:
        The mean squared error on views that were left out, in variances of the targets; NaN if there are none.
    """
    rng = np.random.default_rng((seed, _START))
    first = [views.half(index) for index in spaced(len(views), _EXEMPLARS_OF)]
    start_on_exemplars(network, device.normalised(device.tensor(first)), rng)
    moments, tested = _look(network, views, targets, norm, device, rng, observer)
    candidates = [solve(moments.inputs, moments.answers, ridge).to(device.name) for ridge in _RIDGES]
    errors = [_error(weights, tested) for weights in candidates]
    best = int(np.nanargmin(errors)) if tested else len(_RIDGES) // 2
    put(last_of(network), candidates[best])
    return errors[best]


def _look(
    network: Any,
    views: Views,
    targets: Targets,
    norm: tuple[Any, Any],
    device: Device,
    rng: np.random.Generator,
    observer: Observer,
) -> tuple[Moments, list[tuple[Any, Any]]]:
    """Inputs of the last convolution and the wanted answers: summed up, and row by row of the views left out."""
    moments = Moments(network, targets.channels, device.name)
    tested: list[tuple[Any, Any]] = []
    chosen = spaced(len(views), _VIEWS)
    most = -(-_ROWS // len(chosen))
    with observer.stage("teacher's last layer", len(chosen)) as stage, torch.inference_mode():
        for number, index in enumerate(chosen, start=1):
            picture, grid = _cut_out(views.half(index), targets.of(index), rng)
            places = torch.from_numpy(rng.permutation(grid.shape[1])[:most])
            with device.precision():
                inputs = inputs_of(network, device.normalised(device.tensor([picture])), places.to(device.name))
            answers = torch.from_numpy(grid[:, places]).to(device.name).float()
            wanted = ((answers - norm[0][0, :, 0]) / norm[1][0, :, 0]).T
            if number % _TESTED:
                moments.add(inputs, wanted)
            else:
                tested.append((inputs, wanted))
            stage.advance()
    return moments, tested


def _error(weights: Any, tested: list[tuple[Any, Any]]) -> float:
    if not tested:
        return math.nan
    missed = sum(float(((inputs @ weights - wanted) ** 2).sum()) for inputs, wanted in tested)
    return missed / sum(float((wanted**2).sum()) for _, wanted in tested)


def _cut_out(picture: Any, grid: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """A random square of a view, and the features of the cells that lie wholly inside it, C×N."""
    side = min(_SIDE_PX, picture.shape[0])
    count = cells(side)
    top, left = (int(value) for value in rng.integers(0, (picture.shape[0] - side) // STRIDE + 1, 2))
    y, x = top * STRIDE, left * STRIDE
    row, column = top + BORDER_CELLS, left + BORDER_CELLS
    features = grid[:, row : row + count, column : column + count]
    return picture[y : y + side, x : x + side], np.ascontiguousarray(features).reshape(len(grid), -1)
