"""Scenes for training: up to three coloured textures in one picture, with marks, light and blur.

Every batch is a pure function of (seed, step, size), so a run can stop and go on without a
change in what the network sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from train_backbone.generators import CLASS_COUNT, FIELD_SIZE, FRACTAL_COUNT, Rng, render, stamp

Bytes: TypeAlias = NDArray[np.uint8]

REGIONS: Final = 3
MARK_KINDS: Final = 5
_INSTANCES: Final = 4
_REFRESH_EVERY: Final = 100
_REFRESH_COUNT: Final = 64
_MASKS: Final = 256
_DRAW_POOL, _DRAW_MASKS, _DRAW_BATCH = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures and what is known about them; N pictures of S by S pixels."""

    images: Bytes
    """N x S x S x 3, RGB."""
    regions: Bytes
    """N x S x S: which of the picture's textures a pixel shows, 0 to REGIONS - 1."""
    classes: NDArray[np.int64]
    """N x REGIONS: the class of each texture."""
    marks: Bytes
    """N x S x S: 0 where untouched, else 1 + the kind of the mark (0 to MARK_KINDS - 1)."""


class TexturePool:
    """A few instances of every class, a share of which is redrawn as training goes on."""

    def __init__(self, seed: int) -> None:
        """Start empty; the first `advance` draws everything."""
        self._seed = seed
        self._round = -1
        self._age = np.full(CLASS_COUNT * _INSTANCES, -1)
        self._fields = np.zeros((CLASS_COUNT * _INSTANCES, FIELD_SIZE, FIELD_SIZE), np.uint8)

    def advance(self, step: int) -> None:
        """Bring the pool to the state that belongs to `step`, whatever its state was before."""
        current = step // _REFRESH_EVERY
        if current == self._round:
            return
        slots = np.arange(self._age.size)
        order = np.random.default_rng((self._seed, _DRAW_POOL)).permutation(slots)
        wanted = np.zeros_like(self._age)
        wanted[order] = (current * _REFRESH_COUNT - slots - 1) // self._age.size + 1
        for slot in np.flatnonzero(wanted != self._age):
            draw = np.random.default_rng((self._seed, _DRAW_POOL, int(slot), int(wanted[slot])))
            self._fields[slot] = render(int(slot) // _INSTANCES, draw) * 255
        self._age, self._round = wanted, current

    def view(self, rng: Rng, class_id: int, size: int) -> Bytes:
        """Return `size` by `size` pixels of an instance of a class, turned, zoomed and shifted at random."""
        field = self._fields[class_id * _INSTANCES + int(rng.integers(_INSTANCES))]
        zoom = float(np.exp(rng.uniform(np.log(0.85), np.log(1.25))))
        angle = float(rng.uniform(0, 360)) if rng.random() < 0.6 else float(rng.integers(4) * 90)  # noqa: PLR2004
        slack = max(0.0, (FIELD_SIZE - size / zoom) / 2)
        centre = rng.uniform(-slack, slack, 2) + FIELD_SIZE / 2
        matrix = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), angle, zoom)
        matrix[:, 2] += size / 2 - centre
        flags = cv2.INTER_LINEAR
        return np.asarray(cv2.warpAffine(field, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REFLECT_101))


def _palette(rng: Rng) -> NDArray[np.float32]:
    """Return a random colour table, 256 x 3 in 0 to 255: plain, shades of one tint or several free colours.

    Half of the tables are plain: nearly grey, of middle brightness and clear contrast. Free
    colours alone are so varied that the network never gets to the textures under them.
    """
    kind = rng.random()
    knots = int(rng.choice([2, 2, 2, 3, 4]))
    if kind < 0.5:  # noqa: PLR2004 half are plain
        knots, half = 2, rng.choice([-1.0, 1.0]) * rng.uniform(40.0, 110.0)
        colours = rng.normal(128, 20) + np.array([[-half], [half]]) + rng.normal(0, 12, (2, 3))
    elif kind < 0.75:  # noqa: PLR2004 a quarter are shades of one tint
        colours = rng.uniform(0, 255, (knots, 1)) * rng.uniform(0.4, 1.0, (1, 3)) + rng.normal(0, 10, (knots, 3))
    else:
        colours = rng.uniform(0, 255, (knots, 3))
    spread = float(np.ptp(colours, axis=0).max()) + 1e-6
    colours = colours.mean(0) + (colours - colours.mean(0)) * max(1.0, rng.uniform(50.0, 140.0) / spread)
    places = np.linspace(0, 255, knots)
    table = [np.interp(np.arange(256), places, colours[:, channel]) for channel in range(3)]
    return np.asarray(np.clip(np.stack(table, 1), 0, 255), np.float32)


def _draw_mask(rng: Rng, size: int) -> Bytes:
    """Return a random two-part division of a square: clouds, figures, a straight edge or bands."""
    kind = int(rng.integers(4))
    if kind == 0:
        noise = cv2.resize(rng.standard_normal((6, 6)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
        return np.asarray(noise > rng.uniform(-0.4, 0.4), np.uint8)
    if kind == 1:
        mask = np.zeros((size, size), np.uint8)
        for _ in range(int(rng.integers(1, 4))):
            x, y = (int(n) for n in rng.integers(size // 5, size - size // 5, 2))
            stamp(mask, rng, int(rng.choice([0, 2, 3])), (x, y), int(rng.integers(size // 6, size // 2)), (255.0,))
        return np.asarray(mask > 127, np.uint8)  # noqa: PLR2004 half covered
    angle = rng.uniform(0, 2 * np.pi)
    axis = np.arange(size) - size / 2 + rng.uniform(-size / 4, size / 4)
    across = axis[:, None] * np.sin(angle) + axis[None, :] * np.cos(angle)
    if kind == 2:  # noqa: PLR2004 one edge
        return np.asarray(across > 0, np.uint8)
    return np.asarray(np.floor(across / rng.uniform(size / 6, size / 2)) % 2, np.uint8)


def _mark_picture(rng: Rng, image: Bytes, marks: Bytes) -> None:
    """Put up to three small marks on a picture, as a defect would look, and note their kind in `marks`."""
    size = image.shape[0]
    for _ in range(int(rng.integers(0, 4))):
        kind = int(rng.integers(MARK_KINDS))
        where = np.zeros((size, size), np.uint8)
        x, y = (int(n) for n in rng.integers(4, size - 4, 2))
        reach = int(rng.integers(3, 13))
        if kind <= 1:
            knots = np.cumsum(np.concatenate([[[x, y]], rng.normal(0, 9, (4, 2))]), 0).astype(np.int32)
            cv2.polylines(where, [knots], False, (255.0,), 1 + kind * 2, cv2.LINE_AA)
        else:
            stamp(where, rng, int(rng.choice([0, 2, 3, 5])), (x, y), reach, (255.0,))
        top, left, bottom, right = max(0, y - 40), max(0, x - 40), y + 40, x + 40
        box = (slice(top, bottom), slice(left, right))
        cover = where[box].astype(np.float32)[..., None] / 255
        patch = image[box].astype(np.float32)
        if kind == 4:  # noqa: PLR2004 smear: the texture is blurred away
            other = cv2.blur(patch, (11, 11))
        elif kind == 3:  # noqa: PLR2004 stain: same texture, darker or lighter
            other, cover = patch * rng.choice([0.55, 0.75, 1.35, 1.7]), cv2.GaussianBlur(cover, (0, 0), 2.0)[..., None]
        else:
            other = np.broadcast_to(rng.uniform(0, 255, 3).astype(np.float32), patch.shape)
        image[box] = np.clip(patch + cover * (other - patch), 0, 255).astype(np.uint8)
        marks[box][cover[..., 0] > 0.4] = kind + 1  # noqa: PLR2004 nearly half covered


def _lighting(rng: Rng, images: Bytes) -> Bytes:
    """Return the pictures under uneven light, another exposure and gamma, with blur and sensor noise."""
    count, size = images.shape[:2]
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    slope = rng.normal(0, 0.2, (2, count, 1, 1, 1)).astype(np.float32)
    light = 1 + slope[0] * axis[None, :, None, None] + slope[1] * axis[None, None, :, None]
    exposure = np.exp(rng.normal(0, 0.25, (count, 1, 1, 1)) + rng.normal(0, 0.06, (count, 1, 1, 3))).astype(np.float32)
    shown = images.astype(np.float32) * np.clip(light * exposure, 0.1, 3.0)
    for index in np.flatnonzero(rng.random(count) < 0.45):  # noqa: PLR2004 share of unsharp pictures
        shown[index] = cv2.GaussianBlur(shown[index], (0, 0), float(rng.uniform(0.4, 1.6)))
    strength = (rng.random((count, 1, 1, 1)) ** 3 * 14).astype(np.float32)
    noise = rng.standard_normal((size, size, 3), np.float32)
    shifts = rng.integers(0, size, (count, 2))
    grain = np.stack([np.roll(noise, (int(dy), int(dx)), (0, 1)) for dy, dx in shifts])
    return np.asarray(np.clip(shown + strength * grain, 0, 255), np.uint8)


class SceneSource:
    """Makes training batches from a seed."""

    def __init__(self, seed: int) -> None:
        """Draw the divisions; the textures are drawn by the first `batch`."""
        self._seed = seed
        self._pool = TexturePool(seed)
        rng = np.random.default_rng((seed, _DRAW_MASKS))
        self._masks = np.stack([_draw_mask(rng, FIELD_SIZE) for _ in range(_MASKS)])

    def _division(self, rng: Rng, size: int) -> NDArray[np.bool_]:
        top, left = (int(n) for n in rng.integers(0, FIELD_SIZE - size + 1, 2))
        mask = self._masks[int(rng.integers(_MASKS)), top : top + size, left : left + size]
        turned = np.rot90(mask, int(rng.integers(4)))
        return np.asarray(turned if rng.random() < 0.5 else 1 - turned, bool)  # noqa: PLR2004

    def _scene(self, rng: Rng, size: int, image: Bytes, region: Bytes, marks: Bytes) -> NDArray[np.int64]:
        """Paint one picture into the given arrays; return the classes of its regions."""
        classes = np.array([*rng.integers(FRACTAL_COUNT, CLASS_COUNT, 2), rng.integers(FRACTAL_COUNT)])
        if rng.random() < 0.25:  # noqa: PLR2004 sometimes the third is a texture as well
            classes[2] = rng.integers(FRACTAL_COUNT, CLASS_COUNT)
        shared = _palette(rng) if rng.random() < 0.35 else None  # noqa: PLR2004 colour alone must not tell
        for index in range(REGIONS):
            if index and rng.random() < 0.45:  # noqa: PLR2004 some pictures have fewer regions
                continue
            view = self._pool.view(rng, int(classes[index]), size)
            table = _palette(rng) if shared is None else shared
            coloured = table.astype(np.uint8)[view]
            fractal = classes[index] < FRACTAL_COUNT
            inside = view > 25 if fractal else self._division(rng, size)  # noqa: PLR2004 a tenth of full density
            if index == 0:
                image[:] = coloured
                continue
            image[inside] = coloured[inside]
            if fractal:
                inside = cv2.dilate(inside.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
            region[inside] = index
        _mark_picture(rng, image, marks)
        return classes

    def batch(self, step: int, count: int, size: int) -> Batch:
        """Return the batch of a step; `size` must not exceed FIELD_SIZE."""
        self._pool.advance(step)
        rng = np.random.default_rng((self._seed, _DRAW_BATCH, step))
        images = np.zeros((count, size, size, 3), np.uint8)
        regions, marks = np.zeros((2, count, size, size), np.uint8)
        classes = [self._scene(rng, size, images[i], regions[i], marks[i]) for i in range(count)]
        return Batch(_lighting(rng, images), regions, np.stack(classes).astype(np.int64), marks)
