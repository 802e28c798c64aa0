"""Releases as a technician reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from edge_runtime.domain.update import UpdateState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from edge_runtime.app.updates import TrustView
    from edge_runtime.domain.update import HistoryEntry, StoredRelease

_MEANING: Final = {
    UpdateState.STAGED: "waits in the store",
    UpdateState.ARMED: "proved; the line takes it up next",
    UpdateState.TRIAL: "decides, on trial",
    UpdateState.CONFIRMED: "proved on the line",
    UpdateState.ROLLED_BACK: "failed here; quarantined",
}
_DAY_S: Final = 86_400
_SOON_DAYS: Final = 60


def release_lines(release: StoredRelease) -> Iterator[str]:
    """One release on a few lines."""
    revision = f", revision {release.revision}" if release.revision else ""
    yield f"{release.name} {release.version}{revision} for product {release.terms.product}"
    yield f"  release   {release.terms.counter}, digest {release.digest}"
    reason = f" ({release.reason})" if release.reason else ""
    yield f"  state     {release.state.value}: {_MEANING.get(release.state, '')}{reason}"
    yield f"  installed {_time(release.installed_ns)}"
    if release.terms.hardware:
        yield f"  for       {' or '.join(release.terms.hardware)}"
    if release.pinned:
        yield "  pinned    no other release takes its place unless it fails"
    if not release.stored:
        yield "  file      none; only remembered because it failed"


def table(releases: Sequence[StoredRelease], active: Collection[str]) -> Iterator[str]:
    """All releases, one line each."""
    if not releases:
        yield "no release is on this device; install one with `edge-runtime bundle install FILE`"
        return
    rows = [("", "PRODUCT", "RELEASE", "NAME", "VERSION", "STATE", "INSTALLED", "DIGEST", "")]
    for one in releases:
        name = one.version if one.revision == 0 else f"{one.version} r{one.revision}"
        marker = "*" if one.digest in active else ""
        pinned = "pinned. " if one.pinned else ""
        rows.append(
            (
                marker,
                one.terms.product,
                str(one.terms.counter),
                one.name,
                name,
                one.state.value,
                _time(one.installed_ns),
                one.digest[:12],
                pinned + one.reason,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
        yield "  ".join((*cells, row[-1])).rstrip()
    if any(one.digest in active for one in releases):
        yield "* decides, or will when the line starts"


def trust_line(trust: TrustView | None, now_ns: int) -> str:
    """How old what this device trusts is; that decides what it accepts, never what it runs."""
    if trust is None:
        return "trust: no release station yet (`edge-runtime bundle trust ROOT.json`)"
    if trust.flaw:
        return f"trust: DAMAGED, no release is accepted: {trust.flaw}"
    if not trust.newest_s:
        return "trust: a release station, of which no release was seen yet"
    age_days, left_days = (
        round((now_ns / 1e9 - trust.newest_s) / _DAY_S),
        round(trust.expires_s - now_ns / 1e9) // _DAY_S,
    )
    text = f"trust: newest signature {_day(trust.newest_s)} ({age_days} days old), accepts its releases until "
    text += _day(trust.expires_s)
    return text if left_days > _SOON_DAYS else f"{text}: have the release station sign afresh"


def entry_line(entry: HistoryEntry) -> str:
    """One line of the history."""
    return f"{_time(entry.at_ns)}  {entry.kind:<11}  {entry.digest[:12]:<12}  {entry.text}"


def _time(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S}Z"


def _day(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d}"
