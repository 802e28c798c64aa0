"""Channel statistics of the teacher, and the quantiles that make the two maps comparable (section 3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from edge_convert.efficientad.model import Quantiles

if TYPE_CHECKING:
    from edge_convert.efficientad.device import Device
    from edge_convert.efficientad.model import EfficientAd
    from edge_convert.efficientad.parts import GoodParts
    from edge_convert.progress import Observer
    from edge_runtime.vision.mask import Mask

LOWER: Final = 0.9
UPPER: Final = 0.995


def spaced(count: int, most: int) -> list[int]:
    """At most `most` of `count` indices, evenly spread."""
    chosen = min(count, most)
    return [number * count // chosen for number in range(chosen)]


def seen_cells(grid: Any, counted: Mask | None) -> Any:
    """Of a grid C×h×w the cells that count, C×N; None: all, row by row."""
    return grid.flatten(1) if counted is None else grid[:, torch.as_tensor(counted, device=grid.device)]


def measure_teacher(model: EfficientAd, parts: GoodParts, most: int, device: Device, observer: Observer) -> None:
    """Set the model's channel mean and deviation from the teacher's features of at most `most` good parts."""
    total: Any = 0.0
    squares: Any = 0.0
    count = 0
    chosen = spaced(len(parts), most)
    with observer.stage("teacher's channels", len(chosen)) as stage, torch.inference_mode():
        for index in chosen:
            with device.precision():
                found = model.teacher(device.normalised(device.tensor([parts.picture(index)])))
            cells = seen_cells(found[0].double(), parts.cells(index))
            total = total + cells.sum(dim=1)
            squares = squares + (cells**2).sum(dim=1)
            count += cells.shape[1]
            stage.advance()
    mean = total / count
    std = torch.sqrt(torch.clamp(squares / count - mean**2, min=0))
    floor = 1e-3 * float(std.max()) + 1e-12  # a channel that good parts never move must not become all noise
    model.mean = mean.float().view(1, -1, 1, 1).clone()
    model.std = torch.clamp(std, min=floor).float().view(1, -1, 1, 1).clone()


def measure_quantiles(model: EfficientAd, parts: GoodParts, most: int, device: Device, observer: Observer) -> None:
    """Set the quantiles of the maps from at most `most` held-out good parts, in float32."""
    model.evaluate()
    local: list[Any] = []
    logical: list[Any] = []
    chosen = spaced(len(parts), most)
    with observer.stage("quantiles of the maps", len(chosen)) as stage, torch.inference_mode():
        for index in chosen:
            first, second = model.raw_maps(device.normalised(device.tensor([parts.picture(index)])))
            counted = parts.pixels(index)
            local.append(seen_cells(first[0], counted).cpu().numpy().ravel())
            if second is not None:
                logical.append(seen_cells(second[0], counted).cpu().numpy().ravel())
            stage.advance()
    model.student_quantiles = _quantiles(local)
    if logical:
        model.autoencoder_quantiles = _quantiles(logical)


def _quantiles(maps: list[Any]) -> Quantiles:
    lower, upper = np.quantile(np.concatenate(maps), [LOWER, UPPER])
    return Quantiles(float(lower), float(upper))
