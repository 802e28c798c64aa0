"""The folder of good parts: which files, decoded strictly, and what is odd about them."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_runtime.domain.errors import ConfigError, ImageError
from edge_runtime.vision.decode import decode_image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge_convert.progress import Observer
    from edge_runtime.domain.frame import Exposure

SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})

_CORRUPT_SHARE_LIMIT: Final = 0.1
_SIZES_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Files that were decoded once without fault, in the order of their names."""

    folder: Path
    files: tuple[Path, ...]
    warnings: tuple[str, ...]
    digest: str
    """SHA-256 over the names and contents, so that a bundle can be traced to its images."""
    newest_mtime_s: int
    """Newest modification time among them."""
    aspects: frozenset[float]
    """Width / height, each that occurs in the whole folder."""

    def load(self, index: int) -> Exposure:
        """Decode one.

        Raises:
            ImageError: the file changed since it was surveyed.
        """
        return load_image(self.files[index])

    def only(self, indices: Sequence[int]) -> ImageSet:
        """These images of the set; warnings, digest and time stay those of the whole folder."""
        return replace(self, files=tuple(self.files[index] for index in indices))


def spread(count: int, wanted: int) -> list[int]:
    """At most `wanted` indices, evenly over all `count`, first and last among them."""
    return sorted({int(index) for index in np.linspace(0, count - 1, min(count, wanted)).round()})


def load_image(path: Path) -> Exposure:
    """Decode a file exactly as the daemon does.

    Raises:
        ImageError: unreadable or not decodable; names the file.
    """
    try:
        return decode_image(path.read_bytes()).array
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}", "Check the file and its permissions.") from error
    except ImageError as error:
        raise ImageError(f"{path}: {error.what}", error.action) from error


def list_images(folder: Path) -> tuple[Path, ...]:
    """Image files directly in the folder, by name.

    Raises:
        ConfigError: no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder", "Name the folder with the images of good parts.")
    files = tuple(sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()))
    if not files:
        raise ConfigError(
            f"{folder} contains no image",
            f"Name the folder that holds the images themselves ({', '.join(sorted(SUFFIXES))}), e.g. …/train/good.",
        )
    return files


def survey(folder: Path, on_image: Callable[[], None] | None = None) -> ImageSet:
    """Decode every image once and keep what is sound.

    Raises:
        ConfigError: no image, or more than a tenth of them cannot be decoded.
    """
    kept: list[Path] = []
    faults: list[str] = []
    shapes: list[tuple[int, ...]] = []
    contents: dict[bytes, Path] = {}
    duplicates = 0
    digest = hashlib.sha256()
    files = list_images(folder)
    for path in files:
        try:
            content = hashlib.sha256(path.read_bytes()).digest()
            shape = load_image(path).shape
        except ImageError as error:
            faults.append(f"{error.what} ({error.action})")
        except OSError as error:
            faults.append(str(error))
        else:
            kept.append(path)
            shapes.append(shape)
            digest.update(path.name.encode(errors="surrogateescape") + b"\0" + content)
            duplicates += content in contents
            contents.setdefault(content, path)
        if on_image is not None:
            on_image()
    if len(faults) > _CORRUPT_SHARE_LIMIT * len(files):
        raise ConfigError(
            f"{len(faults)} of {len(files)} images in {folder} cannot be decoded, the first: {faults[0]}",
            "Copy or record them again; teaching needs at least nine in ten to be sound.",
        )
    warnings = [f"left out: {fault}" for fault in faults] + _oddities(shapes, duplicates)
    newest = max(int(path.stat().st_mtime) for path in kept)
    aspects = frozenset(width / height for height, width, *_ in shapes)
    return ImageSet(folder, tuple(kept), tuple(warnings), digest.hexdigest(), newest, aspects)


def survey_watched(folder: Path, observer: Observer) -> ImageSet:
    """`survey` as a stage that somebody watches; raises as it does."""
    with observer.stage("checking images", len(list_images(folder))) as stage:
        return survey(folder, stage.advance)


def _oddities(shapes: list[tuple[int, ...]], duplicates: int) -> list[str]:
    notices = []
    sizes = Counter(f"{width}×{height} {'colour' if channels else 'mono'}" for height, width, *channels in shapes)
    if len(sizes) > 1:
        common = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
        listed = ", ".join(f"{count} of {size}" for size, count in common[:_SIZES_NAMED])
        notices.append(f"images differ in size or colour ({listed}): each is resized on its own")
    if duplicates:
        notices.append(f"{duplicates} images are exact copies of others: they make the limits too tight")
    return notices
