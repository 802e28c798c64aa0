"""The networks. They take and give images in 0…1, N×C×H×W float32; `forward` samples nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from edge_convert.autoencoder.plan import PARAMETER_LIMIT, ModelName
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from edge_convert.autoencoder.plan import TrainPlan

_WIDEST = 8
"""Layers have at most so many times the channels of the first."""
_GRID_SHARE = 8
"""The AE's bottleneck has `latent` / this channels per cell: 256 numbers at 128 pixels, against 128 of the VAE."""
_DILATIONS = (2, 4, 8)
"""Rates of the dilated encoder, at an eighth of the picture's size."""
_DILATED_STAGES = 3


class Reconstructor(nn.Module):
    """An encoder, a bottleneck and a decoder."""

    def __init__(self, encoder: nn.Module, mean: nn.Module, log_variance: nn.Module | None, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.mean, self.log_variance, self.decoder = encoder, mean, log_variance, decoder

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Reconstruction through the mean of the latent: the same every time, as a device needs it."""
        reconstruction: torch.Tensor = self.decoder(self.mean(self.encoder(image)))
        return reconstruction

    def sample(
        self, image: torch.Tensor, noise: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """For training: reconstruction of a sampled latent, with its mean and log variance (None without them)."""
        features = self.encoder(image)
        mean = self.mean(features)
        if self.log_variance is None:
            return self.decoder(mean), None, None
        log_variance = self.log_variance(features).clamp(-10.0, 10.0)
        # Drawn on the CPU, so that a seed means the same on every device.
        drawn = torch.randn(mean.shape, generator=noise).to(mean.device)
        return self.decoder(mean + drawn * torch.exp(0.5 * log_variance)), mean, log_variance


def build(plan: TrainPlan) -> Reconstructor:
    """Make the plan's network with random weights (from torch's global seed).

    Raises:
        ConfigError: it would have 15 million parameters or more.
    """
    widths = [plan.width * min(_WIDEST, 1 << stage) for stage in range(plan.stages)]
    grid = (plan.height_px >> plan.stages, plan.width_px >> plan.stages)
    encoder = _dilated_encoder(plan, widths) if plan.model is ModelName.DILATED_VAE else _encoder(plan.channels, widths)
    network = _variational(plan, encoder, widths, grid) if plan.variational else _convolutional(plan, encoder, widths)
    count = parameter_count(network)
    if count >= PARAMETER_LIMIT:
        raise ConfigError(
            f"this {plan.model.value} would have {count / 1e6:.1f} million parameters",
            f"Choose a smaller --size, --width or --latent: below {PARAMETER_LIMIT / 1e6:.0f} million.",
        )
    return network


def parameter_count(network: nn.Module) -> int:
    """Trainable numbers."""
    return sum(values.numel() for values in network.parameters())


def _convolutional(plan: TrainPlan, encoder: nn.Module, widths: list[int]) -> Reconstructor:
    narrow = max(1, plan.latent // _GRID_SHARE)
    decoder = nn.Sequential(*_normed(nn.Conv2d(narrow, widths[-1], 1, bias=False)), *_decoder(plan.channels, widths))
    return Reconstructor(encoder, nn.Conv2d(widths[-1], narrow, 1), None, decoder)


def _variational(plan: TrainPlan, encoder: nn.Module, widths: list[int], grid: tuple[int, int]) -> Reconstructor:
    flat = widths[-1] * grid[0] * grid[1]
    expand = (nn.Linear(plan.latent, flat), nn.ReLU(), nn.Unflatten(1, (widths[-1], *grid)))
    decoder = nn.Sequential(*expand, *_decoder(plan.channels, widths))
    whole = nn.Sequential(encoder, nn.Flatten())
    return Reconstructor(whole, nn.Linear(flat, plan.latent), nn.Linear(flat, plan.latent), decoder)


def _encoder(channels: int, widths: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for source, target in zip([channels, *widths], widths, strict=False):
        layers += _normed(nn.Conv2d(source, target, 3, stride=2, padding=1, bias=False))
    return nn.Sequential(*layers)


def _dilated_encoder(plan: TrainPlan, widths: list[int]) -> nn.Sequential:
    """Three halvings, dilated layers at that size, and the rest of the way by averaging."""
    halved = min(_DILATED_STAGES, plan.stages)
    layers: list[nn.Module] = [_encoder(plan.channels, widths[:halved])]
    width = widths[halved - 1]
    for rate in _DILATIONS:
        layers += _normed(nn.Conv2d(width, width, 3, padding=rate, dilation=rate, bias=False))
    rest = 1 << (plan.stages - halved)
    layers += [nn.AvgPool2d(rest), *_normed(nn.Conv2d(width, widths[-1], 1, bias=False))]
    return nn.Sequential(*layers)


def _decoder(channels: int, widths: list[int]) -> list[nn.Module]:
    """Nearest-neighbour enlargement before each convolution: transposed ones leave a chequered residual."""
    layers: list[nn.Module] = []
    for source, target in zip(widths[::-1], widths[-2::-1], strict=False):
        layers += [nn.Upsample(scale_factor=2), *_normed(nn.Conv2d(source, target, 3, padding=1, bias=False))]
    return [*layers, nn.Upsample(scale_factor=2), nn.Conv2d(widths[0], channels, 3, padding=1), nn.Sigmoid()]


def _normed(convolution: nn.Conv2d) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()]
