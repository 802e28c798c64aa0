"""Chance that comes the same way again."""

from __future__ import annotations

import random


def dice(name: str) -> random.Random:
    """A generator of its own for everything that is drawn under `name`."""
    return random.Random(name)  # noqa: S311  (a simulation)
