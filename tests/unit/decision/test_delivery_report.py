from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.decision.delivery_report import WIDTH, View, headline, report
from edge_runtime.domain.delivery import Delivery, Fate, Outcome, Step, Via
from edge_runtime.domain.update import ProductStanding, ReleaseTerms, StoredRelease, UpdateState


def stored(counter: int, state: UpdateState, reason: str = "") -> StoredRelease:
    """A release of the cookies."""
    terms = ReleaseTerms("cookies", counter, 0, ())
    return StoredRelease(f"{counter:064x}", terms, "cookies", f"1.{counter}", 1, state, 1, 0, reason)


def view(*releases: StoredRelease) -> View:
    """What the store says."""
    by_state = {release.state: release for release in releases}
    standing = ProductStanding(
        armed=by_state.get(UpdateState.ARMED),
        trial=by_state.get(UpdateState.TRIAL),
        known_good=by_state.get(UpdateState.CONFIRMED),
        min_counter=0,
    )
    return View("line-3", {"cookies": standing}, {one.digest: one for one in releases}, lambda _: "2026-11-21 10:32")


OLD = stored(3, UpdateState.CONFIRMED)
NEW = Fate("a.bundle", Outcome.TAKEN, "cookies 1.4 (release 4)", "cookies", f"{4:064x}")
EVIL = Fate("evil.bundle", Outcome.REFUSED, what="it is not signed by enough keys", action="Do not use it.")


def ended(*fates: Fate, via: Via = Via.STICK) -> Delivery:
    """A delivery that is over."""
    return Delivery(via, 0, Step.ENDED, fates, ended_ns=0)


@pytest.mark.parametrize(
    ("release", "words"),
    [
        (
            stored(4, UpdateState.TRIAL),
            "NEW MODEL ACTIVE: cookies 1.4 (release 4) inspects the parts now. It is on tri",
        ),
        (stored(4, UpdateState.ARMED), "NEW MODEL TAKEN: cookies 1.4 (release 4). The line takes it up by itself"),
        (stored(4, UpdateState.STAGED), "NEW MODEL STORED"),
        (
            stored(4, UpdateState.ROLLED_BACK, "9 of 50 parts rejected"),
            "FAILED ON THE LINE, which is back on the one b",
        ),
    ],
)
def test_the_first_sentence_says_how_the_new_model_stands(release, words) -> None:
    """Taken is not yet active, and active is not yet proved: a technician reads which."""
    assert words in headline(ended(NEW), view(OLD, release))


def test_a_wrong_stick_is_said_to_have_changed_nothing() -> None:
    """What was refused, why, what to do about it, and that the line goes on with the model it had."""
    text = report(ended(EVIL), view(OLD))
    assert "NOTHING WAS CHANGED: what was brought was refused. The line goes on as before." in text
    assert "evil.bundle: REFUSED\n    it is not signed by enough keys\n    → Do not use it." in text
    assert "cookies: cookies 1.3 (release 3), here since 2026-11-21 10:32" in text


def test_one_good_release_beside_a_bad_one_is_taken_and_both_are_told() -> None:
    """The bad one does not hide the good one, nor the other way round."""
    text = report(ended(EVIL, NEW), view(OLD, stored(4, UpdateState.TRIAL)))
    assert "NEW MODEL ACTIVE" in text
    assert "evil.bundle: REFUSED" in text
    assert "cookies 1.4 (release 4), here since 2026-11-21 10:32, on trial;\n    cookies 1.3" in text


def test_an_empty_stick_is_answered_too() -> None:
    """Nobody stands there and wonders."""
    text = report(Delivery(Via.STICK, 0, Step.ENDED, detail="the stick has no folder edge-updates"), view(OLD))
    assert "NOTHING WAS CHANGED: the stick has no folder edge-updates." in text
    assert "What to do: nothing. The stick may be pulled." in text


def test_work_in_progress_is_told_as_such() -> None:
    """What it is at, and that waiting is all there is to do."""
    text = report(Delivery(Via.NETWORK, 0, Step.DOWNLOADING, detail="12 of 80 MB"), view(OLD))
    assert "Being downloaded: 12 of 80 MB" in text
    assert "What to do: wait." in text


@given(st.text(), st.text(), st.sampled_from(Outcome))
def test_no_text_from_a_stick_can_disturb_the_report(offered, what, outcome) -> None:
    """File names and messages of strangers: no control characters, no broken lines, always encodable."""
    text = report(ended(Fate(offered, outcome, what=what)), view(OLD))
    assert all(char == "\n" or char.isprintable() for char in text)
    assert all(
        len(line) <= WIDTH for line in text.splitlines() if " " in line.strip() and len(max(line.split(), key=len)) < 60
    )
    text.encode("utf-8")
