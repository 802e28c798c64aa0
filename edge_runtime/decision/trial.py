"""The trial of a model on the running line: when it is confirmed, and when it has to go. Pure: counts and time go in.

The rates are looked at after every part, so an ordinary test would find something by chance sooner or later. The one
used here may be looked at as often as one likes: a mixture of likelihoods against the best one that the stated rate
allows is, by Ville's inequality, beyond 1/α with a probability of at most α over the whole trial (Robbins, "Statistical
methods related to the law of the iterated logarithm", 1970; the mixture is Jeffreys' Beta(½, ½)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from edge_runtime.decision.reject_plan import gate_action
from edge_runtime.domain.recipe import GateAction
from edge_runtime.domain.verdict import LATE, Reason

if TYPE_CHECKING:
    from edge_runtime.domain.recipe import Recipe
    from edge_runtime.domain.verdict import Verdict

FALSE_ALARM: Final = 0.001
"""Probability that a model which keeps to a stated rate is thrown out for it, over a whole trial."""
FAULTS_IN_A_ROW: Final = 3
"""As many as the engine keeper takes for a broken engine."""
LATE_IN_A_ROW: Final = 10
FEWEST: Final = 3
"""No rate is judged by fewer cases than this."""
FEWEST_LATE: Final = 10
"""Lateness comes in bursts, and often from elsewhere: another program, a daemon that has just started."""
LONGEST: Final = 20
"""A trial that is not decided after so many times the parts that it asks for has failed."""

MODEL_FAULTS: Final = frozenset({Reason.ENGINE_ERROR, Reason.SCORE_INVALID, Reason.IMAGE_UNEXPECTED})
"""Faults that the model may be to blame for; a lost frame or a cut picture says nothing about it."""


class Failure(StrEnum):
    """Why a model on trial has to go."""

    GOLDEN = "golden"
    """It does not give its golden scores on this device, or cannot be loaded at all."""
    FAULTS = "faults"
    LATE = "late"
    REJECT_RATE = "reject_rate"
    HUNG = "hung"
    CRASH_LOOP = "crash_loop"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class TrialRules:
    """What a model has to keep to."""

    parts: int
    """So many parts with a sound score, of its own."""
    dwell_ns: int
    """It has to decide for at least so long."""
    fault_rate: float
    """Largest share of parts with a fault of the model, 0…1."""
    late_rate: float
    """Largest share of parts that get no verdict in time, 0…1."""
    reject_rate: tuple[float, float]
    """Smallest and largest share of parts with a sound score that the gate ejects, 0…1."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What the parts of a trial got."""

    sound: int = 0
    ejected: int = 0
    """Of the sound ones: those that the gate ejects (REVIEW as the recipe says)."""
    unasked: int = 0
    """Of the sound ones: those at which it was not asked to look, where several models are combined."""
    unasked_ejected: int = 0
    """Of these: those that the gate ejects."""
    faults: int = 0
    late: int = 0
    faults_in_a_row: int = 0
    late_in_a_row: int = 0

    @property
    def looked(self) -> int:
        """Those that it gave a sound score."""
        return self.sound - self.unasked

    @property
    def parts(self) -> int:
        """All that say something about the model."""
        return self.looked + self.faults + self.late

    def without_it(self, verdict: Verdict, recipe: Recipe) -> Tally:
        """With one more part at which it was not asked to look: it counts for the line's reject rate alone."""
        if verdict.reason.is_fault:
            return self
        ejects = gate_action(verdict, recipe) is GateAction.EJECT
        return replace(
            self,
            sound=self.sound + 1,
            ejected=self.ejected + ejects,
            unasked=self.unasked + 1,
            unasked_ejected=self.unasked_ejected + ejects,
        )

    def add(self, verdict: Verdict, recipe: Recipe) -> Tally:
        """With one more part; one whose fault is not the model's changes nothing."""
        if verdict.reason in MODEL_FAULTS:
            return replace(self, faults=self.faults + 1, faults_in_a_row=self.faults_in_a_row + 1)
        if verdict.reason in LATE:
            return replace(self, late=self.late + 1, late_in_a_row=self.late_in_a_row + 1)
        if verdict.reason.is_fault:
            return self
        ejected = self.ejected + (gate_action(verdict, recipe) is GateAction.EJECT)
        return replace(self, sound=self.sound + 1, ejected=ejected, faults_in_a_row=0, late_in_a_row=0)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """It has become the last-known-good one."""

    text: str


@dataclass(frozen=True, slots=True)
class RolledBack:
    """It has to go."""

    failure: Failure
    text: str
    """For a technician: what it did, and what was allowed."""


def decide(
    tally: Tally, rules: TrialRules, elapsed_ns: int, *, hangs: bool, has_good: bool = True
) -> Confirmed | RolledBack | None:
    """What is to become of the model now; None: the trial goes on.

    Where there is nothing to go back to, a model that is merely late stays: its late parts get the fail-safe, and
    without it all of them would.

    Args:
        elapsed_ns: since it began to decide.
        hangs: the inspect stage makes no progress, and the watchdog is not fed.
        has_good: another release is known to be good.
    """
    failed = _failed(tally, rules, hangs=hangs)
    if failed is not None and failed.failure is Failure.LATE and not has_good:
        failed = None
    if failed is not None:
        return failed
    if tally.looked < rules.parts or elapsed_ns < rules.dwell_ns:
        return None
    in_band = not (_rejects_too_many(tally, rules) or _rejects_too_few(tally, rules))
    if in_band and tally.faults <= rules.fault_rate * tally.parts and tally.late <= rules.late_rate * tally.parts:
        return Confirmed(f"{_told(tally)} in {elapsed_ns / 1e9:.0f} s")
    if tally.looked >= LONGEST * rules.parts and has_good:
        text = f"after {_told(tally)} it still cannot be said that it keeps to its rates"
        return RolledBack(Failure.UNDECIDED, text)
    return None


def _failed(tally: Tally, rules: TrialRules, *, hangs: bool) -> RolledBack | None:
    if hangs:
        return RolledBack(Failure.HUNG, "an inspection does not end")
    if tally.faults_in_a_row >= FAULTS_IN_A_ROW:
        return RolledBack(Failure.FAULTS, f"{tally.faults_in_a_row} parts in a row could not be judged")
    if tally.late_in_a_row >= LATE_IN_A_ROW:
        return RolledBack(Failure.LATE, f"{tally.late_in_a_row} parts in a row got no verdict before the deadline")
    return _beyond_its_rates(tally, rules)


def _beyond_its_rates(tally: Tally, rules: TrialRules) -> RolledBack | None:
    if is_beyond(tally.faults, tally.parts, rules.fault_rate):
        return RolledBack(Failure.FAULTS, _rate("could not be judged", tally.faults, tally.parts, rules.fault_rate))
    if tally.late >= FEWEST_LATE and is_beyond(tally.late, tally.parts, rules.late_rate):
        text = _rate("got no verdict before the deadline", tally.late, tally.parts, rules.late_rate)
        return RolledBack(Failure.LATE, text)
    low, high = rules.reject_rate
    too_many = _rejects_too_many(tally, rules) and is_beyond(tally.ejected, tally.sound, high)
    passed = tally.sound - tally.ejected
    if too_many or (_rejects_too_few(tally, rules) and is_beyond(passed, tally.sound, 1.0 - low)):
        text = f"{tally.ejected} of {tally.sound} parts were rejected; {100 * low:g} to {100 * high:g} % are expected"
        return RolledBack(Failure.REJECT_RATE, text)
    return None


def _rejects_too_many(tally: Tally, rules: TrialRules) -> bool:
    """So far; not where those that it was not asked about are too many by themselves: that is not its doing."""
    high, sound = rules.reject_rate[1], max(1, tally.sound)
    return tally.ejected / sound > high >= tally.unasked_ejected / sound


def _rejects_too_few(tally: Tally, rules: TrialRules) -> bool:
    """Likewise: not where they would be too few whatever it said."""
    low, sound = rules.reject_rate[0], max(1, tally.sound)
    unasked_passed = tally.unasked - tally.unasked_ejected
    return tally.ejected / sound < low <= (tally.sound - unasked_passed) / sound


def is_beyond(cases: int, parts: int, rate: float) -> bool:
    """True if the cases show, at any look and with `FALSE_ALARM` in all, that their true rate is above `rate`."""
    if cases < FEWEST or cases <= rate * parts:
        return False
    return log_evidence(cases, parts, rate) >= -math.log(FALSE_ALARM)


def log_evidence(cases: int, parts: int, rate: float) -> float:
    """Natural logarithm of the evidence that the true rate is above `rate` (see the module's docstring).

    Args:
        cases: 0…parts.
        parts: at least 1.
        rate: 0…1.
    """
    others = parts - cases
    mixture = _log_beta(cases + 0.5, others + 0.5) - _log_beta(0.5, 0.5)
    allowed = min(rate, cases / parts)
    return mixture - _log_times(cases, allowed) - _log_times(others, 1.0 - allowed)


def _log_times(count: int, probability: float) -> float:
    if count == 0:
        return 0.0
    return count * math.log(probability) if probability > 0.0 else -math.inf


def _log_beta(one: float, other: float) -> float:
    return math.lgamma(one) + math.lgamma(other) - math.lgamma(one + other)


def _told(tally: Tally) -> str:
    unasked = f" ({tally.unasked} without it)" if tally.unasked else ""
    return f"{tally.sound} parts judged{unasked}, {tally.ejected} rejected, {tally.faults} faults, {tally.late} late"


def _rate(what: str, cases: int, parts: int, allowed: float) -> str:
    return f"{cases} of {parts} parts {what}; {100 * allowed:g} % are allowed"
