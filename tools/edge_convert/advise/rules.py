"""From needs to a recommendation. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_convert.advise.knowledge import MODELS

if TYPE_CHECKING:
    from edge_convert.advise.knowledge import Device, Model

_SHARE_OF_CYCLE: Final = 0.6
"""The rest of a cycle is the camera's, the decoder's and the PLC's; and what is measured elsewhere varies."""
_DAEMON_MB: Final = 150
_PROVING_GOOD: Final = 299
"""Good images that prove a false-reject rate of 1 % with 95 % confidence (Wilks)."""
_PROVING_BAD: Final = 59
"""Defects that prove an FNR of 5 % with 95 % confidence."""
_SMALLEST_DEFECT_PX: Final = 4
_MOST_TILES: Final = 32
"""In a row and in a column: what `--tiles` takes."""
_HIGHEST: Final = 3


@dataclass(frozen=True, slots=True)
class Needs:
    """What the line asks for."""

    accuracy: str
    """`highest`, `balanced` or `fast`."""
    cycle_ms: float
    memory_mb: int
    """0: what the device has."""
    good: int
    bad: int
    products: int
    logical: bool = False
    """Missing, surplus or misplaced components are defects."""
    frame_px: int = 0
    """Longer side of a frame; 0: not known."""
    defect_px: int = 0
    """Smallest defect to be found, in frame pixels; 0: not known."""
    gpu: bool = False
    """A GPU is there for training."""


@dataclass(frozen=True, slots=True)
class Option:
    """One model, judged."""

    model: Model
    inspection_ms: float
    tiles: int
    against: tuple[str, ...]
    """Why it cannot be taken; empty: it can."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do, and why."""

    options: tuple[Option, ...]
    """Those that can be taken, best first."""
    refused: tuple[Option, ...]
    reasons: tuple[str, ...]
    """For the first one."""
    notes: tuple[str, ...]
    """About images, limits and memory, whatever the model."""


def advise(needs: Needs, device: Device) -> Advice:
    """Judge every model against the needs; nothing is recommended that breaks one of them."""
    judged = [_judge(model, needs, device) for model in MODELS]
    usable = [option for option in judged if not option.against]
    usable.sort(key=lambda option: _rank(option, needs))
    refused = tuple(option for option in judged if option.against)
    reasons = _reasons(usable[0], needs, device) if usable else ()
    return Advice(tuple(usable), refused, reasons, _notes(needs, device, (usable or judged)[0]))


def tiles_needed(needs: Needs, input_px: int) -> int:
    """Tiles by which the smallest defect keeps at least four pixels of such an input; 1 if nothing is known."""
    if needs.frame_px <= input_px or needs.defect_px <= 0:
        return 1
    largest_tile_px = input_px * needs.defect_px / _SMALLEST_DEFECT_PX
    side: int = max(1, -(-needs.frame_px // max(1, int(largest_tile_px))))
    return side * side


def _in_int8(model: Model, device: Device) -> bool:
    return device.int8_pays and model.int8_holds


def _judge(model: Model, needs: Needs, device: Device) -> Option:
    tiles = tiles_needed(needs, model.input_px)
    cost = model.cost if _in_int8(model, device) else model.fp32_cost
    inspection_ms = cost * device.unit_ms * tiles
    memory_mb = needs.memory_mb or device.memory_mb
    needed_mb = _DAEMON_MB + needs.products * model.memory_mb
    against = []
    if inspection_ms > _SHARE_OF_CYCLE * needs.cycle_ms:
        against.append(
            f"about {inspection_ms:.0f} ms per part leaves too little of a cycle of {needs.cycle_ms:.0f} ms "
            f"(at most {_SHARE_OF_CYCLE:.0%} should be spent on inspection)"
        )
    if tiles > _MOST_TILES**2:
        against.append(
            f"a defect of {needs.defect_px} px in a frame of {needs.frame_px} px would need {tiles} tiles, "
            f"and there are {_MOST_TILES}x{_MOST_TILES} at most"
        )
    if needed_mb > memory_mb:
        against.append(f"{needs.products} product(s) need {needed_mb} MB of the {memory_mb} MB there are")
    if needs.good < model.lowest_good:
        against.append(f"{needs.good} good images are too few (from {model.lowest_good} on)")
    if needs.logical and not model.logical:
        against.append("it looks at details only: a missing or misplaced component with normal details passes")
    return Option(model, inspection_ms, tiles, tuple(against))


def _rank(option: Option, needs: Needs) -> tuple[float, ...]:
    """Smaller is better."""
    trained = option.model.logical and not needs.gpu
    if needs.accuracy == "fast":
        return (option.inspection_ms,)
    if needs.accuracy == "highest":
        return (-option.model.accuracy, float(trained), option.inspection_ms)
    return (float(trained), -min(option.model.accuracy, 2), option.inspection_ms)


def _reasons(option: Option, needs: Needs, device: Device) -> tuple[str, ...]:
    model = option.model
    precision = "INT8" if _in_int8(model, device) else "float32"
    time = f"about {option.inspection_ms:.0f} ms per part in {precision} on {device.name} ({device.basis})"
    reasons = [
        f"{time}, in a cycle of {needs.cycle_ms:.0f} ms",
        f"making it takes {model.effort}",
    ]
    if model.accuracy == _HIGHEST:
        reasons.append("published figures put it among the most accurate on surface defects")
    if needs.logical:
        reasons.append("it compares the whole part with what it has learnt, so that a missing component shows")
    if model.logical and not needs.gpu:
        reasons.append("without a GPU its training takes many hours: plan for one, or shorten it and check the figures")
    return tuple(reasons)


def _grid(tiles: int) -> str:
    side = math.isqrt(tiles)
    return f"{side}x{side}"


def _notes(needs: Needs, device: Device, option: Option) -> tuple[str, ...]:
    notes, tiles = [], option.tiles
    if 1 < tiles <= _MOST_TILES**2:
        notes.append(
            f"a defect of {needs.defect_px} px in a frame of {needs.frame_px} px vanishes when the frame is shrunk to "
            f"{option.model.input_px}: take --tiles {_grid(tiles)} ({tiles} tiles, so {tiles} times the time); "
            "--tiles auto knows the frame alone, not the defect"
        )
    if needs.good < _PROVING_GOOD:
        notes.append(
            f"{needs.good} good images cannot prove a false-reject rate of 1 %; {_PROVING_GOOD} can: "
            "edge-runtime capture records them on the line, edge-convert add takes them in later"
        )
    if needs.bad == 0:
        notes.append(
            "without a single defective image the miss rate is unknown: collect rejects, then run edge-convert eval"
        )
    elif needs.bad < _PROVING_BAD:
        notes.append(f"{needs.bad} defective images show whether it works; {_PROVING_BAD} prove an FNR of 5 %")
    else:
        notes.append("there are enough defects to choose limits by: edge-convert relimit --target-fnr or by costs")
    if needs.products > 1:
        notes.append(
            f"{needs.products} products are {needs.products} bundles: each needs its own good images and limits"
        )
    if "estimate" in device.basis:
        notes.append("the time is an estimate: run edge-convert eval on the device before you decide")
    return tuple(notes)
