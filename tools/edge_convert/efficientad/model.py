"""Teacher, student and autoencoder together, and the anomaly maps that their differences make (section 3.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.nn import functional

from edge_convert.efficientad.networks import BORDER_CELLS, make_autoencoder, make_pdn
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_convert.efficientad.device import Device
    from edge_convert.efficientad.teacher_file import Teacher

MAP_AT_UPPER: Final = 0.1
"""What the upper quantile becomes; the lower becomes 0."""


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of the values of one map on held-out good parts."""

    lower: float
    """The 90 % quantile."""
    upper: float
    """The 99.5 % quantile."""

    @property
    def scale(self) -> float:
        """Normalised = (value − lower) · scale."""
        return MAP_AT_UPPER / max(self.upper - self.lower, 1e-12)

    def normalised(self, values: Any) -> Any:
        """0 at the lower quantile, 0.1 at the upper."""
        return (values - self.lower) * self.scale


@dataclass(slots=True)
class EfficientAd:
    """The networks in PyTorch, for images normalised with ImageNet's mean and deviation."""

    teacher: Any
    student: Any
    """First what the teacher says; then, with an autoencoder, as many channels of what that says."""
    autoencoder: Any
    """None: the student is compared with its teacher alone, and nobody looks at the part as a whole."""
    mean: Any
    """1×C×1×1: mean of the teacher's channels on good parts."""
    std: Any
    channels: int
    height_px: int
    width_px: int
    student_quantiles: Quantiles = Quantiles(0.0, 1.0)
    autoencoder_quantiles: Quantiles = Quantiles(0.0, 1.0)

    @property
    def networks(self) -> dict[str, Any]:
        """Those that are there, by the names of their fields."""
        found = {"teacher": self.teacher, "student": self.student, "autoencoder": self.autoencoder}
        return {name: network for name, network in found.items() if network is not None}

    def place(self, device: Device) -> None:
        """Move everything to a device."""
        for name, network in self.networks.items():
            setattr(self, name, device.place(network))
        self.mean, self.std = self.mean.to(device.name), self.std.to(device.name)

    def target(self, images: Any) -> Any:
        """The teacher's normalised features, N×C×h×w."""
        return (self.teacher(images).float() - self.mean) / self.std

    def raw_maps(self, images: Any) -> tuple[Any, Any]:
        """Mean squared differences student−teacher and student−autoencoder, each N×1×H×W, not yet normalised.

        The second is None without an autoencoder.
        """
        found = self.student(images).float()
        told, rebuilt = found[:, : self.channels], found[:, self.channels :]
        local = ((self.target(images) - told) ** 2).mean(dim=1, keepdim=True)
        if self.autoencoder is None:
            return self._spread(local), None
        logical = ((self.autoencoder(images).float() - rebuilt) ** 2).mean(dim=1, keepdim=True)
        return self._spread(local), self._spread(logical)

    def anomaly_map(self, images: Any) -> Any:
        """N×1×H×W: the mean of the maps, normalised by their quantiles."""
        local, logical = self.raw_maps(images)
        normalised = self.student_quantiles.normalised(local)
        if logical is None:
            return normalised
        return 0.5 * (normalised + self.autoencoder_quantiles.normalised(logical))

    def evaluate(self) -> None:
        """Switch dropout off."""
        for network in self.networks.values():
            network.eval()

    def _spread(self, grid: Any) -> Any:
        """From cells to pixels. Cells that the networks lack at the border repeat their neighbours."""
        padded = functional.pad(grid, [BORDER_CELLS] * 4, mode="replicate")
        return functional.interpolate(
            padded, size=(self.height_px, self.width_px), mode="bilinear", align_corners=False
        )


def assemble(teacher: Teacher, height_px: int, width_px: int, seed: int, *, autoencoder: bool = True) -> EfficientAd:
    """A model that has learnt nothing yet besides its teacher; without `autoencoder` it has none.

    Raises:
        ConfigError: the teacher's weights do not fit its stated size, or the input does not fit the autoencoder.
    """
    torch.manual_seed(seed)
    pdn = make_pdn(teacher.size, teacher.channels)
    load_weights(pdn, teacher.weights)
    for parameter in pdn.parameters():
        parameter.requires_grad_(False)
    channels = teacher.channels
    return EfficientAd(
        teacher=pdn.eval(),
        student=make_pdn(teacher.size, 2 * channels if autoencoder else channels),
        autoencoder=make_autoencoder(channels, height_px, width_px) if autoencoder else None,
        mean=torch.zeros(1, channels, 1, 1),
        std=torch.ones(1, channels, 1, 1),
        channels=channels,
        height_px=height_px,
        width_px=width_px,
    )


def load_weights(network: Any, weights: Mapping[str, Any]) -> None:
    """Put arrays into a network.

    Raises:
        ConfigError: names or shapes differ.
    """
    try:
        network.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
    except (RuntimeError, TypeError) as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise ConfigError(f"the teacher's weights do not fit its network: {first}", "Distil it again.") from error
