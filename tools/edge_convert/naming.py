"""What a model cannot take is said with the name of the image, for a person has a folder of them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """While one image of a folder is looked at.

    Raises:
        ImageError: as from within, with the file's name.
    """
    try:
        yield
    except ImageError as error:
        if path.name in error.what:
            raise
        raise ImageError(
            f"{path.name}: {error.what}", f"Take {path.name} out of the folder; or {error.action}"
        ) from error
