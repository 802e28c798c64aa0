"""A belt that brings pictures into the watched folder, and knows what the detector says of each."""

from __future__ import annotations

import contextlib
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.app.inspection import load_inspector
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.camera.sim_scene import render_part
from edge_runtime.config.engine import EngineSettings
from edge_runtime.decision.judge import classify
from edge_runtime.detectors.proportions import proportions_of
from edge_runtime.domain.verdict import Disposition
from edge_runtime.ops.belt import BeltPart, BeltPlan
from edge_runtime.vision.encode import encode_bmp, encode_png

if TYPE_CHECKING:
    from pathlib import Path

POOL = 40
DEFECTIVE_EVERY = 6
FILE_PATTERN = r"part-(\d+)"


@dataclass(frozen=True, slots=True)
class Picture:
    """What a part looks like."""

    content: bytes
    """As it is stored."""
    passes: bool
    """Whether the detector lets it pass when nothing is wrong."""


def frame_size_px(bundle: Path, usual_px: tuple[int, int]) -> tuple[int, int]:
    """Width and height of pictures that the bundle takes: the usual ones, else of its own proportions.

    Raises:
        BundleError: it cannot be read.
    """
    with contextlib.closing(open_bundle(bundle, trust="development")) as opened:
        proportions = proportions_of(opened.manifest, opened.payloads)
    return usual_px if proportions is None else proportions.fitted(*usual_px)


def draw_pictures(
    bundle: Path, width_px: int, height_px: int, count: int = POOL, stored: str = "png"
) -> tuple[Picture, ...]:
    """Good and bad parts, each looked at by the bundle itself.

    Args:
        bundle: what will inspect them.
        width_px, height_px: of each.
        count: how many.
        stored: "png" or "bmp".

    Raises:
        EdgeError: the bundle cannot be used.
    """
    encode = {"png": encode_png, "bmp": encode_bmp}[stored]
    pictures = []
    with load_inspector(bundle, EngineSettings(), "development") as inspector:
        limits = inspector.bundle.calibration.limits
        for number in range(count):
            defective = number % DEFECTIVE_EVERY == DEFECTIVE_EVERY - 1
            pixels = render_part(1, number, defective=defective, width_px=width_px, height_px=height_px)
            disposition, _ = classify(inspector.inspect((pixels,)).score, limits)
            pictures.append(Picture(encode(pixels), disposition is Disposition.PASS))
    return tuple(pictures)


@dataclass(frozen=True, slots=True)
class PictureBelt(BeltPlan):
    """A belt plan whose truth is the detector's: a part is defective if the detector would not let it pass."""

    passes: tuple[bool, ...] = ()
    """Of each picture of the pool."""

    def picture(self, sequence: int) -> int:
        """Which picture of the pool shows this part."""
        return zlib.crc32(f"{self.seed}/{sequence}".encode()) % len(self.passes)

    def part(self, sequence: int) -> BeltPart | None:
        """See `BeltPlan`."""
        if sequence < 1 or (self.parts is not None and sequence > self.parts):
            return None
        triggered_ns = self.start_ns + round(sequence * 1e9 / self.parts_per_s)
        return BeltPart(sequence, triggered_ns, not self.passes[self.picture(sequence)], trigger_dropped=False)


class FolderBelt:
    """Puts each part's picture into the folder when the part passes the trigger sensor."""

    def __init__(self, belt: PictureBelt, pictures: tuple[Picture, ...], folder: Path, stored: str = "png") -> None:
        self._belt = belt
        self._suffix = f".{stored}"
        self._pictures = pictures
        self._folder = folder
        self.given = 0
        """Triggers so far; parts are numbered from 1."""

    def advance(self, now_ns: int) -> None:
        """Give every part that has passed the sensor by now.

        Raises:
            OSError: the folder cannot be written.
        """
        newest = self._belt.triggered_until(now_ns)
        while self.given < newest:
            number = self.given + 1
            # Under another name first, as a camera's software does: a file that appears is whole.
            partial = self._folder / f"part-{number:09d}.part"
            partial.write_bytes(self._pictures[self._belt.picture(number)].content)
            partial.rename(partial.with_suffix(self._suffix))
            self.given = number

    def next_ns(self) -> int:
        """When the next part comes."""
        part = self._belt.part(self.given + 1)
        return self._belt.start_ns if part is None else part.triggered_ns
