from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from bundle_parts import make_draft
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from station_parts import CHEAP, NOW_S, PASSPHRASE, Bench, MemorySource, make_bench

from edge_convert.release.rotation import renew, rotate_root
from edge_runtime.bundles.trust import verify_release
from edge_runtime.bundles.trust_folder import LocalTrust, provision_trust, read_trust
from edge_runtime.domain.errors import TrustError

if TYPE_CHECKING:
    from pathlib import Path

STATES = 7


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[MemorySource]]:
    """The first root, and the file that the station would have written in each of its states, oldest first."""
    bench = make_bench(tmp_path_factory.mktemp("history"))
    sources = []
    for number in range(STATES):
        bench.now_s += 1000
        _step(bench, number)
        sources.append(MemorySource.of(bench.export()))
    return bench.root, sources


def _step(bench: Bench, number: int) -> None:
    if number == 2:
        renew(bench.station)
    elif number in {3, 5}:
        replaced = ("root-1", "targets-1") if number == 3 else ("timestamp-1", "snapshot-1")
        rotate_root(bench.station, replaced, lambda _: PASSPHRASE, cost=CHEAP)
    else:
        bench.release(draft=make_draft(version=str(number)))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(offers=st.lists(st.tuples(st.integers(0, STATES - 1), st.sampled_from([0, NOW_S + 9000])), max_size=7))
def test_whatever_is_offered_in_whatever_order(
    tmp_path: Path, history: tuple[bytes, list[MemorySource]], offers: list[tuple[int, int]]
) -> None:
    """A file is taken exactly if it is not older than the newest that was taken; root, version and time never fall."""
    root, sources = history
    place = tmp_path / "device"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    trust, newest = provision_trust(root, place / "0"), -1
    for offer, clock in offers:
        before, after = place / str(trust.generation), place / str(trust.generation + 1)
        try:
            verified = verify_release(sources[offer], before, after, now_s=clock, floor_s=0)
        except TrustError:
            assert offer < newest
            assert not after.exists()
            continue
        assert offer >= newest
        newest, grown = offer, read_trust(after)
        assert (verified.timestamp_version, verified.signed_s) == (offer + 2, NOW_S + 1000 * (offer + 1))
        assert _not_less(trust, grown)
        trust = grown


def _not_less(before: LocalTrust, after: LocalTrust) -> bool:
    return after.generation == before.generation + 1 and after.newest_s >= before.newest_s
