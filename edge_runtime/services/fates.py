"""From an error to what a technician is told of a release, and whose turn it is."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from edge_runtime.domain.delivery import Fate, Outcome
from edge_runtime.domain.errors import Blame, EdgeError, Refusal, TrustError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PULLED: Final = {errno.EIO, errno.ENODEV, errno.ENXIO, errno.ENOMEDIUM, errno.ENOTCONN, errno.ESTALE}


def fate_of(
    offered: str, error: EdgeError, release: str = "", product: str = "", digest: str = "", *, on_stick: bool = False
) -> Fate:
    """What became of a release that was not taken."""
    if on_stick and was_pulled(error):
        return Fate(
            offered,
            Outcome.FAILED,
            release,
            product,
            digest,
            "it could not be read to its end: the stick was pulled, or is worn out",
            "Insert it again and leave it there until the report is written; else use another stick.",
        )
    if isinstance(error, TrustError) and error.refusal is Refusal.NOT_LISTED:
        return Fate(offered, Outcome.LEFT, release, product, digest, error.what)
    outcome = Outcome.REFUSED if error.blame is Blame.BUNDLE else Outcome.FAILED
    return Fate(offered, outcome, release, product, digest, error.what, error.action)


def was_pulled(error: BaseException) -> bool:
    """Whether the medium behind it went away."""
    return any(isinstance(cause, OSError) and cause.errno in _PULLED for cause in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
