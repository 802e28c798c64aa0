from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from edge_runtime.domain.update import ProductStanding, ReleaseTerms, StoredRelease, UpdateState
from edge_runtime.services.activation_order import one_at_a_time, without_what_waits

GOOD = StoredRelease("a" * 64, ReleaseTerms("lid", 1, 0, ()), "lid", "1", 0, UpdateState.CONFIRMED, 0, 1)
NEW = replace(GOOD, digest="b" * 64, version="2", state=UpdateState.ARMED)
QUIET = ProductStanding(None, None, GOOD, 0)
DUE = replace(QUIET, armed=NEW)


def stage(product: str, standing: ProductStanding = QUIET, *, is_trying: bool = False):
    """What another stage sees of it."""
    return SimpleNamespace(product=product, standing=standing, is_trying=is_trying)


@pytest.mark.parametrize(
    ("own", "second", "waits"),
    [
        (stage("lid"), stage("exact"), (False, False)),
        (stage("lid", DUE), stage("exact", DUE), (False, True)),
        (stage("lid", DUE), stage("exact", DUE, is_trying=True), (True, True)),
        (stage("lid", is_trying=True), stage("exact", DUE), (False, True)),
        (stage("lid", DUE), stage("exact"), (False, True)),
    ],
)
def test_the_lines_own_goes_first_and_nobody_interrupts_a_trial(own, second, waits) -> None:
    """Whoever waits is told for which product."""
    one_at_a_time([own, second])
    assert (bool(own.waits_for()), bool(second.waits_for())) == waits
    assert "exact" not in second.waits_for()
    assert own.beside == (second,)


def test_what_waits_is_told_and_left_out() -> None:
    """The last-known-good one runs meanwhile. Without one, or on trial already, nothing can wait."""
    told: list[str] = []
    records = SimpleNamespace(waits=lambda release, why: told.append(f"{release.version}: {why}"))
    assert without_what_waits(DUE, "another", GOOD.digest, records) == QUIET
    assert told == ["2: another"]
    on_trial = replace(QUIET, trial=NEW)
    for standing, why, running in (
        (DUE, "", GOOD.digest),
        (replace(DUE, known_good=None), "another", ""),
        (on_trial, "another", NEW.digest),
    ):
        assert without_what_waits(standing, why, running, records) is standing
    assert without_what_waits(on_trial, "another", GOOD.digest, records) == QUIET  # interrupted by a restart
