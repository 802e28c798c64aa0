"""One training: good parts in, student and autoencoder out, a step a function of state, seed and number alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from edge_convert.efficientad.augment import change_light
from edge_convert.efficientad.losses import Window, autoencoder_loss, total_loss
from edge_convert.efficientad.networks import cells
from edge_convert.efficientad.optimise import Schedule, make_optimiser, set_rate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_convert.efficientad.data import Unrelated
    from edge_convert.efficientad.device import Device
    from edge_convert.efficientad.model import EfficientAd
    from edge_convert.efficientad.parts import GoodParts

PAPER_STEPS: Final = 70_000
_ORDER, _CHANGE = 11, 12
"""Mark the random numbers of the order and of the changes."""


class Training:
    """Student and autoencoder on their way: a `Trainee`."""

    def __init__(
        self,
        model: EfficientAd,
        parts: GoodParts,
        unrelated: Unrelated | None,
        schedule: Schedule,
        device: Device,
        seed: int,
    ) -> None:
        """The model's networks are already on the device, its channel statistics measured.

        Without unrelated pictures only the autoencoder learns.
        """
        self._model = model
        self._parts = parts
        self._unrelated = unrelated
        self._schedule = schedule
        self._device = device
        self._seed = seed
        learning = [*model.autoencoder.parameters()]
        if unrelated is not None:
            learning += model.student.parameters()
        self._optimiser = make_optimiser(learning, schedule)

    def learn(self, step: int) -> float:
        """See `Trainee`."""
        rng = np.random.default_rng((self._seed, _CHANGE, step))
        self._model.student.train()
        self._model.autoencoder.train()
        set_rate(self._optimiser, self._schedule, step)
        first = step * self._schedule.batch
        numbers = range(first, first + self._schedule.batch)
        chosen = [self._part(number) for number in numbers]
        parts = self._device.tensor([self._parts.picture(part) for part in chosen])
        window, counted = self._window(chosen, rng)
        changed = torch.stack([change_light(part, rng) for part in parts])
        torch.manual_seed(int(rng.integers(1 << 62)))  # dropout's
        with self._device.precision():
            if self._unrelated is None:
                loss = autoencoder_loss(self._model, self._device.normalised(changed), window, counted)
            else:
                others = self._device.tensor([self._unrelated.picture(self._seed, number) for number in numbers])
                loss = total_loss(
                    self._model,
                    self._device.normalised(parts),
                    self._device.normalised(others),
                    self._device.normalised(changed),
                    window,
                    counted,
                )
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._optimiser.step()
        return float(loss.detach())

    def state(self) -> Mapping[str, Any]:
        """See `Trainee`."""
        model = self._model
        return {
            "student": model.student.state_dict(),
            "autoencoder": model.autoencoder.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "mean": model.mean,
            "std": model.std,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Trainee`."""
        model = self._model
        model.student.load_state_dict(state["student"])
        model.autoencoder.load_state_dict(state["autoencoder"])
        self._optimiser.load_state_dict(state["optimiser"])
        model.mean, model.std = (state[name].to(self._device.name) for name in ("mean", "std"))

    def _part(self, number: int) -> int:
        """Each good part once, in a random order, before any comes again."""
        turn, place = divmod(number, len(self._parts))
        return int(np.random.default_rng((self._seed, _ORDER, turn)).permutation(len(self._parts))[place])

    def _window(self, chosen: list[int], rng: np.random.Generator) -> tuple[Window, Any]:
        """Which cells the patch networks look at in this step, and which of them count; None: all."""
        height, width = cells(self._model.height_px), cells(self._model.width_px)
        crop = self._schedule.crop
        rows, columns = (cells(crop), cells(crop)) if crop else (height, width)
        top, left = (int(rng.integers(side - part + 1)) for side, part in ((height, rows), (width, columns)))
        masks = [self._parts.cells(part) for part in chosen]
        if all(mask is None for mask in masks):
            return (top, left, rows, columns), None
        everywhere = np.ones((height, width), np.bool_)
        counted = np.stack([everywhere if mask is None else mask for mask in masks])
        if not counted[:, top : top + rows, left : left + columns].any():
            _, y, x = rng.choice(np.argwhere(counted))  # around a cell that does count
            top, left = min(max(0, y - rows // 2), height - rows), min(max(0, x - columns // 2), width - columns)
        shown = counted[:, top : top + rows, left : left + columns]
        return (int(top), int(left), rows, columns), torch.as_tensor(shown, device=self._device.name)
