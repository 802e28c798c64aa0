"""What a technician reads about a delivery: on the stick, on the screen, in the message. Pure, and in plain words."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_runtime.domain.delivery import Outcome, Step, Via
from edge_runtime.domain.update import UpdateState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from edge_runtime.domain.delivery import Delivery, Fate
    from edge_runtime.domain.update import ProductStanding, StoredRelease

WIDTH: Final = 78
_OUTCOMES: Final[Mapping[Outcome, str]] = {
    Outcome.TAKEN: "TAKEN",
    Outcome.PRESENT: "is here already",
    Outcome.LEFT: "left alone",
    Outcome.REFUSED: "REFUSED",
    Outcome.FAILED: "DID NOT WORK",
}
_STEPS: Final[Mapping[Step, str]] = {
    Step.LOOKING: "Being looked at",
    Step.DOWNLOADING: "Being downloaded",
    Step.WAITING: "Waiting for the maintenance window",
    Step.INSTALLING: "Being installed and proved on this device",
    Step.ENDED: "Ended",
}
_WHERE: Final[Mapping[Via, str]] = {Via.STICK: "on the stick", Via.NETWORK: "in the repository"}


@dataclass(frozen=True, slots=True)
class View:
    """What the report is made from, besides the delivery."""

    device: str
    standings: Mapping[str, ProductStanding]
    """Product → what decides, now."""
    known: Mapping[str, StoredRelease]
    """Digest → what the store says of it, now."""
    local_time: Callable[[int], str]
    """Wall clock in words."""


def name_of(release: StoredRelease) -> str:
    """`cookies 1.4.0 (release 17)`."""
    return f"{release.name} {release.version} (release {release.terms.counter})"


def headline(delivery: Delivery, view: View) -> str:
    """One sentence: did anything change?"""
    if delivery.step is not Step.ENDED:
        return f"{_STEPS[delivery.step]}: {delivery.detail}" if delivery.detail else f"{_STEPS[delivery.step]}."
    taken = next((fate for fate in delivery.fates if fate.outcome is Outcome.TAKEN), None)
    if taken is not None:
        return _taken(taken, view)
    nothing_there = f"NOTHING WAS CHANGED: {delivery.detail or f'there is no release {_WHERE[delivery.via]}'}."
    return {
        Outcome.FAILED: "NOTHING WAS CHANGED: it did not work. The line goes on as before.",
        Outcome.REFUSED: "NOTHING WAS CHANGED: what was brought was refused. The line goes on as before.",
        Outcome.PRESENT: "NOTHING TO DO: this device has it already.",
        Outcome.LEFT: f"NOTHING FOR THIS DEVICE {_WHERE[delivery.via]}. The line goes on as before.",
    }.get(delivery.worst or Outcome.TAKEN, nothing_there)


def report(delivery: Delivery, view: View) -> str:
    """The whole text: lines of at most `WIDTH` characters, where no single word is longer."""
    when = view.local_time(delivery.began_ns if delivery.ended_ns is None else delivery.ended_ns)
    parts = [f"edge-runtime on {view.device}, {when}", "", *_filled(headline(delivery, view))]
    if delivery.fates:
        parts += ["", f"What was {_WHERE[delivery.via]}:"]
        for fate in delivery.fates:
            parts += _fate(fate)
    if view.standings:
        parts += ["", "What the line runs now:"]
        for product, standing in view.standings.items():
            parts += _filled(f"{product}: {_decides(standing, view)}", "  ", "    ")
    parts += ["", *_filled(f"What to do: {_to_do(delivery)}")]
    return "\n".join(parts) + "\n"


def _taken(fate: Fate, view: View) -> str:
    stored = view.known.get(fate.digest)
    match None if stored is None else stored.state:
        case UpdateState.TRIAL:
            return (
                f"NEW MODEL ACTIVE: {fate.release} inspects the parts now. It is on trial: if anything is wrong with "
                "it, the line goes back by itself."
            )
        case UpdateState.CONFIRMED:
            return f"NEW MODEL ACTIVE: {fate.release} inspects the parts now, and has passed its trial."
        case UpdateState.ROLLED_BACK:
            reason = "" if stored is None else f": {stored.reason}"
            return f"THE NEW MODEL FAILED ON THE LINE, which is back on the one before. {fate.release}{reason}."
        case UpdateState.STAGED:
            return f"NEW MODEL STORED: {fate.release}. The line goes on as before until somebody activates it."
        case _:
            return f"NEW MODEL TAKEN: {fate.release}. The line takes it up by itself as soon as it runs."


def _fate(fate: Fate) -> Iterator[str]:
    release = f", {fate.release}" if fate.release else ""
    yield from _filled(f"{fate.offered}{release}: {_OUTCOMES[fate.outcome]}", "  ", "    ")
    if fate.what:
        yield from _filled(fate.what, "    ", "    ")
    if fate.action:
        yield from _filled(f"→ {fate.action}", "    ", "      ")


def _decides(standing: ProductStanding, view: View) -> str:
    active = standing.active
    if active is None:
        return "nothing yet" if standing.armed is None else f"{name_of(standing.armed)} as soon as the line runs"
    words = f"{name_of(active)}, here since {view.local_time(active.installed_ns)}"
    if standing.trial is not None:
        words += ", on trial"
        if standing.known_good is not None:
            words += f"; {name_of(standing.known_good)} stands by"
    if standing.armed is not None:
        words += f"; {name_of(standing.armed)} comes next"
    return words


def _to_do(delivery: Delivery) -> str:
    if delivery.action:
        return delivery.action
    if any(fate.action for fate in delivery.fates):
        return "what stands behind each → above."
    if delivery.step is not Step.ENDED:
        return "wait."
    return "nothing. The stick may be pulled." if delivery.via is Via.STICK else "nothing."


def _filled(text: str, first: str = "", rest: str = "") -> list[str]:
    """Wrapped. Long words (paths, addresses) are not cut: they are there to be copied."""
    plain = " ".join("".join(char if char.isprintable() else "?" for char in text.replace("\n", " ")).split())
    return textwrap.wrap(
        plain, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
