"""Values of an update: a signed release, the states it goes through on a device, and what the store knows of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PRODUCT_PATTERN: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$"
PRODUCT_FORM: Final = "1 to 64 letters, digits, dots, dashes or underscores, neither a dot nor a dash first"
"""The pattern, for people."""


class UpdateState(StrEnum):
    """Where a release stands on this device. The transitions are a table in `decision.update_rules`."""

    IDLE = "idle"
    COPYING = "copying"
    """Being streamed into staging on the store's filesystem."""
    VERIFIED = "verified"
    """Our copy is signed, whole, meant for this device and not older than allowed."""
    STAGED = "staged"
    """Our copy stands in the store under its digest, synced."""
    SELFTEST = "selftest"
    """A limited subprocess inspects the golden images on this device's engine."""
    ARMED = "armed"
    """Committed: the line takes it up at the next frame, or at the next start."""
    TRIAL = "trial"
    """It decides; the last-known-good one stands by."""
    CONFIRMED = "confirmed"
    """It has become the last-known-good one."""
    ROLLED_BACK = "rolled_back"
    """It failed; its digest is quarantined."""


@dataclass(frozen=True, slots=True)
class ReleaseTerms:
    """What a signed release demands of the device that takes it."""

    product: str
    """What it inspects, of the form `PRODUCT_PATTERN`. A device keeps one line of versions per product."""
    counter: int
    """From 1; grows with every release of a release station, over all its products."""
    min_counter: int
    """Releases of this product with a smaller counter are never activated again, not even by hand."""
    hardware: tuple[str, ...]
    """Names of the devices' `device.hardware` that it is for; empty: any."""


@dataclass(frozen=True, slots=True)
class StoredRelease:
    """A release in the device's store."""

    digest: str
    """SHA-256 of its `release.json`, hexadecimal; the store's key."""
    terms: ReleaseTerms
    name: str
    version: str
    revision: int
    state: UpdateState
    attempts: int
    """How often a trial of it was begun; committed before each load."""
    installed_ns: int
    """Wall clock."""
    reason: str = ""
    """Why it stands where it stands, for a technician: what failed, or who pinned it."""
    pinned: bool = False
    """Nothing takes its place but a rollback."""
    confirmed: int = 0
    """Number of its last confirmation on this device, counted over all products; 0: never confirmed."""
    stored: bool = True
    """Its file is in the store; False for one that is only remembered as quarantined."""


@dataclass(frozen=True, slots=True)
class ProductStanding:
    """Which releases of a product decide, wait to decide, or are fallen back to."""

    armed: StoredRelease | None
    """To be taken up by the line: `begin_trial`, load, swap."""
    trial: StoredRelease | None
    """Decides until it is confirmed or rolled back. Never together with `armed`."""
    known_good: StoredRelease | None
    """The last one confirmed; None also where its counter is now below `min_counter`."""
    min_counter: int
    """Releases with a smaller counter never run again."""

    @property
    def active(self) -> StoredRelease | None:
        """What decides by the store's books: the one in trial, else the last-known-good one.

        A line that runs something else (and finds none armed) has to change over to it.
        """
        return self.trial or self.known_good


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """Something that happened to the releases, for a technician."""

    at_ns: int
    """Wall clock."""
    kind: str
    """installed, refused, trial, confirmed, rolled_back, requested, pinned, removed, start, …"""
    digest: str
    """Of the release it is about; empty where it is about none."""
    text: str
