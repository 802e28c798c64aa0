"""What is found about several keys that are each fine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.config.toml_lines import KeyPath


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about several keys."""

    keys: tuple[KeyPath, ...]
    """All keys involved; the first is where it is reported."""
    message: str


def finding(message: str, *keys: str) -> Finding:
    """About these dotted keys."""
    return Finding(tuple(tuple(key.split(".")) for key in keys), message)
