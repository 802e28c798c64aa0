"""Frames of the simulated conveyor: belt, part, light and sensor noise. Pure: the same arguments, the same frame.

The scene (belt, product, lamp) is the same for every seed, so that a model taught with one seed works with another; the
seed draws each part's pose, its noise and its defect.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge_runtime.camera.sim_defects import Defect, DefectKind, apply_defect
from edge_runtime.camera.sim_part import draw_part

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from edge_runtime.camera.sim_part import PartDrawing, Pixels

DRIFT_PERIOD_PARTS = 400
"""Parts in one cycle of the slow illumination drift."""

_RADIUS_SHARE = 0.40
_ROTATION_DEG = 7.0
_SHIFT_SHARE = 0.018
_NOISE_SIGMA = 2.0
_SLACK_PX = 64


@dataclass(frozen=True, slots=True)
class _Scene:
    belt: Pixels
    lamp: Pixels
    noise: npt.NDArray[np.int16]
    part: PartDrawing


def defect_of(seed: int, sequence: int) -> Defect:
    """Which defect part `sequence` has if it is defective."""
    draw = np.random.default_rng((seed % 2**64, sequence, 2))
    kind = tuple(DefectKind)[int(draw.integers(len(DefectKind)))]
    return Defect(kind=kind, size=float(draw.beta(1.3, 1.3)), seed=int(draw.integers(2**63)))


def render_part(
    seed: int,
    sequence: int,
    *,
    defective: bool,
    width_px: int = 320,
    height_px: int = 240,
    illumination_drift: float = 0.05,
) -> Pixels:
    """The frame of part number `sequence`: height×width×3 RGB uint8, read-only.

    Pose, light and noise do not depend on `defective`: the two frames of a part differ in the defect alone.
    `illumination_drift` is the relative amplitude of the slow brightness drift, 0…0.9.
    """
    scene = _scene(width_px, height_px)
    part = scene.part
    draw = np.random.default_rng((seed % 2**64, sequence, 1))
    colour, metal = part.colour, part.metal
    if defective:
        colour, metal = apply_defect(part, defect_of(seed, sequence))
    shift = draw.normal(0, _SHIFT_SHARE * height_px, 2).clip(-0.04 * height_px, 0.04 * height_px)
    pose = cv2.getRotationMatrix2D((part.centre_px, part.centre_px), float(draw.uniform(-1, 1) * _ROTATION_DEG), 1.0)
    pose[:, 2] += (width_px - 1) / 2 - part.centre_px + shift[0], (height_px - 1) / 2 - part.centre_px + shift[1]
    frame = _compose(scene, colour, metal, pose, int(draw.integers(_SLACK_PX)))
    phase = 2 * math.pi * sequence / DRIFT_PERIOD_PARTS
    gain = (1 + illumination_drift * math.sin(phase)) * (1 + float(draw.normal(0, 0.004)))
    frame = cv2.multiply(frame, scene.lamp, scale=gain / 200)
    top, left = draw.integers(_SLACK_PX, size=2)
    noise = scene.noise[top : top + height_px, left : left + width_px]
    noisy: Pixels = cv2.add(frame, noise, dtype=cv2.CV_8U)
    noisy.flags.writeable = False
    return noisy


def render_good_parts(
    count: int,
    seed: int,
    *,
    width_px: int = 320,
    height_px: int = 240,
    illumination_drift: float = 0.05,
) -> Iterator[Pixels]:
    """Good frames to teach with; none of them ever passes on a belt that is run with the same seed.

    They are spread over the whole cycle of the illumination drift.
    """
    first = 2**40  # a belt with five parts per second gets there in 7,000 years
    for number in range(count):
        sequence = first + round(number * DRIFT_PERIOD_PARTS / max(count, 1)) + number * DRIFT_PERIOD_PARTS
        yield render_part(
            seed,
            sequence,
            defective=False,
            width_px=width_px,
            height_px=height_px,
            illumination_drift=illumination_drift,
        )


def _compose(scene: _Scene, colour: Pixels, metal: Pixels, pose: npt.NDArray[np.float64], belt_at: int) -> Pixels:
    """Belt, shadow and part in one picture; colour is premultiplied so that edges blend without a fringe."""
    height, width = scene.lamp.shape[:2]
    cover = cv2.max(metal, scene.part.shadow)
    layers = cv2.merge([*cv2.split(cv2.multiply(colour, cv2.merge([metal] * 3), scale=1 / 255)), cover])
    posed = cv2.warpAffine(layers, pose, (width, height), flags=cv2.INTER_LINEAR)
    bare = cv2.bitwise_not(posed[:, :, 3])
    ground = cv2.multiply(scene.belt[:, belt_at : belt_at + width], cv2.merge([bare] * 3), scale=1 / 255)
    seen: Pixels = cv2.add(ground, np.ascontiguousarray(posed[:, :, :3]))
    return seen


@lru_cache(maxsize=4)
def _scene(width_px: int, height_px: int) -> _Scene:
    draw = np.random.default_rng(1_907)
    return _Scene(
        belt=_belt(width_px + _SLACK_PX, height_px, draw),
        lamp=_lamp(width_px, height_px),
        noise=draw.normal(0, _NOISE_SIGMA, (height_px + _SLACK_PX, width_px + _SLACK_PX, 3)).round().astype(np.int16),
        part=draw_part(_RADIUS_SHARE * min(width_px, height_px)),
    )


def _belt(width_px: int, height_px: int, draw: np.random.Generator) -> Pixels:
    """Dark green rubber with a woven print."""
    y, x = np.mgrid[0:height_px, 0:width_px].astype(np.float32)
    pitch = max(3.0, height_px / 60)
    weave = np.sin(2 * np.pi * (x + y) / pitch) * np.sin(2 * np.pi * (x - y) / pitch)
    grain = cv2.GaussianBlur(draw.normal(0, 1, (height_px, width_px)).astype(np.float32), (0, 0), 1.2)
    cloud = cv2.GaussianBlur(draw.normal(0, 1, (height_px, width_px)).astype(np.float32), (0, 0), height_px / 12)
    level = 46 + 5 * weave + 4 * grain / grain.std() + 3 * cloud / cloud.std()
    rubber: Pixels = np.clip(level[..., None] * np.array([0.78, 1.0, 0.90]), 0, 255).astype(np.uint8)
    return rubber


def _lamp(width_px: int, height_px: int) -> Pixels:
    """Illumination, 200 is full: brighter at the upper left, falling off to the corners."""
    y, x = np.mgrid[0:height_px, 0:width_px].astype(np.float32)
    u, v = x / width_px - 0.42, y / height_px - 0.40
    fall = 1.06 - 0.55 * (u**2 + v**2)
    warm = fall[..., None] * np.array([1.01, 1.0, 0.975])
    light: Pixels = np.clip(200 * warm, 0, 255).astype(np.uint8)
    return light
