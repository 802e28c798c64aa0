"""The product on the simulated belt: a turned steel flange, drawn once and then posed for each frame. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.uint8]
Plane: TypeAlias = npt.NDArray[np.float32]

HOLES = 6
_SUPERSAMPLING = 3
_MARGIN = 1.22
"""Half side of the drawing in part radii; leaves room for the shadow."""
_BORE, _HUB, _HOLE_CIRCLE, _HOLE = 0.24, 0.44, 0.70, 0.095
"""Radii in units of the part's radius."""
_LIGHT_ANGLE = math.radians(-125)
_SHADOW = 0.62


@dataclass(frozen=True, slots=True)
class PartDrawing:
    """The flange in its canonical pose, centred, with the shadow it casts."""

    radius_px: float
    colour: Pixels
    """S×S×3 RGB of the metal, holes filled."""
    metal: Pixels
    """S×S coverage of the metal, 0…255, with all holes."""
    solid: Pixels
    """S×S coverage with the bolt holes filled."""
    shadow: Pixels
    """S×S darkness that the part throws on what is under it, 0…255."""

    @property
    def centre_px(self) -> float:
        """Centre of the part in the drawing, x and y."""
        return (len(self.colour) - 1) / 2

    def hole_centre(self, number: int) -> tuple[float, float]:
        """Centre of a bolt hole in pixels of the drawing, x and y."""
        angle = 2 * math.pi * number / HOLES
        reach = _HOLE_CIRCLE * self.radius_px
        return self.centre_px + reach * math.cos(angle), self.centre_px + reach * math.sin(angle)

    @property
    def hole_radius_px(self) -> float:
        """Radius of a bolt hole."""
        return _HOLE * self.radius_px


@lru_cache(maxsize=4)
def draw_part(radius_px: float) -> PartDrawing:
    """The product at a given size; the same on every line and for every seed."""
    side = 2 * math.ceil(radius_px * _MARGIN) + 1
    grid = side * _SUPERSAMPLING
    axis = (np.arange(grid, dtype=np.float32) - (grid - 1) / 2) / (radius_px * _SUPERSAMPLING)
    x, y = np.meshgrid(axis, axis)
    radius = np.hypot(x, y)
    angle = np.arctan2(y, x)
    edge = 1.0 / (radius_px * _SUPERSAMPLING)
    solid = _step(1.0 - radius, edge) * _step(radius - _BORE, edge)
    holes = _bolt_hole_distance(x, y)
    metal = solid * _step(holes - _HOLE, edge)
    shade = _turned_surface(radius, angle) + _bevels(x, y, radius, holes)
    colour = shade[..., None] * np.array([0.985, 1.0, 1.02], np.float32)
    _engrave(colour, radius_px)
    shadow = np.roll(
        cv2.GaussianBlur(metal, (0, 0), 0.045 * grid / 2), (round(0.03 * grid), round(0.02 * grid)), (0, 1)
    )
    return PartDrawing(
        radius_px=radius_px,
        colour=_shrink(np.clip(colour, 0, 255), side),
        metal=_shrink(metal * 255, side),
        solid=_shrink(solid * 255, side),
        shadow=_shrink(shadow * (_SHADOW * 255), side),
    )


def _turned_surface(radius: Plane, angle: Plane) -> Plane:
    """Grey of a face turned on a lathe: rings from the tool, fine brushing, and the highlight fan they reflect."""
    noise = np.random.default_rng(20_240_117)
    rings = cv2.GaussianBlur(noise.normal(0, 1, (1, 1200)).astype(np.float32), (0, 0), 2.0)
    rings = rings / rings.std() * 5.0
    brushing = cv2.GaussianBlur(noise.normal(0, 1, (900, 360)).astype(np.float32), (0, 0), sigmaX=9, sigmaY=0.8)
    brushing = brushing / brushing.std() * 3.5
    column = ((angle / (2 * np.pi) + 0.5) * 359).astype(np.float32)
    ring = cv2.remap(rings, (radius * 900).astype(np.float32), np.zeros_like(radius), cv2.INTER_LINEAR, borderMode=1)
    brushed = cv2.remap(brushing, column, (radius * 760).astype(np.float32), cv2.INTER_LINEAR, borderMode=1)
    fan = np.cos(angle - _LIGHT_ANGLE) ** 2
    face = 148 + 30 * fan + ring + brushed
    hub = radius < _HUB
    turned: Plane = np.where(hub, face + 14 - 10 * fan, face).astype(np.float32)
    return turned


def _bevels(x: Plane, y: Plane, radius: Plane, holes: Plane) -> Plane:
    """Brightness that chamfers add: towards the light bright, away from it dark."""
    facing = np.cos(np.arctan2(y, x) - _LIGHT_ANGLE)
    rim = _ridge(radius, 0.965, 0.030)
    hub = _ridge(radius, _HUB, 0.022)
    bore = _ridge(radius, _BORE + 0.02, 0.022)
    hole = _ridge(holes, _HOLE + 0.016, 0.016)
    return (52 * rim * facing + 44 * hub * facing - 46 * bore * facing - 38 * hole + 18 * hole * facing).astype(
        np.float32
    )


def _engrave(colour: npt.NDArray[np.float32], radius_px: float) -> None:
    """The type number at six o'clock, between two holes, in place."""
    unit = radius_px * _SUPERSAMPLING
    centre = colour.shape[0] / 2
    mask = np.zeros(colour.shape[:2], np.uint8)
    scale = unit / 200
    thickness = max(1, round(unit / 55))
    (width, height), _ = cv2.getTextSize("ER 07", cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    corner = (round(centre - width / 2), round(centre + 0.70 * unit + height / 2))
    cv2.putText(mask, "ER 07", corner, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thickness, cv2.LINE_AA)
    depth = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), unit / 150)
    colour -= (70 * depth - 30 * np.roll(depth, (thickness, thickness), (0, 1)))[..., None]


def _bolt_hole_distance(x: Plane, y: Plane) -> Plane:
    """Distance to the centre of the nearest bolt hole."""
    nearest = np.full_like(x, np.inf)
    for number in range(HOLES):
        angle = 2 * math.pi * number / HOLES
        distance = np.hypot(x - _HOLE_CIRCLE * math.cos(angle), y - _HOLE_CIRCLE * math.sin(angle))
        nearest = np.minimum(nearest, distance)
    return nearest


def _ridge(distance: Plane, at: float, width: float) -> Plane:
    ridge: Plane = np.exp(-(((distance - at) / width) ** 2))
    return ridge


def _step(distance: Plane, edge: float) -> Plane:
    step: Plane = np.clip(distance / edge + 0.5, 0, 1)
    return step


def _shrink(plane: Plane, side: int) -> Pixels:
    small: Pixels = cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA).round().astype(np.uint8)
    return small
