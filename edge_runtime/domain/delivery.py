"""Values of a delivery: what came by stick or over the network, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Via(StrEnum):
    """How releases come to the device."""

    STICK = "stick"
    NETWORK = "network"


class Step(StrEnum):
    """What a delivery is at."""

    LOOKING = "looking"
    """What is there, is it signed, is it for this device."""
    DOWNLOADING = "downloading"
    WAITING = "waiting"
    """For the maintenance window."""
    INSTALLING = "installing"
    """Copied, verified, proved on its golden images."""
    ENDED = "ended"


class Outcome(StrEnum):
    """What became of one offered release."""

    TAKEN = "taken"
    """It is in the store, proved on this device; `after_install` says whether the line takes it up."""
    PRESENT = "present"
    """It was here already."""
    LEFT = "left"
    """Not meant for this device or this line: left alone, and nothing is wrong."""
    REFUSED = "refused"
    """Not signed, altered, too old, damaged, or it failed its self-test: whoever made or brought it has to act."""
    FAILED = "failed"
    """Something of this device or on the way failed: disk, network, stick pulled. Trying again may help."""


@dataclass(frozen=True, slots=True)
class Fate:
    """One offered release, and what became of it."""

    offered: str
    """File name on the stick, or address."""
    outcome: Outcome
    release: str = ""
    """In words, `cookies 1.4.0 (release 17)`; empty where it could not be read."""
    product: str = ""
    digest: str = ""
    what: str = ""
    """Why."""
    action: str = ""
    """What to do about it; empty where nothing is to be done."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One stick, or one check of the repository, from its beginning to its end."""

    via: Via
    began_ns: int
    """Wall clock; with `via` it names the delivery."""
    step: Step
    fates: tuple[Fate, ...] = ()
    detail: str = ""
    """What it is at, or why there is nothing to tell about any release."""
    action: str = ""
    """What to do about `detail`."""
    ended_ns: int | None = None
    """Wall clock."""

    @property
    def worst(self) -> Outcome | None:
        """What the lamp shows: failed or refused before taken; None where there was nothing."""
        order = (Outcome.FAILED, Outcome.REFUSED, Outcome.TAKEN, Outcome.PRESENT, Outcome.LEFT)
        found = {fate.outcome for fate in self.fates}
        return next((outcome for outcome in order if outcome in found), None)
