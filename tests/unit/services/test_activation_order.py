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
        (stage("lid"), stage("exact"), False),
        (stage("lid"), stage("exact", DUE, is_trying=True), False),
        (stage("lid", DUE), stage("exact", DUE), True),
        (stage("lid", DUE), stage("exact", DUE, is_trying=True), True),
        (stage("lid", is_trying=True), stage("exact", DUE), True),
    ],
)
def test_the_lines_own_goes_first(own, second, waits) -> None:
    """It waits for nobody: a second model that is hardly ever asked may be on trial for ever."""
    one_at_a_time([own, second])
    assert own.waits_for() == ""
    assert ("one of product lid" in second.waits_for()) is waits
    assert own.beside == (second,)


def test_what_waits_is_told_and_left_out() -> None:
    """The last-known-good one runs meanwhile; without one nothing can wait."""
    told: list[str] = []
    records = SimpleNamespace(waits=lambda release, why: told.append(f"{release.version}: {why}"))
    on_trial = replace(QUIET, trial=NEW)
    for standing in (DUE, on_trial):
        assert without_what_waits(standing, "another", records) == QUIET
    assert told == ["2: another"] * 2
    for standing, why in ((DUE, ""), (replace(DUE, known_good=None), "another"), (QUIET, "another")):
        assert without_what_waits(standing, why, records) is standing
    assert len(told) == 2
