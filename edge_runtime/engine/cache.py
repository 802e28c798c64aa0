"""The folder for compiled models."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path


def usable_cache_dir(path: Path) -> str:
    """Make the folder if need be, as the text that engines take.

    Raises:
        EngineError: it cannot be made or written; found here, because an engine would blame the model.
    """
    action = "give the service's user write access to it, or remove engine.cache_dir"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineError(f"the model cache {path} cannot be made: {error.strerror}", action) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise EngineError(f"the model cache {path} cannot be written", action)
    return str(path)
