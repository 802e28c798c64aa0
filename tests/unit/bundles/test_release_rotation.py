from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from bundle_parts import make_draft
from station_parts import CHEAP, NOW_S, PASSPHRASE, Bench, MemorySource
from tuf.api.metadata import Metadata, Timestamp

from edge_convert.release.releasing import release
from edge_convert.release.rotation import renew, rotate_root
from edge_convert.release.signing import Validity
from edge_runtime.bundles.archive import open_bundle, open_release
from edge_runtime.bundles.release_blocks import release_blocks
from edge_runtime.bundles.trust import SIGNED_AT
from edge_runtime.bundles.trust_folder import read_trust
from edge_runtime.domain.errors import BundleError, Refusal
from edge_runtime.domain.update import ReleaseTerms

DAY_S = 86_400
YEAR_S = 365 * DAY_S


def rotate(bench: Bench, *names: str) -> None:
    """Replace keys by new ones."""
    rotate_root(bench.station, names, lambda _: PASSPHRASE, cost=CHEAP)


def test_a_chain_of_roots_is_followed(bench: Bench) -> None:
    """Root, targets and timestamp keys replaced one after the other; a device that missed all of it catches up."""
    bench.take(bench.export(), 0)
    for names in (("root-1",), ("root-2", "targets-1"), ("timestamp-1", "snapshot-1")):
        rotate(bench, *names)
    bench.release(draft=make_draft(version="2.0"))
    verified = bench.take(bench.export(), 1)
    assert (verified.root_version, verified.manifest.identity.version) == (4, "2.0")


def test_a_missing_link_in_the_chain_of_roots_is_no_way_in(bench: Bench) -> None:
    """Without root 2 the device does not come to root 3."""
    rotate(bench, "timestamp-1")
    rotate(bench, "targets-1")
    source = MemorySource.of(bench.export())
    del source.members["metadata/2.root.json"]
    assert bench.refused(source, 0).refusal is Refusal.UNSIGNED


def test_what_was_signed_by_a_replaced_key_is_refused(bench: Bench) -> None:
    """A stick from before the rotation, on a device that has seen the new root."""
    old = bench.export(name="old.bundle")
    rotate(bench, "timestamp-1", "snapshot-1")
    bench.take(bench.export(), 0)
    assert bench.refused(old, 1).refusal is Refusal.UNSIGNED


def _run_ahead(bench: Bench, version: int, signed_at_s: int) -> MemorySource:
    """What a thief of the timestamp's key can do: a version, and a time, far ahead."""
    source = MemorySource.of(bench.export())
    metadata = Metadata[Timestamp].from_bytes(source.members["metadata/timestamp.json"])
    metadata.signed.version = version
    metadata.signed.unrecognized_fields[SIGNED_AT] = signed_at_s
    metadata.signed.expires = metadata.signed.expires.replace(year=9999)
    root = bench.station.repository.read().root
    metadata.sign(bench.station.ring.signers(root, "timestamp")[0])
    source.members["metadata/timestamp.json"] = metadata.to_bytes()
    return source


def test_a_fast_forward_is_recovered_by_rotation(bench: Bench) -> None:
    """Versions driven up with a stolen timestamp key lock the station out, until that key is replaced."""
    bench.take(_run_ahead(bench, 2**40, NOW_S), 0)
    bench.release(draft=make_draft(version="2.0"))
    assert bench.refused(bench.export(), 1).refusal is Refusal.OLDER
    rotate(bench, "timestamp-1")
    assert bench.take(bench.export(), 1).manifest.identity.version == "2.0"


def test_a_time_driven_ahead_is_recovered_by_rotation_too(bench: Bench) -> None:
    """The clock floor is forgotten together with the timestamp key that had signed it."""
    century_s = NOW_S + YEAR_S  # within the validity of targets and snapshot, or the thief would gain nothing
    bench.take(_run_ahead(bench, 2**40, century_s), 0)
    assert read_trust(bench.folder / "trust-1").newest_s == century_s
    bench.release(draft=make_draft(version="2.0"))
    rotate_root(replace_validity(bench, Validity(rest_days=100)), ["timestamp-1"], lambda _: PASSPHRASE, cost=CHEAP)
    bench.take(bench.export(), 1)
    assert read_trust(bench.folder / "trust-2").newest_s == NOW_S


def replace_validity(bench: Bench, validity: Validity):
    """The station, signing for another span."""
    station = bench.station
    station.validity = validity  # type: ignore[misc]
    return station


def test_without_a_rotation_the_clock_floor_stands(bench: Bench) -> None:
    """What ran out before the newest time ever seen signed stays expired, even with the clock back at 1970."""
    bench.take(_run_ahead(bench, 3, NOW_S + 200 * DAY_S), 0)
    for _ in range(2):
        renew(replace_validity(bench, Validity(rest_days=100)))
    error = bench.refused(bench.export(), 1, now_s=0)
    assert error.refusal is Refusal.EXPIRED
    assert "1970-01-01 00:00 UTC, but it has seen" in error.what


@pytest.mark.parametrize(
    ("now_s", "floor_s"), [(NOW_S + 3 * YEAR_S, 0), (0, NOW_S + 3 * YEAR_S), (4_070_908_800, 0), (1e18, 0)]
)
def test_expired_is_refused_by_clock_or_floor(bench: Bench, now_s: float, floor_s: int) -> None:
    """A stick from three years ago; the same with a clock at 1970 on newer software; a clock at 2099 or beyond."""
    error = bench.refused(bench.export(), 0, now_s=now_s, floor_s=floor_s)
    assert error.refusal is Refusal.EXPIRED
    assert "clock" in error.what
    assert error.action.startswith("Check the clock")


def test_a_clock_at_1970_does_not_stop_a_sound_release(bench: Bench) -> None:
    """A device without a battery-backed clock can be updated; the time it then knows is the station's."""
    assert bench.take(bench.export(), 0, now_s=0).expires_s > NOW_S
    assert read_trust(bench.folder / "trust-1").newest_s == NOW_S


def test_metadata_that_ran_out_before_it_was_signed_is_refused(bench: Bench) -> None:
    """With a clock at 1970 the time that the metadata itself states counts."""
    source = MemorySource.of(bench.export())
    late = _run_ahead(bench, 9, NOW_S + 5 * YEAR_S)
    assert bench.refused(late, 0, now_s=0).refusal is Refusal.EXPIRED
    assert bench.take(source, 0, now_s=0)


def test_what_was_accepted_opens_whatever_the_clock_says(bench: Bench) -> None:
    """Expiry gates acceptance; `open_release` asks for no time and reads no metadata."""
    verified = bench.take(bench.export(), 0)
    source = MemorySource.of(bench.export())
    blank = tuple((name, b"{}") for name, _ in verified.metadata)
    copy = bench.folder / "copy"
    copy.write_bytes(b"".join(release_blocks(replace(verified, metadata=blank), source)))
    with open_release(copy, digest=verified.digest) as bundle:
        assert bundle.manifest.identity.digest == verified.digest
    with pytest.raises(BundleError, match="is not the release"):
        open_release(copy, digest="0" * 64)


def test_a_station_recovers_from_the_theft_of_everything_but_the_root(bench: Bench) -> None:
    """Thieves with a quorum of targets keys have driven everything ahead; new keys and a higher counter mend it."""
    ahead = 10**6
    thieves = shutil.copytree(bench.folder / "station", bench.folder / "stolen" / "station")
    with open_bundle(bench.export(), trust="development") as bundle:
        stolen = Bench(thieves.parent)
        release(stolen.station, bundle, product="part", counter=ahead, min_counter=ahead)
        assert bench.take(stolen.export(), 0).terms == ReleaseTerms("part", ahead, ahead, ())
        rotate(bench, "targets-1", "targets-2", "targets-3", "snapshot-1", "timestamp-1")
        release(bench.station, bundle, product="part", counter=ahead + 1, min_counter=ahead + 1)
    assert bench.take(bench.export(), 1).terms == ReleaseTerms("part", ahead + 1, ahead + 1, ())
    assert bench.refused(stolen.export(), 2).refusal is Refusal.UNSIGNED
