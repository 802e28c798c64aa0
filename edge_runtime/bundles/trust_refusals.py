"""Why a release is not trusted, in words that a technician can act on."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from tuf.api.exceptions import (
    DownloadError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, Root, Timestamp
from tuf.api.serialization import DeserializationError

from edge_runtime.domain.errors import Refusal, TrustError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_runtime.bundles.trust_folder import LocalTrust

LAST_S: Final = 253_402_300_799
"""The end of the year 9999, beyond which no date can be named."""

_FRESH: Final = "Have the release station write the stick again (`edge-convert stick`) and use that one."
_HANDS_OFF: Final = "Do not use it: it was altered or put together by hand. Tell whoever runs the release station."


def explain(
    error: RepositoryError | DownloadError,
    where: str,
    seen: Mapping[str, bytes],
    local: LocalTrust,
    now_s: float,
    reference_s: float,
) -> TrustError:
    """TUF's error, as a refusal.

    Args:
        error: what `tuf` raised.
        where: the source.
        seen: metadata that the source handed out, by file name.
        local: what the device trusts.
        now_s: the device's clock, seconds since 1970.
        reference_s: the time against which expiry was judged.
    """
    match error:
        case ExpiredMetadataError():
            return expired(
                where, str(error).removeprefix("Final ").removeprefix("New ").split()[0], None, now_s, reference_s
            )
        case UnsignedMetadataError():
            return TrustError(
                Refusal.UNSIGNED,
                f"{where} is not signed by enough keys that this device trusts (root version {_root_version(local)}): "
                f"{error}",
                "Do not use it, unless it comes from the release station of this plant: then have the station write it "
                "again, with its whole chain of roots.",
            )
        case LengthOrHashMismatchError():
            return TrustError(Refusal.MIXED, f"{where}: its signed parts do not belong together: {error}", _HANDS_OFF)
        case DeserializationError() | DownloadError():
            return TrustError(Refusal.DAMAGED, f"{where}: its metadata cannot be read: {error}", _FRESH)
    return _out_of_order(error, where, seen, local)


def _out_of_order(error: Exception, where: str, seen: Mapping[str, bytes], local: LocalTrust) -> TrustError:
    offered = _timestamp_version(seen.get("timestamp.json"))
    trusted = _timestamp_version(local.files.get("timestamp.json"))
    if offered < trusted:
        return TrustError(
            Refusal.OLDER,
            f"{where} is older than what this device has already seen (timestamp {offered}, seen {trusted})",
            f"{_FRESH} To go back to an earlier model that is still on this device: `edge-runtime bundle rollback`.",
        )
    return TrustError(Refusal.MIXED, f"{where}: its signed parts do not belong together: {error}", _HANDS_OFF)


def expired(where: str, role: str, expires: dt.datetime | None, now_s: float, reference_s: float) -> TrustError:
    """A refusal because something ran out, which says which clock was believed."""
    clock = f"this device's clock says {_date(now_s)}"
    if reference_s > now_s:
        clock += f", but it has seen signatures or software of {_date(reference_s)}"
    when = "" if expires is None else f" on {expires:%Y-%m-%d}"
    return TrustError(
        Refusal.EXPIRED,
        f"{where} may not be installed any more: its {role} ran out{when}; {clock}",
        "Check the clock of this device. If it is right, have the release station sign afresh (`edge-convert renew`) "
        "and write the stick again.",
    )


def moment(seconds: float) -> dt.datetime:
    """Seconds since 1970 as UTC; a clock that is off by more than millennia counts as 1970 or 9999."""
    return dt.datetime.fromtimestamp(min(max(seconds, 0), LAST_S), dt.UTC)


def _date(seconds: float) -> str:
    return f"{moment(seconds):%Y-%m-%d %H:%M} UTC"


def _timestamp_version(content: bytes | None) -> int:
    if content is None:
        return 0
    try:
        return Metadata[Timestamp].from_bytes(content).signed.version
    except RepositoryError:
        return 0


def _root_version(local: LocalTrust) -> int:
    return Metadata[Root].from_bytes(local.files["root.json"]).signed.version
