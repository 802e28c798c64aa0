"""The one EXIF tag that changes pixels."""

from __future__ import annotations

from edge_runtime.vision.tiff_tags import Tags, read_first_directory

ORIENTATION_TAG = 274
_ORIENTATIONS = range(1, 9)


def orientation_of(block: bytes) -> int:
    """Orientation 1…8 from an EXIF block (which is a TIFF structure).

    A block that cannot be read, or a value outside 1…8, gives 1: EXIF is a note beside sound pixels, and viewers
    agree on showing such pixels as they are stored.
    """
    try:
        return orientation_in(read_first_directory(block))
    except ValueError:
        return 1


def orientation_in(tags: Tags) -> int:
    """Orientation 1…8 from tags already read."""
    values = tags.get(ORIENTATION_TAG, ())
    return values[0] if len(values) == 1 and values[0] in _ORIENTATIONS else 1
