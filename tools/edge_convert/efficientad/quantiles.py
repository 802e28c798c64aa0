"""Channel statistics of the teacher, and the quantiles that make the two maps comparable (section 3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from edge_convert.efficientad.model import Quantiles

if TYPE_CHECKING:
    from edge_convert.efficientad.data import GoodParts
    from edge_convert.efficientad.device import Device
    from edge_convert.efficientad.model import EfficientAd
    from edge_convert.progress import Observer

LOWER: Final = 0.9
UPPER: Final = 0.995


def spaced(count: int, most: int) -> list[int]:
    """At most `most` of `count` indices, evenly spread."""
    chosen = min(count, most)
    return [number * count // chosen for number in range(chosen)]


def measure_teacher(model: EfficientAd, parts: GoodParts, most: int, device: Device, observer: Observer) -> None:
    """Set the model's channel mean and deviation from the teacher's features of at most `most` good parts."""
    total: Any = 0.0
    squares: Any = 0.0
    chosen = spaced(len(parts), most)
    with observer.stage("teacher's channels", len(chosen)) as stage, torch.inference_mode():
        for index in chosen:
            with device.precision():
                found = model.teacher(device.normalised(device.tensor([parts.picture(index)])))
            found = found.double()
            total = total + found.mean(dim=(0, 2, 3))
            squares = squares + (found**2).mean(dim=(0, 2, 3))
            stage.advance()
    mean = total / len(chosen)
    std = torch.sqrt(torch.clamp(squares / len(chosen) - mean**2, min=0))
    floor = 1e-3 * float(std.max()) + 1e-12  # a channel that good parts never move must not become all noise
    model.mean = mean.float().view(1, -1, 1, 1).clone()
    model.std = torch.clamp(std, min=floor).float().view(1, -1, 1, 1).clone()


def measure_quantiles(model: EfficientAd, parts: GoodParts, most: int, device: Device, observer: Observer) -> None:
    """Set the quantiles of both maps from at most `most` held-out good parts, in float32."""
    model.evaluate()
    local: list[Any] = []
    logical: list[Any] = []
    chosen = spaced(len(parts), most)
    with observer.stage("quantiles of both maps", len(chosen)) as stage, torch.inference_mode():
        for index in chosen:
            first, second = model.raw_maps(device.normalised(device.tensor([parts.picture(index)])))
            local.append(first.cpu().numpy().ravel())
            logical.append(second.cpu().numpy().ravel())
            stage.advance()
    model.student_quantiles = _quantiles(local)
    model.autoencoder_quantiles = _quantiles(logical)


def _quantiles(maps: list[Any]) -> Quantiles:
    lower, upper = np.quantile(np.concatenate(maps), [LOWER, UPPER])
    return Quantiles(float(lower), float(upper))
