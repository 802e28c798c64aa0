"""What the autoencoder sees: one of brightness, contrast or saturation changed by up to a fifth (algorithm 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch

if TYPE_CHECKING:
    import numpy as np

_REACH: Final = 0.2
_LUMA: Final = (0.299, 0.587, 0.114)


def change_light(unit: Any, rng: np.random.Generator) -> Any:
    """One picture 3×H×W in 0…1, changed by a random factor from 0.8 to 1.2 in a random one of three ways."""
    way = int(rng.integers(3))
    factor = float(rng.uniform(1 - _REACH, 1 + _REACH))
    grey = (unit * torch.tensor(_LUMA, device=unit.device).view(3, 1, 1)).sum(dim=0, keepdim=True)
    base = (torch.zeros_like(grey), grey.mean(), grey)[way]  # towards black, the mean grey, or one's own grey
    return torch.clamp(base + factor * (unit - base), 0, 1)
