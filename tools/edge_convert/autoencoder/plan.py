"""What a person decides about training an autoencoder."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Final

from edge_runtime.domain.errors import ConfigError

GRID_LIMIT: Final = 8
"""The encoder halves the picture until its shorter side is below this."""
PARAMETER_LIMIT: Final = 15_000_000

_SIZE_LOWEST: Final = 32
_SIZE_HIGHEST: Final = 1024
_USUAL_EPOCHS: Final = 20
_USUAL_STEPS: Final = 1_600
_USUAL_PATIENCE: Final = 10


class ModelName(StrEnum):
    """Which network."""

    AE = "ae"
    """Convolutional autoencoder: the bottleneck is a narrow feature map, which keeps where things are."""
    VAE = "vae"
    """Variational autoencoder (Kingma & Welling, arXiv 1312.6114): the bottleneck is a vector."""
    DILATED_VAE = "dilated-vae"
    """VAE whose encoder looks wide with dilated convolutions (Yu & Koltun, arXiv 1511.07122) in place of depth."""


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """Everything that the trained weights depend on, besides the images and the machine."""

    model: ModelName = ModelName.AE
    height_px: int = 128
    width_px: int = 128
    channels: int = 1
    """1 for grey sets, 3 for RGB."""
    width: int = 16
    """Channels of the first layer; later ones have up to eight times as many."""
    latent: int = 128
    """VAE: length of the vector. AE: numbers per cell of the bottleneck's grid, see `networks`."""
    epochs: int = 20
    batch: int = 32
    rate: float = 1e-3
    """Peak of the learning rate; it falls to nearly nothing along a cosine."""
    beta: float = 1.0
    """Weight of the KL divergence (Higgins et al., ICLR 2017), for VAEs."""
    annealing: float = 0.3
    """Share of the epochs over which the weight grows from 0 to β, so that the latent is not given up early."""
    patience: int = 10
    """Epochs without a better reconstruction of the held-out images after which training ends."""
    holdout: float | None = None
    """Share of the good images that is never trained on; None: see `pictures.split`."""
    seed: int = 0

    def check(self) -> None:
        """Refuse at once what would fail later.

        Raises:
            ConfigError: names the option and what it may be.
        """
        self._check_size()
        for option, value, lowest in (
            ("--epochs", self.epochs, 1),
            ("--batch", self.batch, 2),
            ("--width", self.width, 4),
            ("--latent", self.latent, 1),
            ("--patience", self.patience, 1),
        ):
            if value < lowest:
                raise ConfigError(f"{option} {value} is too small", f"Choose at least {lowest}.")
        if self.holdout is not None and not 0 < self.holdout <= 0.5:  # noqa: PLR2004
            raise ConfigError(f"--holdout {self.holdout} is impossible", "Choose a share above 0 and up to 0.5.")
        if not self.rate > 0 or not self.beta >= 0 or not 0 <= self.annealing <= 1:
            raise ConfigError(
                f"--rate {self.rate}, --beta {self.beta}, --annealing {self.annealing} cannot be used together",
                "Choose a rate above 0, a β of 0 or more, and an annealing share from 0 to 1.",
            )

    def _check_size(self) -> None:
        step = 1 << self.stages
        sides = (self.height_px, self.width_px)
        if min(sides) < _SIZE_LOWEST or max(sides) > _SIZE_HIGHEST or any(side % step for side in sides):
            raise ConfigError(
                f"--size {self.height_px}x{self.width_px} cannot be halved {self.stages} times",
                f"Choose multiples of {step} from {_SIZE_LOWEST} to {_SIZE_HIGHEST} pixels, e.g. 128 or 256.",
            )

    @property
    def stages(self) -> int:
        """How often the encoder halves the picture: to a shorter side of 4 to 7 cells."""
        shorter = min(self.height_px, self.width_px)
        return max(1, (shorter // GRID_LIMIT).bit_length())

    @property
    def variational(self) -> bool:
        """Whether the latent is a distribution."""
        return self.model is not ModelName.AE

    def sized(self, images: int, epochs: int | None, patience: int | None) -> TrainPlan:
        """With the epochs and patience that were asked for, or usual ones for this number of training images.

        Few images make short epochs: there are at least 20, and enough for 1600 steps. Patience is a quarter of them.
        """
        steps = math.ceil(images / self.batch)
        chosen = epochs or max(_USUAL_EPOCHS, math.ceil(_USUAL_STEPS / steps))
        return replace(self, epochs=chosen, patience=patience or max(_USUAL_PATIENCE, chosen // 4))

    def document(self) -> dict[str, Any]:
        """Plain values, for a checkpoint and the bundle's notes."""
        return asdict(self) | {"model": self.model.value}
