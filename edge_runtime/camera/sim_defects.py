"""What can be wrong with a simulated part. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge_runtime.camera.sim_part import HOLES

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_runtime.camera.sim_part import PartDrawing, Pixels, Plane


class DefectKind(StrEnum):
    """Kinds of defects on the simulated belt."""

    SCRATCH = "scratch"
    DENT = "dent"
    STAIN = "stain"
    MISSING_HOLE = "missing_hole"
    CHIPPED_EDGE = "chipped_edge"


@dataclass(frozen=True, slots=True)
class Defect:
    """One defect; drawn the same way every time."""

    kind: DefectKind
    size: float
    """0 (small, but visible to a person) … 1 (coarse)."""
    seed: int


def apply_defect(drawing: PartDrawing, defect: Defect) -> tuple[Pixels, Pixels]:
    """Colour (S×S×3) and metal coverage (S×S) of the part with this defect; the drawing itself is not touched."""
    draw = np.random.default_rng(defect.seed)
    colour, metal = drawing.colour.copy(), drawing.metal.copy()
    if defect.kind is DefectKind.SCRATCH:
        _scratch(drawing, colour, defect.size, draw)
    elif defect.kind is DefectKind.DENT:
        _dent(drawing, colour, defect.size, draw)
    elif defect.kind is DefectKind.STAIN:
        _stain(drawing, colour, defect.size, draw)
    elif defect.kind is DefectKind.MISSING_HOLE:
        _fill_hole(drawing, colour, metal, draw)
    else:
        _chip(drawing, colour, metal, defect.size, draw)
    return colour, metal


def _scratch(drawing: PartDrawing, colour: Pixels, size: float, draw: np.random.Generator) -> None:
    """A line that bends a little, bright where metal was thrown up and dark in the groove."""
    centre, heading = _place_on_face(drawing, draw, 0.52, 0.86), draw.uniform(0, math.pi)
    length = drawing.radius_px * (0.30 + 0.65 * size)
    bend = draw.uniform(-0.25, 0.25) * length
    along = np.linspace(-0.5, 0.5, 24)
    bow = bend * (along**2 - 0.08)
    x = centre[0] + along * length * math.cos(heading) - bow * math.sin(heading)
    y = centre[1] + along * length * math.sin(heading) + bow * math.cos(heading)
    thickness = max(1, round(drawing.radius_px / 70 * (1 + size)))
    groove, burr = np.zeros_like(drawing.metal), np.zeros_like(drawing.metal)
    for mask, offset in ((burr, 0.0), (groove, thickness * 0.9)):
        points = np.stack([x + offset, y + offset], axis=1)
        cv2.polylines(
            mask,
            [np.round(points * 16).astype(np.int32)],
            isClosed=False,
            color=255,
            thickness=thickness,
            lineType=cv2.LINE_AA,
            shift=4,
        )
    _blend(colour, burr.astype(np.float32) / 255, (242, 244, 248))
    _blend(colour, groove.astype(np.float32) / 255 * 0.85, (62, 62, 66))


def _dent(drawing: PartDrawing, colour: Pixels, size: float, draw: np.random.Generator) -> None:
    """A hollow: dark on the side of the light, bright on the other."""
    x, y, spread = *_place_on_face(drawing, draw, 0.54, 0.80), drawing.radius_px * (0.045 + 0.065 * size)
    dx, dy = _offsets(drawing, x, y)
    bell = np.exp(-(dx**2 + (dy * draw.uniform(0.8, 1.3)) ** 2) / (2 * spread**2))
    slope = (dx * 0.57 + dy * 0.82) / spread * bell
    shaded = colour + (95 * slope - 28 * bell)[..., None]
    np.copyto(colour, np.clip(shaded, 0, 255).astype(np.uint8))


def _stain(drawing: PartDrawing, colour: Pixels, size: float, draw: np.random.Generator) -> None:
    """Oil or rust: an irregular brown film."""
    x, y = _place_on_face(drawing, draw, 0.40, 0.80)
    reach = drawing.radius_px * (0.07 + 0.13 * size)
    film = np.zeros_like(drawing.metal)
    for _ in range(9):
        spot = (round(x + draw.normal(0, 0.55) * reach), round(y + draw.normal(0, 0.55) * reach))
        cv2.circle(film, spot, max(1, round(reach * draw.uniform(0.3, 0.75))), 255, cv2.FILLED, cv2.LINE_AA)
    soft = cv2.GaussianBlur(film.astype(np.float32) / 255, (0, 0), max(0.6, drawing.radius_px / 60))
    _blend(colour, soft * draw.uniform(0.45, 0.75), (96, 62, 30))


def _fill_hole(drawing: PartDrawing, colour: Pixels, metal: Pixels, draw: np.random.Generator) -> None:
    """A bolt hole that was never drilled: the plain face goes on."""
    number = int(draw.integers(HOLES))
    x, y = drawing.hole_centre(number)
    mask = np.zeros_like(metal)
    cv2.circle(mask, (round(x), round(y)), math.ceil(drawing.hole_radius_px * 1.5), 255, cv2.FILLED)
    np.copyto(metal, drawing.solid, where=mask > 0)
    face = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), max(0.6, drawing.radius_px / 80))
    # The face half a pitch further on has no hole; the engraved number at six o'clock must not come along.
    degrees = 180 / HOLES * (-1 if number == 1 else 1)
    turn = cv2.getRotationMatrix2D((drawing.centre_px, drawing.centre_px), degrees, 1.0)
    _blend(colour, face, cv2.warpAffine(drawing.colour, turn, metal.shape[::-1]).astype(np.float32))


def _chip(drawing: PartDrawing, colour: Pixels, metal: Pixels, size: float, draw: np.random.Generator) -> None:
    """A piece broken out of the rim, with a bright fracture."""
    angle = draw.uniform(0, 2 * math.pi)
    reach = drawing.radius_px * (0.085 + 0.12 * size)
    x = drawing.centre_px + drawing.radius_px * 1.0 * math.cos(angle)
    y = drawing.centre_px + drawing.radius_px * 1.0 * math.sin(angle)
    corners = np.linspace(0, 2 * math.pi, 11, endpoint=False)
    ragged = reach * draw.uniform(0.7, 1.2, corners.size)
    outline = np.stack([x + ragged * np.cos(corners), y + ragged * np.sin(corners)], axis=1)
    bite = np.zeros_like(metal)
    cv2.fillPoly(bite, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    fracture = cv2.dilate(bite, np.ones((3, 3), np.uint8), iterations=max(1, round(drawing.radius_px / 60)))
    _blend(colour, fracture.astype(np.float32) / 255 * 0.8, (226, 226, 222))
    np.copyto(metal, np.minimum(metal, 255 - bite))


def _place_on_face(drawing: PartDrawing, draw: np.random.Generator, inner: float, outer: float) -> tuple[float, float]:
    """A point on the face between two radii (in part radii), away from the bolt holes."""
    for _ in range(20):
        angle, reach = draw.uniform(0, 2 * math.pi), drawing.radius_px * draw.uniform(inner, outer)
        x = drawing.centre_px + reach * math.cos(angle)
        y = drawing.centre_px + reach * math.sin(angle)
        if all(math.dist((x, y), drawing.hole_centre(n)) > 1.6 * drawing.hole_radius_px for n in range(HOLES)):
            break
    return x, y


def _offsets(drawing: PartDrawing, x: float, y: float) -> tuple[Plane, Plane]:
    axis = np.arange(drawing.metal.shape[0], dtype=np.float32)
    return axis[None, :] - np.float32(x), axis[:, None] - np.float32(y)


def _blend(colour: Pixels, amount: npt.NDArray[np.floating], tint: tuple[int, int, int] | Plane) -> None:
    """Mix a tint into the colour, in place; amount 0…1 per pixel."""
    mixed = colour + amount[..., None] * (np.asarray(tint, np.float32) - colour)
    np.copyto(colour, mixed.astype(np.uint8))
