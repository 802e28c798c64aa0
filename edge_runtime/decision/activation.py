"""Which model is to decide next, and which stay loaded. Pure: what the store says and what is loaded go in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from edge_runtime.domain.update import ProductStanding, StoredRelease

HEADROOM: Final = 1.5
"""While it is loaded, a model takes so many times what it takes afterwards."""


@dataclass(frozen=True, slots=True)
class Stay:
    """What decides is what should."""


@dataclass(frozen=True, slots=True)
class Change:
    """Change over to a release that was confirmed once."""

    release: StoredRelease


@dataclass(frozen=True, slots=True)
class Try:
    """Put a release on trial: its attempt is committed before it is loaded."""

    release: StoredRelease


@dataclass(frozen=True, slots=True)
class Watch:
    """The release that decides is on trial."""

    release: StoredRelease


@dataclass(frozen=True, slots=True)
class Suspend:
    """Nothing of this product may decide; every part gets the fail-safe."""

    why: str


Step = Stay | Change | Try | Watch | Suspend


def next_step(standing: ProductStanding, running: str, running_product: str, product: str) -> Step:
    """What the line has to do so that the right release of `product` decides.

    Args:
        standing: of `product`.
        running: digest of the release that decides.
        running_product: what that one inspects.
        product: what the line is to inspect now.
    """
    good, due = standing.known_good, standing.armed or standing.trial
    if standing.trial is not None and standing.trial.digest == running:
        return Watch(standing.trial)
    if due is not None and (good is None or running_product == product):
        return Try(due)
    if good is None:
        return Suspend(f"no release of product {product} on this device may run")
    return Stay() if good.digest == running else Change(good)


def put_off(standing: ProductStanding) -> ProductStanding:
    """As if what is due, or on trial, were not there: it has to wait. Where nothing else may run it cannot."""
    return standing if standing.known_good is None else replace(standing, armed=None, trial=None)


def may_go_on(standing: ProductStanding, running: str, running_product: str, product: str) -> bool:
    """Whether what runs may decide until what should is loaded: no other product's, none that was rolled back."""
    known = {release.digest for release in (standing.armed, standing.trial, standing.known_good) if release is not None}
    return running_product == product and running in known


class Rank(IntEnum):
    """What a loaded model is there for; the lowest goes first."""

    EARLIER = 0
    """It decided before; a person may want it back."""
    PRODUCT = 1
    """Of another product that the line changes over to."""
    STANDBY = 2
    """The last-known-good one behind a trial: a rollback in no time."""
    RUNNING = 3
    """Never unloaded."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory."""

    digest: str
    rank: Rank
    memory_bytes: int
    used_ns: int
    """When it decided last, or was loaded; monotonic."""


@dataclass(frozen=True, slots=True)
class Room:
    """How much memory models may take."""

    budget_bytes: int | None
    """All of them together; None: as long as `available_bytes` stays above the reserve."""
    available_bytes: int | None
    """Of this machine, or of our control group; None where it does not tell."""
    reserve_bytes: int


def to_unload(loaded: Sequence[Loaded], room: Room, wanted_bytes: int = 0) -> tuple[str, ...] | None:
    """Which models have to go, in this order, so that `wanted_bytes` more fit.

    Returns:
        Digests; empty where all may stay. None: not even without all that may go.
    """
    missing = _missing(loaded, room, wanted_bytes)
    going: list[str] = []
    for model in sorted(loaded, key=lambda model: (model.rank, model.used_ns)):
        if missing <= 0:
            break
        if model.rank is Rank.RUNNING:
            continue
        going.append(model.digest)
        missing -= model.memory_bytes
    return tuple(going) if missing <= 0 else None


def _missing(loaded: Sequence[Loaded], room: Room, wanted_bytes: int) -> int:
    if room.budget_bytes is not None:
        return sum(model.memory_bytes for model in loaded) + wanted_bytes - room.budget_bytes
    if room.available_bytes is None:
        return 0
    return room.reserve_bytes + wanted_bytes - room.available_bytes


def rank_of(digest: str, running: str, standby: str, products: Collection[str]) -> Rank:
    """What a loaded model is there for.

    Args:
        digest: its own.
        running: of the model that decides.
        standby: of the last-known-good release behind a trial; empty without one.
        products: of the releases of other products that the line may change over to.
    """
    if digest == running:
        return Rank.RUNNING
    if digest == standby:
        return Rank.STANDBY
    return Rank.PRODUCT if digest in products else Rank.EARLIER
