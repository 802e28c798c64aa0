"""What a rollout has to know after a restart: one small file, replaced as a whole."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from edge_runtime.decision.rollout_evidence import Evidence
from edge_runtime.domain.rollout import RolloutStage
from edge_runtime.domain.verdict import BundleIdentity
from edge_runtime.ops.durable import put_in_place

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)
_VERSION: Final = 1
_ENDED: Final = 100
"""Candidates that were stopped, and are not begun again."""
_LONGEST: Final = 1_000_000
"""Bytes of a file that this program wrote; anything longer is damaged."""


@dataclass(slots=True)
class Books:
    """How the rollout stands. Belongs to the rollout's thread."""

    candidate: BundleIdentity | None = None
    product: str = ""
    active: BundleIdentity | None = None
    """With which it is compared."""
    stage: RolloutStage = RolloutStage.WITHDRAWN
    compared_as: RolloutStage = RolloutStage.SHADOW
    """The running stage that the evidence is of."""
    since_ns: int = 0
    """Wall clock: when the stage began."""
    lasted_ns: int = 0
    """How long the stage had lasted when this was written: the time in which the daemon ran, on its own clock."""
    reason: str = ""
    attempts: int = 0
    """Lives of the daemon that ended without a goodbye while the candidate decided."""
    is_clean: bool = True
    """False while the candidate decides: if it is still false at the next start, that was no clean end."""
    evidence: Evidence = field(default_factory=Evidence)
    ended: dict[str, str] = field(default_factory=dict)
    """Digest → why it was stopped."""

    def end(self, digest: str, why: str) -> None:
        """This candidate is not begun again."""
        self.ended = dict(
            [*((key, text) for key, text in self.ended.items() if key != digest), (digest, why)][-_ENDED:]
        )


class BooksFile:
    """Reads and writes them. On return from `save` they survive a power cut."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Books:
        """As they were saved; new ones where there are none or they are damaged: the rollout begins anew then."""
        try:
            with self._path.open("rb") as file:
                content = file.read(_LONGEST)
        except FileNotFoundError:
            return Books()
        except OSError as error:
            _log.warning("%s cannot be read: %s; the rollout begins anew", self._path, error)
            return Books()
        try:
            return _read(json.loads(content))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning("%s is damaged: %s; the rollout begins anew", self._path, error)
            return Books()

    def save(self, books: Books) -> None:
        """Put them in place of the old ones.

        Raises:
            OSError: the disk refuses; the old ones are still there.
        """
        content = json.dumps(_document(books), separators=(",", ":")).encode()
        put_in_place(self._path, content, self._path.with_name(self._path.name + ".part"))


def _document(books: Books) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "candidate": _identity_document(books.candidate),
        "product": books.product,
        "active": _identity_document(books.active),
        "stage": str(books.stage),
        "compared_as": str(books.compared_as),
        "since_ns": books.since_ns,
        "lasted_ns": books.lasted_ns,
        "reason": books.reason,
        "attempts": books.attempts,
        "is_clean": books.is_clean,
        "evidence": books.evidence.as_document(),
        "ended": books.ended,
    }


def _read(document: dict[str, Any]) -> Books:
    if document["version"] != _VERSION:
        message = f"version {document['version']} is not known here"
        raise ValueError(message)
    return Books(
        candidate=_identity(document["candidate"]),
        product=str(document["product"]),
        active=_identity(document["active"]),
        stage=RolloutStage(document["stage"]),
        compared_as=RolloutStage(document["compared_as"]),
        since_ns=int(document["since_ns"]),
        lasted_ns=int(document["lasted_ns"]),
        reason=str(document["reason"]),
        attempts=int(document["attempts"]),
        is_clean=bool(document["is_clean"]),
        evidence=Evidence.from_document(document["evidence"]),
        ended={str(digest): str(why) for digest, why in document["ended"].items()},
    )


def _identity_document(identity: BundleIdentity | None) -> list[str] | None:
    return None if identity is None else [identity.name, identity.version, identity.digest, identity.trust]


def _identity(document: list[str] | None) -> BundleIdentity | None:
    if document is None:
        return None
    name, version, digest, trust = map(str, document)
    return BundleIdentity(name, version, digest, trust)
