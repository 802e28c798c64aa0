"""Pictures for training beside the good parts: views for a teacher, and unrelated pictures."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, Protocol

import cv2
import numpy as np

from edge_convert.efficientad.procedural import draw_scene
from edge_convert.images import list_images, load_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    Picture = npt.NDArray[np.uint8]

_CACHE_BYTES: Final = 512 << 20
_GREY_SHARE: Final = 0.3
_VIEW, _SCENE, _UNRELATED = 1, 2, 3
_SMALLEST_VIEW: Final = 0.3
_RGB_DIMENSIONS: Final = 3


def to_rgb8(pixels: npt.NDArray[Any]) -> Picture:
    """H×W×3 uint8 of any frame: mono replicated, 16 bits reduced to the high byte."""
    if pixels.dtype == np.uint16:
        pixels = pixels >> 8
    if pixels.ndim != _RGB_DIMENSIONS:
        pixels = np.repeat(pixels[:, :, np.newaxis], 3, axis=2)
    return np.asarray(pixels, dtype=np.uint8)


def resized(picture: Picture, height_px: int, width_px: int) -> Picture:
    """Pixel-area resize, as the bundle's input asks for it."""
    if picture.shape[:2] == (height_px, width_px):
        return picture
    return np.asarray(cv2.resize(picture, (width_px, height_px), interpolation=cv2.INTER_AREA), np.uint8)


class Unrelated(Protocol):
    """Pictures that have nothing to do with the parts."""

    @property
    def description(self) -> str:
        """For the notes of the bundle."""

    def picture(self, seed: int, number: int) -> Picture:
        """The `number`-th picture of a seed, H×W×3 RGB at the network's size."""


class UnrelatedFolder:
    """Pictures of a folder as the paper takes ImageNet's: three of ten grey, at twice the size, the centre cut out."""

    def __init__(self, folder: Path, height_px: int, width_px: int) -> None:
        """List the folder.

        Raises:
            ConfigError: no image in it.
        """
        self._files = list_images(folder)
        self._size = (height_px, width_px)

    @property
    def description(self) -> str:
        """See the port."""
        return f"{len(self._files)} pictures named by the user"

    def picture(self, seed: int, number: int) -> Picture:
        """See the port."""
        rng = np.random.default_rng((seed, _UNRELATED, number))
        picture = to_rgb8(load_image(self._files[int(rng.integers(len(self._files)))]))
        if rng.random() < _GREY_SHARE:
            picture = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[:, :, np.newaxis], 3, axis=2)
        height, width = self._size
        large = resized(picture, 2 * height, 2 * width)
        return large[height // 2 : height // 2 + height, width // 2 : width // 2 + width]


class UnrelatedScenes:
    """Drawn pictures, for those who have no others."""

    def __init__(self, height_px: int, width_px: int) -> None:
        self._size = (height_px, width_px)

    @property
    def description(self) -> str:
        """See the port."""
        return "procedural scenes"

    def picture(self, seed: int, number: int) -> Picture:
        """See the port."""
        height, width = self._size
        scene = draw_scene(np.random.default_rng((seed, _UNRELATED, number)), max(height, width))
        return scene[:height, :width]


class Views:
    """What a teacher is distilled on: drawn scenes, and whole images and random cut-outs of what the user names."""

    def __init__(
        self, folders: Sequence[Path], *, scenes: int, per_image: int, per_folder: int, seed: int, side_px: int
    ) -> None:
        """At most `per_folder` images of each folder (0: all), evenly spaced by name, `per_image` views of each.

        Raises:
            ConfigError: a folder without images.
        """
        self._files = [file for folder in folders for file in _spread(list_images(folder), per_folder)]
        self._scenes, self._per_image, self._seed, self._side_px = scenes, per_image, seed, side_px
        self._halves: dict[int, Picture] = {}

    def __len__(self) -> int:
        return self._scenes + len(self._files) * self._per_image

    @property
    def digest(self) -> str:
        """SHA-256 over the names and sizes of the images."""
        listed = "\n".join(f"{file.name} {file.stat().st_size}" for file in self._files)
        return hashlib.sha256(listed.encode()).hexdigest()

    @property
    def description(self) -> str:
        """For the teacher's notes."""
        return f"{self._scenes} procedural scenes, {self._per_image} views of each of {len(self._files)} images"

    def half(self, index: int) -> Picture:
        """View `index` at half of `side_px`.

        Raises:
            ImageError: the file cannot be decoded.
        """
        found = self._halves.get(index)
        if found is None:
            found = resized(self.picture(index), self._side_px // 2, self._side_px // 2)
            if len(self._halves) < _CACHE_BYTES // found.nbytes:
                self._halves[index] = found
        return found

    def picture(self, index: int) -> Picture:
        """View `index` at `side_px`: the same whenever it is asked for.

        Raises:
            ImageError: the file cannot be decoded.
        """
        if index < self._scenes:
            return draw_scene(np.random.default_rng((self._seed, _SCENE, index)), self._side_px)
        number, view = divmod(index - self._scenes, self._per_image)
        picture = to_rgb8(load_image(self._files[number]))
        if view:
            picture = _cut_out(picture, np.random.default_rng((self._seed, _VIEW, index)))
        return resized(picture, self._side_px, self._side_px)


def _spread(files: Sequence[Path], most: int) -> list[Path]:
    if not most or len(files) <= most:
        return list(files)
    return [files[number * len(files) // most] for number in range(most)]


def _cut_out(picture: Picture, rng: np.random.Generator) -> Picture:
    height, width = picture.shape[:2]
    share = float(rng.uniform(_SMALLEST_VIEW, 1.0))
    tall, wide = max(1, int(height * share)), max(1, int(width * share))
    top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
    cut: Any = np.rot90(picture[top : top + tall, left : left + wide], int(rng.integers(4)))
    return np.ascontiguousarray(cut[:, ::-1] if rng.random() < 0.5 else cut)  # noqa: PLR2004  (half are mirrored)
