"""Where those who bring releases in tell the daemon how it goes, and where the daemon asks for a check.

Small files, each replaced as a whole: the one who brings in and the daemon are different processes. They carry words
for people and no trust whatever; a damaged or foreign one is as good as none.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter, ValidationError

from edge_runtime.domain.delivery import Delivery, Via
from edge_runtime.domain.errors import UpdateError

if TYPE_CHECKING:
    from pathlib import Path

FOLDER: Final = "delivery"
"""Below `device.state_dir`: these files, and what is being downloaded."""
LIMIT_BYTES: Final = 1 << 18
_DELIVERY: Final = TypeAdapter(Delivery)


class DeliveryFile:
    """The newest delivery of one kind: one process writes, others read."""

    def __init__(self, folder: Path, via: Via) -> None:
        self._path = folder / f"{via}.json"
        self._seen: tuple[int, int] | None = None

    def tell(self, delivery: Delivery) -> None:
        """Replace what is there. Never raises: a delivery does not fail for want of an audience."""
        draft = self._path.with_suffix(".tmp")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(_DELIVERY.dump_json(delivery))
            draft.replace(self._path)

    def read(self) -> Delivery | None:
        """What is there; None where there is nothing that makes sense."""
        try:
            with self._path.open("rb") as stream:
                return _DELIVERY.validate_json(stream.read(LIMIT_BYTES))
        except (OSError, ValidationError):
            return None

    def news(self) -> Delivery | None:
        """As `read`, but None while nothing has changed since the last call. Cheap enough for every tick."""
        try:
            status = os.stat(self._path)  # noqa: PTH116  (four times a second: no Path in between)
        except OSError:
            return None
        seen = (status.st_mtime_ns, status.st_ino)
        if seen == self._seen:
            return None
        self._seen = seen
        return self.read()


class CheckRequest:
    """Asks the updater to look into the repository now. Says nothing else: neither where nor for what."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "check-asked"

    def ask(self) -> None:
        """Before the next regular check.

        Raises:
            UpdateError: it cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch()
        except OSError as error:
            raise UpdateError(
                f"a check cannot be asked for: {self._path}: {error.strerror}", "Look at the disk of device.state_dir."
            ) from error

    def take(self) -> bool:
        """Whether somebody asked since the last call."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
