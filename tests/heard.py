"""What one logger says, heard at the logger itself: whatever other tests did to the root's handlers."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Ear(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.lines.append(record.getMessage())


@contextmanager
def heard(name: str, level: int = logging.INFO) -> Iterator[list[str]]:
    """Its messages from this level on, while this lasts."""
    logger, ear = logging.getLogger(name), _Ear(level)
    logger.addHandler(ear)
    try:
        yield ear.lines
    finally:
        logger.removeHandler(ear)
