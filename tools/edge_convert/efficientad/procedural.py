"""Pictures of nothing in particular: what a student must not learn to imitate, and what a teacher can be distilled on.

Only numpy and OpenCV; a picture depends on its random generator alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Field = npt.NDArray[np.float32]
    Picture = npt.NDArray[np.uint8]

_LAYERS: Final = 4
_OCTAVES: Final = 5


def draw_scene(rng: np.random.Generator, side_px: int) -> Picture:
    """Draw up to four coloured textures over one another, lit unevenly, slightly blurred and noisy.

    Args:
        rng: decides everything.
        side_px: height and width.

    Returns:
        H×W×3 RGB.
    """
    picture = _coloured(rng, _texture(rng, side_px))
    for _ in range(int(rng.integers(0, _LAYERS))):
        mask = _mask(rng, side_px)[..., np.newaxis]
        picture = picture + mask * (_coloured(rng, _texture(rng, side_px)) - picture)
    for _ in range(int(rng.integers(0, 4))):
        _stroke(rng, picture)
    return _photographed(rng, picture)


def _texture(rng: np.random.Generator, side_px: int) -> Field:
    return _FAMILIES[int(rng.integers(len(_FAMILIES)))](rng, side_px)


def _noise(rng: np.random.Generator, side_px: int, knots: int) -> Field:
    coarse = rng.standard_normal((knots, knots)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (side_px, side_px), interpolation=cv2.INTER_CUBIC), np.float32)


def _clouds(rng: np.random.Generator, side_px: int) -> Field:
    roughness = float(rng.uniform(0.35, 0.95))
    base = int(rng.integers(2, 9))
    octaves = [_noise(rng, side_px, min(side_px, base * 2**octave)) * roughness**octave for octave in range(_OCTAVES)]
    return np.asarray(np.sum(octaves, axis=0), np.float32)


def _axes(rng: np.random.Generator, side_px: int) -> tuple[Field, Field]:
    """Coordinates in pixels, turned, and bent by a slow noise."""
    axis = np.arange(side_px, dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    bend = float(rng.choice([0.0, 0.0, 0.02, 0.06])) * side_px
    x = axis[np.newaxis, :] + bend * _noise(rng, side_px, 4)
    y = axis[:, np.newaxis] + bend * _noise(rng, side_px, 4)
    turned = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return np.asarray(turned[0], np.float32), np.asarray(turned[1], np.float32)


def _period(rng: np.random.Generator, side_px: int) -> float:
    return float(side_px * np.exp(rng.uniform(np.log(0.015), np.log(0.25))))


def _stripes(rng: np.random.Generator, side_px: int) -> Field:
    across, _ = _axes(rng, side_px)
    return np.asarray(np.tanh(rng.uniform(0.5, 8) * np.sin(2 * np.pi * across / _period(rng, side_px))), np.float32)


def _weave(rng: np.random.Generator, side_px: int) -> Field:
    across, along = _axes(rng, side_px)
    period = _period(rng, side_px)
    waves = np.sin(2 * np.pi * across / period) * np.sin(2 * np.pi * along / (period * rng.uniform(0.5, 2)))
    return np.asarray(np.tanh(rng.uniform(0.5, 8) * waves), np.float32)


def _cells(rng: np.random.Generator, side_px: int) -> Field:
    """Distance to the nearest of scattered seeds: pebbles, scales, cracks."""
    seeds = np.ones((side_px, side_px), np.uint8)
    count = int(np.exp(rng.uniform(np.log(6), np.log(400))))
    seeds[tuple(rng.integers(0, side_px, (2, count)))] = 0
    distance = cv2.distanceTransform(seeds, cv2.DIST_L2, 5)
    return np.asarray(np.sin(distance * rng.uniform(0.05, 1.0)) if rng.random() < 0.4 else distance, np.float32)  # noqa: PLR2004


def _grain(rng: np.random.Generator, side_px: int) -> Field:
    field = rng.standard_normal((side_px, side_px)).astype(np.float32)
    reach = tuple(float(value) for value in np.exp(rng.uniform(np.log(0.4), np.log(side_px / 24), 2)))
    return np.asarray(cv2.GaussianBlur(field, (0, 0), sigmaX=reach[0], sigmaY=reach[1]), np.float32)


def _shapes(rng: np.random.Generator, side_px: int) -> Field:
    canvas = np.full((side_px, side_px), 0.5, np.float32)
    largest = side_px * float(np.exp(rng.uniform(np.log(0.03), np.log(0.4))))
    for _ in range(int(rng.integers(4, 60))):
        _figure(rng, canvas, largest, float(rng.random()))
    return canvas


_FAMILIES: Final[tuple[Callable[[np.random.Generator, int], Field], ...]] = (
    _clouds,
    _stripes,
    _weave,
    _cells,
    _grain,
    _shapes,
)


def _figure(rng: np.random.Generator, canvas: Field, largest: float, tone: float) -> None:
    side_px = canvas.shape[0]
    centre = rng.integers(0, side_px, 2)
    reach = np.maximum(1, largest * rng.uniform(0.2, 1.0, 2)).astype(int)
    if rng.random() < 0.5:  # noqa: PLR2004  (half are ellipses)
        angle = float(rng.uniform(0, 360))
        cv2.ellipse(canvas, (int(centre[0]), int(centre[1])), (int(reach[0]), int(reach[1])), angle, 0, 360, tone, -1)
        return
    corners = centre + rng.uniform(-1, 1, (int(rng.integers(3, 7)), 2)) * reach
    cv2.fillPoly(canvas, [corners.astype(np.int32)], (tone,))


def _mask(rng: np.random.Generator, side_px: int) -> Field:
    if rng.random() < 0.5:  # noqa: PLR2004  (half of the divisions are clouds)
        return np.asarray(_noise(rng, side_px, int(rng.integers(3, 9))) > rng.uniform(-0.5, 0.8), np.float32)
    canvas = np.zeros((side_px, side_px), np.float32)
    for _ in range(int(rng.integers(1, 6))):
        _figure(rng, canvas, side_px * 0.4, 1.0)
    return canvas


def _coloured(rng: np.random.Generator, field: Field) -> Field:
    """A grey field through a random table of colours, H×W×3 in 0…1."""
    low, high = np.quantile(field[::4, ::4], [0.02, 0.98])
    unit = np.clip((field - low) / (high - low + 1e-6), 0, 1)
    knots = int(rng.integers(2, 5))
    colours = rng.uniform(0, 1, (knots, 3))
    if rng.random() < 0.5:  # noqa: PLR2004  (half are shades of nearly one tint)
        colours = rng.uniform(0, 1, (knots, 1)) * rng.uniform(0.6, 1, (1, 3))
    places = np.linspace(0, 1, knots)
    planes = [np.interp(unit, places, colours[:, channel]) for channel in range(3)]
    return np.asarray(np.stack(planes, axis=2), np.float32)


def _stroke(rng: np.random.Generator, picture: Field) -> None:
    side_px = picture.shape[0]
    steps = rng.normal(0, side_px / 12, (6, 2))
    knots = np.cumsum(np.concatenate([rng.uniform(0, side_px, (1, 2)), steps]), axis=0).astype(np.int32)
    tone: Any = tuple(float(value) for value in rng.uniform(0, 1, 3))
    cv2.polylines(picture, [knots], isClosed=False, color=tone, thickness=int(rng.integers(1, 1 + side_px // 50)))


def _photographed(rng: np.random.Generator, picture: Field) -> Picture:
    side_px = picture.shape[0]
    axis = np.linspace(-1, 1, side_px, dtype=np.float32)
    slope = rng.normal(0, 0.2, 2)
    light = (1 + slope[0] * axis[:, np.newaxis] + slope[1] * axis[np.newaxis, :])[..., np.newaxis]
    shown = picture * light * float(np.exp(rng.normal(0, 0.2)))
    if rng.random() < 0.5:  # noqa: PLR2004  (half are unsharp)
        shown = cv2.GaussianBlur(shown, (0, 0), float(rng.uniform(0.4, 1.6)) * side_px / 256)
    shown = shown + rng.standard_normal(shown.shape, np.float32) * float(rng.random() ** 3 * 0.06)
    return np.asarray(np.clip(shown * 255 + 0.5, 0, 255), np.uint8)
