"""A student that is solved for: the teacher's own layers, and a last one by least squares.

It departs from the paper, whose student learns all its layers by gradient descent, and asks the same: to say what the
teacher says about good parts, nothing about unrelated pictures, and what the autoencoder says. With the layers before
the last given, that is a linear problem, answered after one look at each picture. Directions of those layers' responses
that good parts do not use, and unrelated pictures do, are suppressed: a defect that uses them is not imitated.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from edge_convert.efficientad.networks import PdnSize, cells
from edge_convert.efficientad.quantiles import spaced
from edge_convert.efficientad.readout import Moments, inputs_of, last_of, put, solve, weights_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_convert.efficientad.data import Unrelated
    from edge_convert.efficientad.device import Device
    from edge_convert.efficientad.model import EfficientAd
    from edge_convert.efficientad.parts import GoodParts
    from edge_convert.progress import Observer
    from edge_runtime.vision.mask import Mask

_PICTURES: Final = 200
"""Good parts, at most: more bring little and cost a look each."""
_ROWS: Final = 33_000
"""Cells of good parts: eight for each input of the last convolution."""
_UNRELATED: Final = 40
_UNRELATED_ROWS: Final = 10_000
SILENCE: Final[Mapping[PdnSize, float]] = MappingProxyType({PdnSize.XS: 0.03, PdnSize.S: 0.01, PdnSize.M: 0.01})
"""Weight of the silence on unrelated pictures against the imitation on good parts. The more, the fewer directions are
suppressed: XS with its few filters finds more so, and its eight bits are amplified less."""
_RIDGE: Final = 1e-4
_GOOD, _SILENT = 13, 14
"""Mark the random numbers of the cells."""


def solve_student(
    model: EfficientAd,
    parts: GoodParts,
    unrelated: Unrelated,
    silence: float,
    device: Device,
    seed: int,
    observer: Observer,
) -> None:
    """Set the student from the teacher, from good parts and from the autoencoder, if there is one, as it now is.

    Args:
        model: on the device, the teacher's channel statistics measured.
        parts: good parts.
        unrelated: pictures of other things.
        silence: how much it counts to say nothing about them; `SILENCE` has what suits each size.
        device: where it computes.
        seed: of the choice of cells.
        observer: who watches.
    """
    model.evaluate()
    _take_layers(model)
    silent = _unrelated_moments(model, unrelated, device, seed, observer)
    good = _good_moments(model, parts, device, seed, observer)
    wanted = _normalised_teacher(model)
    answers = torch.cat([good.inputs @ wanted, good.answers], dim=1)
    put(last_of(model.student), solve(good.inputs + silence * silent.inputs, answers, _RIDGE).to(device.name))


def _take_layers(model: EfficientAd) -> None:
    taken = list(model.student.children())[:-1]
    for own, teachers in zip(taken, model.teacher.children(), strict=False):
        own.load_state_dict(teachers.state_dict())


def _normalised_teacher(model: EfficientAd) -> Any:
    """The teacher's last convolution with its channel normalisation inside."""
    weights = weights_of(last_of(model.teacher))
    weights[-1] -= model.mean.ravel()
    return weights / model.std.ravel()


def _good_moments(model: EfficientAd, parts: GoodParts, device: Device, seed: int, observer: Observer) -> Moments:
    """Inputs of the last convolution on good parts, and what the autoencoder says there, if there is one."""
    answers = 0 if model.autoencoder is None else model.channels
    moments = Moments(model.student, answers, device.name)
    count = cells(model.height_px) * cells(model.width_px)
    chosen = spaced(len(parts), _PICTURES)
    most = -(-_ROWS // len(chosen))
    with observer.stage("student: good parts", len(chosen)) as stage, torch.inference_mode():
        for index in chosen:
            image = device.normalised(device.tensor([parts.picture(index)]))
            rng = np.random.default_rng((seed, _GOOD, index))
            places = _drawn(parts.cells(index), count, most, rng).to(device.name)
            with device.precision():
                inputs = inputs_of(model.student, image, places)
                rebuilt = model.autoencoder(image).float()[0].flatten(1).T[places] if answers else None
            moments.add(inputs, rebuilt)  # in float32, whatever the convolutions compute in
            stage.advance()
    return moments


def _unrelated_moments(
    model: EfficientAd, unrelated: Unrelated, device: Device, seed: int, observer: Observer
) -> Moments:
    moments = Moments(model.student, 0, device.name)
    count = cells(model.height_px) * cells(model.width_px)
    with observer.stage("student: unrelated pictures", _UNRELATED) as stage, torch.inference_mode():
        for number in range(_UNRELATED):
            image = device.normalised(device.tensor([unrelated.picture(seed, number)]))
            rng = np.random.default_rng((seed, _SILENT, number))
            places = _drawn(None, count, _UNRELATED_ROWS // _UNRELATED, rng).to(device.name)
            with device.precision():
                inputs = inputs_of(model.student, image, places)
            moments.add(inputs)
            stage.advance()
    return moments


def _drawn(counted: Mask | None, count: int, most: int, rng: np.random.Generator) -> Any:
    """At most `most` of the cells that count."""
    places = np.arange(count) if counted is None else np.flatnonzero(counted)
    return torch.from_numpy(rng.permutation(places)[:most])
