"""What the pretext task asks for in every cell of layer2 and layer3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from train_backbone.generators import FAMILY_OF
from train_backbone.network import CLASS_STEP, INPUT_MEAN, INPUT_STD, STATISTICS
from train_backbone.scenes import MARK_KINDS, REGIONS, Batch

_WEIGHTS: Final = {"class": 1.0, "family": 1.0, "marks": 2.0, "statistics": 0.5}
_LAYER_WEIGHTS: Final = {2: 0.5, 3: 1.0}
_FINE: Final = 8
_FAMILY_OF: Final = torch.from_numpy(FAMILY_OF)
_FACTS: Final = [REGIONS, MARK_KINDS, STATISTICS]
_MARK_SEEN: Final = 0.08
_PURE: Final = 0.8


@dataclass(frozen=True, slots=True)
class Targets:
    """A batch as tensors."""

    image: Tensor
    """N x 3 x S x S, normalised for the network, channels last."""
    regions: Tensor
    """N x REGIONS x S x S, one-hot."""
    classes: Tensor
    """N x REGIONS."""
    marks: Tensor
    """N x MARK_KINDS x S x S, one-hot; all zero where there is no mark."""


def to_targets(batch: Batch) -> Targets:
    """Convert a batch; nothing is shared with it."""
    pixels = torch.from_numpy(batch.images).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (INPUT_MEAN, INPUT_STD))
    regions = torch.from_numpy(batch.regions)
    marks = torch.from_numpy(batch.marks)
    return Targets(
        image=((pixels - mean) / std).contiguous(memory_format=torch.channels_last),
        regions=torch.stack([(regions == index).float() for index in range(REGIONS)], 1),
        classes=torch.from_numpy(batch.classes),
        marks=torch.stack([(marks == kind + 1).float() for kind in range(MARK_KINDS)], 1),
    )


def _cell_facts(targets: Targets) -> Tensor:
    """Return averages over the cells of layer2: regions, marks, colours, their squares and edge moments."""
    image = targets.image
    grey = image.mean(1, keepdim=True)
    right = functional.pad(grey[..., :, 2:] - grey[..., :, :-2], (1, 1, 0, 0))
    down = functional.pad(grey[..., 2:, :] - grey[..., :-2, :], (0, 0, 1, 1))
    moments = (right * right + down * down, right * right - down * down, 2 * right * down)
    facts = (targets.regions, targets.marks, image, image * image, *moments)
    return torch.cat([functional.avg_pool2d(fact, _FINE) for fact in facts], 1)


def _statistics(facts: Tensor) -> Tensor:
    """Return per cell the mean and spread of each channel and the strength and direction of its edges."""
    mean, squares, power, direction = torch.split(facts, [3, 3, 1, 2], 1)
    spread = (squares - mean * mean).clamp_min(0).sqrt()
    strength = (power + 1e-3).sqrt()
    return torch.cat([mean, 2 * spread, 2 * strength, direction / strength], 1)


def _class_loss(logits: Tensor, shares: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return cross entropy against the shares of the textures in a cell, and accuracy in pure cells."""
    log_probability = functional.log_softmax(logits, 1)
    index = classes[:, :, None, None].expand_as(shares)
    loss = -(shares * log_probability.gather(1, index)).sum(1).mean()
    best, owner = shares.max(1)
    wanted = index.gather(1, owner[:, None])[:, 0]
    pure = best > _PURE
    hit = (logits.detach().argmax(1) == wanted) & pure
    return loss, hit.sum() / pure.sum().clamp_min(1)


def pretext_loss(outputs: dict[str, Tensor], targets: Targets) -> tuple[Tensor, dict[str, float]]:
    """Return the weighted sum of all losses, and each part and accuracy by name for the log."""
    total = torch.zeros(())
    log: dict[str, float] = {}
    facts = _cell_facts(targets)
    for layer, coarser in ((2, 1), (3, 2)):
        shares, marks, values = torch.split(functional.avg_pool2d(facts, coarser), _FACTS, 1)
        families = _FAMILY_OF[targets.classes]
        asked = shares[..., ::CLASS_STEP, ::CLASS_STEP] if layer == 2 else shares  # noqa: PLR2004
        class_loss, accuracy = _class_loss(outputs[f"class{layer}"], asked, targets.classes)
        family_loss, family_accuracy = _class_loss(outputs[f"family{layer}"], shares, families)
        seen = (marks > _MARK_SEEN).float()
        parts = {
            "class": class_loss,
            "family": family_loss,
            "marks": functional.binary_cross_entropy_with_logits(outputs[f"marks{layer}"], seen),
            "statistics": functional.smooth_l1_loss(outputs[f"statistics{layer}"], _statistics(values)),
        }
        for name, value in parts.items():
            total = total + _LAYER_WEIGHTS[layer] * _WEIGHTS[name] * value
            log[f"{name}{layer}"] = float(value.detach())
        log |= {f"accuracy{layer}": float(accuracy), f"family_accuracy{layer}": float(family_accuracy)}
    return total, log
