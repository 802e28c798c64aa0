"""How fast and how long: Adam as in the paper, its rate dropped near the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch

from edge_convert.efficientad.networks import STRIDE
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

_SMALLEST_CROP_PX: Final = 36
_DROP: Final = 0.1


@dataclass(frozen=True, slots=True)
class Schedule:
    """The paper's, unless a person decides otherwise."""

    steps: int
    batch: int
    learning_rate: float = 1e-4
    weight_decay: float = 1e-5
    drop_at: float = 0.95
    """Share of the steps after which the rate is a tenth."""
    crop: int = 0
    """Side of the random cut-outs that the patch description networks learn on, in pixels; 0 is the whole picture."""

    def check(self, side_px: int, fewest: int = 1) -> None:
        """Refuse what cannot work.

        Args:
            side_px: of the pictures.
            fewest: steps; 0 where something is solved for without any.

        Raises:
            ConfigError: names the option.
        """
        if self.steps < fewest or self.batch < 1:
            raise ConfigError(
                f"--steps {self.steps} with --batch {self.batch} is impossible",
                f"Choose at least {fewest} steps, and at least 1 picture for each.",
            )
        if not 0 < self.learning_rate < 1 or self.weight_decay < 0:
            raise ConfigError(f"--learning-rate {self.learning_rate} is impossible", "The paper's is 0.0001.")
        if not 0 < self.drop_at <= 1:
            raise ConfigError(f"--drop-at {self.drop_at} is impossible", "Choose a share above 0 and up to 1.")
        if self.crop and (self.crop % STRIDE or not _SMALLEST_CROP_PX <= self.crop <= side_px):
            raise ConfigError(
                f"--crop {self.crop} is impossible",
                f"Choose a multiple of {STRIDE} from {_SMALLEST_CROP_PX} to {side_px}, or 0 for whole pictures.",
            )

    @property
    def description(self) -> str:
        """For notes, and to tell one run from another."""
        if not self.steps:
            return "no steps"
        shown = f"crops of {self.crop} px" if self.crop else "whole pictures"
        return (
            f"{self.steps} steps of {self.batch}, {shown}, Adam {self.learning_rate:g} "
            f"(a tenth of it after {self.drop_at:.0%}), weight decay {self.weight_decay:g}"
        )


def make_optimiser(parameters: Iterable[Any], schedule: Schedule) -> Any:
    """Adam."""
    return torch.optim.Adam(parameters, lr=schedule.learning_rate, weight_decay=schedule.weight_decay)


def set_rate(optimiser: Any, schedule: Schedule, step: int) -> None:
    """The rate of a step, from its number alone."""
    dropped = step >= schedule.drop_at * schedule.steps
    for group in optimiser.param_groups:
        group["lr"] = schedule.learning_rate * (_DROP if dropped else 1.0)
