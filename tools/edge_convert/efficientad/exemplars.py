"""A start for the layers that nothing supervises: filters that are patches of the pictures themselves, whitened.

After Coates and Ng (The Importance of Encoding Versus Training with Sparse Coding and Vector Quantization, ICML 2011),
who found whitened random patches nearly as good a dictionary as any that is learnt; here layer after layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    import numpy as np

_PATCHES: Final = 12_000
"""Patches behind the whitening of a layer."""
_SOFTEN: Final = 0.1
"""Share of the mean variance that whitening adds to each direction, so that noise is not blown up."""
_RARER: Final = 0.25
"""Deviations that a response lies below zero on average: a rectifier answers to patches that resemble its own."""


def start_on_exemplars(network: Any, images: Any, rng: np.random.Generator) -> None:
    """Set every convolution but the last.

    Args:
        network: a sequence of layers.
        images: N×3×H×W, normalised; some thirty of what it is to see.
        rng: decides which patches become filters.
    """
    layers = list(network.children())
    torch.manual_seed(int(rng.integers(1 << 62)))  # of the approximate principal directions
    with torch.inference_mode():
        signals = list(images.split(1))
        for layer in layers[:-1]:
            if isinstance(layer, nn.Conv2d):
                _set(layer, _patches(signals, layer.kernel_size, rng), rng)
            signals = [layer(signal) for signal in signals]


def _patches(signals: list[Any], kernel: tuple[int, ...], rng: np.random.Generator) -> Any:
    each = -(-_PATCHES // len(signals))
    drawn = []
    for signal in signals:
        rows, columns = (side - part + 1 for side, part in zip(signal.shape[2:], kernel, strict=True))
        places = rng.choice(rows * columns, min(each, rows * columns), replace=False)
        drawn.append(functional.unfold(signal.float(), kernel)[0].T[torch.as_tensor(places, device=signal.device)])
    return torch.cat(drawn)


def _set(layer: nn.Conv2d, patches: Any, rng: np.random.Generator) -> None:
    middle = patches.mean(0)
    centred = patches - middle
    count = min(layer.out_channels, *centred.shape)
    _, scales, directions = torch.svd_lowrank(centred, q=count, niter=2)
    variances = scales**2 / len(centred)
    softening = _SOFTEN * float((centred**2).mean())
    whitening = directions / torch.sqrt(variances + softening)
    chosen = rng.choice(len(centred), layer.out_channels, replace=len(centred) < layer.out_channels)
    exemplars = functional.normalize(centred[torch.as_tensor(chosen, device=centred.device)] @ whitening, dim=1)
    filters = whitening @ exemplars.T
    filters = filters / (centred @ filters).std(0).clamp(min=1e-6)
    layer.weight.copy_(filters.T.reshape(layer.weight.shape))
    layer.bias.copy_(-(middle @ filters) - _RARER)
