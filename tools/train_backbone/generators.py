"""Procedural textures: a fixed catalogue of classes, each drawn as often as wanted.

A class is one family (fractal, noise, weave, ...) with one set of parameters, and the
parameters depend on the class number alone. An instance of a class is a grey field of
float32 in [0, 1] that depends on the class number and the instance's random generator.
Nothing here reads a file: every picture the backbone ever sees starts in this module.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Field: TypeAlias = NDArray[np.float32]
Rng: TypeAlias = np.random.Generator
Family: TypeAlias = Callable[[Rng, Rng, int], Field]

FIELD_SIZE: Final = 160
_CATALOGUE_SEED: Final = 20_011
_IFS_POINTS: Final = 2500
_IFS_BURN_IN: Final = 18
_IFS_STEPS: Final = 14


def _spread(values: NDArray[np.floating]) -> Field:
    """Return `values` centred on 0.5 with two standard deviations to either end, clipped to [0, 1]."""
    centred = values - values.mean()
    deviation = float(centred.std()) + 1e-6
    return np.asarray(np.clip(0.5 + centred / (4.0 * deviation), 0.0, 1.0), np.float32)


def _grid(size: int) -> tuple[Field, Field]:
    """Return y and x coordinates in pixels, centred on the middle of a square."""
    axis = np.arange(size, dtype=np.float32) - size / 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return y, x


def _smooth_noise(rng: Rng, size: int, cell: float) -> Field:
    """Return value noise in [-1, 1]: random numbers `cell` pixels apart, cubic in between."""
    knots = max(4, int(size / cell) + 3)
    coarse = rng.uniform(-1.0, 1.0, (knots, knots)).astype(np.float32)
    whole = cv2.resize(coarse, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)
    return np.asarray(whole[:size, :size], np.float32)


def _ifs_maps(spec: Rng, draw: Rng) -> tuple[Field, Field, NDArray[np.float64]]:
    """Return matrices, offsets and probabilities of a contracting function system, slightly varied."""
    count = int(spec.integers(2, 5))
    angles = spec.uniform(0.0, 2 * np.pi, (2, count)) + draw.normal(0.0, 0.03, (2, count))
    low, high = (0.55, 0.9) if count == 2 else (0.35, 0.78)  # noqa: PLR2004 two maps need to shrink less
    scales = spec.uniform(low, high, (2, count)) * spec.choice([-1.0, 1.0], (2, count))
    offsets = spec.uniform(-1.0, 1.0, (count, 2)) + draw.normal(0.0, 0.03, (count, 2))
    cos, sin = np.cos(angles), np.sin(angles)
    left = np.stack([cos[0], -sin[0], sin[0], cos[0]], 1).reshape(count, 2, 2)
    right = np.stack([cos[1], -sin[1], sin[1], cos[1]], 1).reshape(count, 2, 2)
    matrices = left @ (scales.T[:, :, None] * right)
    weights = np.abs(np.linalg.det(matrices)) + 0.03
    return matrices.astype(np.float32), offsets.astype(np.float32), weights / weights.sum()


def fractal(spec: Rng, draw: Rng, size: int) -> Field:
    """Draw the attractor of a random iterated function system as a log density on zero ground."""
    matrices, offsets, weights = _ifs_maps(spec, draw)
    steps = _IFS_BURN_IN + _IFS_STEPS
    choices = draw.choice(len(weights), (steps, _IFS_POINTS), p=weights)
    points = draw.uniform(-0.5, 0.5, (_IFS_POINTS, 2)).astype(np.float32)
    kept = []
    for step, choice in enumerate(choices):
        m = matrices[choice]
        x, y = points[:, 0], points[:, 1]
        points = np.stack([m[:, 0, 0] * x + m[:, 0, 1] * y, m[:, 1, 0] * x + m[:, 1, 1] * y], 1)
        points += offsets[choice]
        if step >= _IFS_BURN_IN:
            kept.append(points)
    cloud = np.concatenate(kept)
    low, high = np.quantile(cloud[::7], 0.005, axis=0), np.quantile(cloud[::7], 0.995, axis=0)
    cells = ((cloud - low) / (high - low + 1e-6) * (0.92 * size) + 0.04 * size).astype(np.int32)
    cells = cells[((cells >= 0) & (cells < size)).all(axis=1)]
    density = np.bincount(cells[:, 0] * size + cells[:, 1], minlength=size * size)
    field = cv2.GaussianBlur(np.log1p(density).reshape(size, size).astype(np.float32), (3, 3), 0.7)
    return np.asarray(np.clip(field / (np.quantile(field, 0.99) + 1e-6), 0.0, 1.0), np.float32)


def spectral(spec: Rng, draw: Rng, size: int) -> Field:
    """Draw Gaussian noise with a power law, or a pass band, and a preferred direction."""
    fy = np.fft.fftfreq(size)[:, None]
    fx = np.fft.rfftfreq(size)[None, :]
    radius = np.hypot(fy * spec.choice([1.0, 1.0, 2.0, 5.0]), fx) + 1.0 / size
    gain = radius ** -spec.uniform(0.4, 2.4)
    if spec.random() < 0.5:  # noqa: PLR2004 half of the classes are band-passed
        centre = np.exp(spec.uniform(np.log(0.03), np.log(0.25)))
        gain = np.exp(-((np.log(radius / centre) / spec.uniform(0.15, 0.7)) ** 2))
    shaping = int(spec.integers(3))
    noise = np.fft.rfft2(draw.standard_normal((size, size)))
    field = _spread(np.fft.irfft2(noise * gain, (size, size)))
    if shaping == 1:
        return np.asarray(np.abs(2 * field - 1), np.float32)
    if shaping == 2:  # noqa: PLR2004 third variant: two levels with soft edges
        return np.asarray(1 / (1 + np.exp(-14 * (field - 0.5))), np.float32)
    return field


def warped(spec: Rng, draw: Rng, size: int) -> Field:
    """Draw marble, wood or ridged clouds: octaves of value noise that bend a carrier."""
    cell = float(np.exp(spec.uniform(np.log(6.0), np.log(48.0))))
    roughness, kind = spec.uniform(0.3, 0.75), int(spec.integers(4))
    bend, pitch = spec.uniform(0.5, 3.0), spec.uniform(5.0, 24.0)
    total = np.zeros((size, size), np.float32)
    for octave in range(4):
        layer = _smooth_noise(draw, size, max(2.0, cell / 2**octave))
        total += roughness**octave * (1 - 2 * np.abs(layer) if kind == 0 else layer)
    if kind <= 1:
        return _spread(total)
    y, x = _grid(size)
    carrier = x if kind == 2 else np.hypot(x + size * 0.3, y)  # noqa: PLR2004 marble, else wood rings
    return np.asarray(0.5 + 0.5 * np.sin(2 * np.pi * carrier / pitch + bend * 2 * total), np.float32)


def _wave(phase: Field, shape: int) -> Field:
    """Return a periodic profile in [0, 1] of a phase in turns: sine, square, saw or narrow line."""
    turn = phase - np.floor(phase)
    profiles: tuple[Callable[[], NDArray[np.floating]], ...] = (
        lambda: 0.5 + 0.5 * np.sin(2 * np.pi * turn),
        lambda: np.clip(8 * (np.abs(turn - 0.5) - 0.25) + 0.5, 0, 1),
        lambda: turn,
        lambda: np.exp(-(((turn - 0.5) / 0.1) ** 2)),
    )
    return np.asarray(profiles[shape](), np.float32)


def grating(spec: Rng, draw: Rng, size: int) -> Field:
    """Draw stripes, checks, weaves or hexagonal lattices with a little unevenness."""
    pitch = float(np.exp(spec.uniform(np.log(4.0), np.log(28.0))))
    aspect, shape, kind = spec.choice([1.0, 1.0, 1.6, 2.5]), int(spec.integers(4)), int(spec.integers(5))
    unevenness = spec.choice([0.0, 0.15, 0.5])
    y, x = _grid(size)
    wobble = unevenness * _smooth_noise(draw, size, 20.0)
    u, v = x / pitch + wobble + draw.random(), y / (pitch * aspect) + wobble + draw.random()
    first, second = _wave(u, shape), _wave(v, shape)
    if kind == 0:
        return first
    if kind == 1:
        return np.asarray(np.abs(first - second), np.float32)
    if kind == 2:  # noqa: PLR2004 plain weave: threads pass over and under
        over = (np.floor(u) + np.floor(v)) % 2 == 0
        return np.where(over, _wave(u, 0) * 0.9 + 0.1, _wave(v, 0) * 0.6).astype(np.float32)
    if kind == 3:  # noqa: PLR2004 grid of dots or lines
        return np.asarray(first * second, np.float32)
    return np.asarray((first + _wave(0.5 * u + 0.87 * v, shape) + _wave(0.5 * u - 0.87 * v, shape)) / 3, np.float32)


def motif(spec: Rng, draw: Rng, size: int) -> Field:
    """Tile a small random motif, straight or in brick bond, with a little noise."""
    height, width = (int(n) for n in spec.integers(8, 36, 2))
    tile = cv2.GaussianBlur(spec.random((height, width)).astype(np.float32), (0, 0), float(spec.uniform(0.7, 2.5)))
    tile = _spread(tile)
    if spec.random() < 0.5:  # noqa: PLR2004 half of the motifs are mirror symmetric
        tile = np.concatenate([tile, tile[:, ::-1]], axis=1)
    shift = tile.shape[1] // 2 if spec.random() < 0.4 else 0  # noqa: PLR2004 brick bond
    rows = [np.roll(tile, shift * (row % 2), axis=1) for row in range(size // height + 2)]
    sheet = np.tile(np.concatenate(rows), (1, size // tile.shape[1] + 2))
    top, left = int(draw.integers(height)), int(draw.integers(tile.shape[1]))
    field = sheet[top : top + size, left : left + size]
    return np.asarray(np.clip(field + draw.normal(0, 0.04, field.shape), 0, 1), np.float32)


def cells(spec: Rng, draw: Rng, size: int) -> Field:
    """Draw Voronoi cells: flat, domed, cracked or outlined, from regular to random."""
    pitch, jitter = float(np.exp(spec.uniform(np.log(8.0), np.log(36.0)))), spec.uniform(0.1, 0.6)
    kind, levels = int(spec.integers(4)), int(spec.integers(2, 9))
    axis = np.arange(pitch / 2, size, pitch)
    seeds = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    seeds = (seeds + draw.normal(0, jitter * pitch / 2, seeds.shape)).clip(0, size - 1).astype(int)
    ground = np.full((size, size), 255, np.uint8)
    ground[seeds[:, 0], seeds[:, 1]] = 0
    distance, label = cv2.distanceTransformWithLabels(ground, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    tone = (draw.integers(levels, size=int(label.max()) + 1) / (levels - 1)).astype(np.float32)[label]
    if kind == 0:
        return np.asarray(tone, np.float32)
    if kind == 1:
        return np.asarray(np.clip(1 - distance / pitch, 0, 1), np.float32)
    border = cv2.morphologyEx(label.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    line = cv2.GaussianBlur(border.astype(np.float32), (0, 0), float(spec.uniform(0.6, 1.8)))
    line = np.clip(line * 1.6, 0, 1)
    return np.asarray(line if kind == 2 else np.clip(tone * 0.7 + 0.3 - line, 0, 1), np.float32)  # noqa: PLR2004


def stamp(
    canvas: NDArray[np.uint8],
    rng: Rng,
    kind: int,
    centre: tuple[int, int],
    radius: int,
    tone: tuple[float, ...],
) -> None:
    """Draw one figure into `canvas`: disc, ring, polygon, ellipse, stroke or glyph (`kind` 0 to 5)."""
    x, y = centre
    thickness = max(1, radius // 5)
    angle = float(rng.uniform(0, 360))
    turns = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
    rim = np.stack([x + radius * np.cos(turns), y + radius * np.sin(turns)], 1).astype(np.int32)
    if kind == 0:
        cv2.circle(canvas, centre, radius, tone, -1, cv2.LINE_AA)
    elif kind == 1:
        cv2.circle(canvas, centre, radius, tone, thickness, cv2.LINE_AA)
    elif kind == 2:  # noqa: PLR2004 figures are numbered as the docstring says
        cv2.fillPoly(canvas, [rim], tone, cv2.LINE_AA)
    elif kind == 3:  # noqa: PLR2004
        cv2.ellipse(canvas, centre, (radius, max(1, radius // 3)), angle, 0, 360, tone, -1, cv2.LINE_AA)
    elif kind == 4:  # noqa: PLR2004
        cv2.polylines(canvas, [rim], False, tone, thickness, cv2.LINE_AA)
    else:
        knots = (np.array(centre) + (rng.integers(0, 3, (2, 3, 2)) - 1) * radius).astype(np.int32)
        cv2.polylines(canvas, list(knots), False, tone, thickness, cv2.LINE_AA)


def scatter(spec: Rng, draw: Rng, size: int) -> Field:
    """Strew one or two kinds of figures of one size range over a flat or cloudy ground."""
    kinds, cover = spec.integers(6, size=int(spec.integers(1, 3))), spec.uniform(0.1, 0.7)
    radius, spread = spec.uniform(3.0, 16.0), spec.uniform(0.0, 0.5)
    cloudy, filled = spec.random() < 0.4, spec.random() < 0.5  # noqa: PLR2004 shares of the classes
    field = np.zeros((size, size), np.uint8)
    if cloudy:
        field[:] = np.clip(50 + 50 * _smooth_noise(draw, size, 14.0), 0, 255)
    for _ in range(min(220, int(cover * (size / radius) ** 2 / 2.2))):
        x, y = (int(n) for n in draw.integers(0, size, 2))
        tone = 255.0 if filled else float(draw.uniform(80.0, 255.0))
        own = max(1, int(radius * np.exp(draw.normal(0, spread))))
        stamp(field, draw, int(draw.choice(kinds)), (x, y), own, (tone,))
    return np.asarray(field / 255, np.float32)


FAMILIES: Final[tuple[tuple[Family, int], ...]] = (
    (fractal, 64),
    (spectral, 72),
    (warped, 56),
    (grating, 64),
    (motif, 40),
    (cells, 60),
    (scatter, 60),
)
"""Every family with the number of its classes; the order numbers the classes."""

CLASS_COUNT: Final = sum(count for _, count in FAMILIES)
FRACTAL_COUNT: Final = FAMILIES[0][1]


FAMILY_OF: Final = np.repeat(np.arange(len(FAMILIES)), [count for _, count in FAMILIES])
"""The index into FAMILIES of every class."""


def render(class_id: int, draw: Rng, size: int = FIELD_SIZE) -> Field:
    """Draw a new instance of a class: float32 in [0, 1], `size` by `size`, the same for the same `draw`."""
    spec = np.random.default_rng((_CATALOGUE_SEED, class_id))
    family, _ = FAMILIES[int(FAMILY_OF[class_id])]
    return family(spec, draw, size)
