"""JSON files beside a model, read without trust in their shape."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def read_object(path: Path, what: str) -> dict[str, Any]:
    """A JSON object.

    Args:
        path: the file.
        what: what it is, for the message.

    Raises:
        ConfigError: unreadable, or not a JSON object.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{what} {path} cannot be read: {error.strerror}", "Check the path.") from error
    except ValueError as error:
        raise ConfigError(f"{what} {path} is not JSON: {error}", "Correct the file.") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{what} {path} is not a JSON object", "Correct the file.")
    return document


def number(document: Mapping[str, Any], name: str) -> float | None:
    """A finite number under this name, else None (anomalib writes one-element lists as well)."""
    value = document.get(name)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < float("inf") else None


def numbers(value: Any) -> tuple[float, ...] | None:
    """A list of numbers, or one number, as a tuple; else None."""
    values = value if isinstance(value, list) else [value]
    if values and all(isinstance(item, int | float) and not isinstance(item, bool) for item in values):
        return tuple(float(item) for item in values)
    return None


def size_of(value: Any) -> tuple[int, int] | None:
    """A height and width of at least 1; else None."""
    if isinstance(value, list) and len(value) == 2 and all(isinstance(side, int) and side > 0 for side in value):  # noqa: PLR2004
        return value[0], value[1]
    return None
