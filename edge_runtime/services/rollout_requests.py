"""What a person asks of a rollout from the command line: one small file, taken once."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)
FRESH_NS: Final = 60_000_000_000
"""A request that nobody took for so long was meant for another moment."""
_LONGEST: Final = 10_000

Wish = Literal["promote", "withdraw", "again"]


@dataclass(frozen=True, slots=True)
class RolloutRequest:
    """Move the candidate."""

    wish: Wish
    digest: str
    """Which candidate is meant: nobody promotes one that he has not seen."""
    who: str
    why: str
    asked_ns: int
    """Wall clock."""


class RequestFile:
    """Written by the command, taken by the daemon."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, request: RolloutRequest) -> None:
        """Ask.

        Raises:
            OSError: the file cannot be written.
        """
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            draft.write_text(json.dumps(asdict(request)), encoding="utf-8")
            draft.replace(self._path)
        finally:
            draft.unlink(missing_ok=True)

    @property
    def is_waiting(self) -> bool:
        """Whether a request was not taken yet."""
        return self._path.exists()

    def take(self, wall_ns: int) -> RolloutRequest | None:
        """The request that waits, once; None where there is none that can be carried out."""
        try:
            with self._path.open("rb") as file:
                content = file.read(_LONGEST)
            self._path.unlink()
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("%s cannot be taken: %s", self._path, error)
            return None
        try:
            document = json.loads(content)
            request = RolloutRequest(
                wish=document["wish"],
                digest=str(document["digest"]),
                who=str(document["who"])[:200],
                why=str(document["why"])[:500],
                asked_ns=int(document["asked_ns"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            _log.warning("%s holds no request: %s", self._path, error)
            return None
        if request.wish not in get_args(Wish) or abs(wall_ns - request.asked_ns) > FRESH_NS:
            _log.warning("a request to the rollout was not taken in time, or is none: %s", request)
            return None
        return request
