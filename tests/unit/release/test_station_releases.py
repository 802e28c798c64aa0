from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from bundle_parts import PAYLOADS, make_draft, write_sample
from station_parts import Bench, MemorySource, copy_of, make_bench

from edge_convert.release.mirror import serve
from edge_convert.release.releasing import history, release
from edge_convert.release.repository import Repository, RepositorySource
from edge_convert.release.revoking import revoke
from edge_convert.release.stick import write_stick
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.bundles.release_layout import CONTENTS_LIMIT
from edge_runtime.domain.errors import BundleError, ConfigError
from edge_runtime.domain.verdict import Limits

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A station with one release, counter 2."""
    bench = make_bench(tmp_path)
    bench.release()
    return bench


def test_counters_grow_over_all_products(bench: Bench) -> None:
    """One sequence for the whole station, so that one list of releases has one age."""
    counters = [bench.release("lid").terms.counter, bench.release(draft=make_draft(version="2.0")).terms.counter]
    assert counters == [3, 4]


def test_the_same_release_twice_is_refused(bench: Bench) -> None:
    """It would make devices load the same model again for nothing."""
    with pytest.raises(ConfigError, match="current release of part already"):
        bench.release()


def test_other_content_under_a_used_name_is_refused(bench: Bench) -> None:
    """Name, version and revision tell a ledger's reader which model spoke; two of the same name would not."""
    with pytest.raises(ConfigError, match="nobody could tell the two apart"):
        bench.release(payloads={**PAYLOADS, "search.onnx": b"another"})


def test_changed_limits_are_a_signed_revision(bench: Bench) -> None:
    """The same weights with other limits and a higher revision: a new release, its payloads already there."""
    before = sorted((bench.folder / "station/repository/targets").glob("[0-9a-f]*"))
    draft = make_draft()
    wider = replace(draft.calibration, limits=Limits(1.6, 2.5))
    with pytest.raises(ConfigError, match="nobody could tell the two apart") as error:
        bench.release(draft=replace(draft, calibration=wider))
    assert "edge-convert relimit" in error.value.action
    done = bench.release(draft=replace(draft, calibration=wider, revision=1))
    assert (done.revision, done.terms.counter) == (1, 3)
    assert sorted((bench.folder / "station/repository/targets").glob("[0-9a-f]*")) == before


def test_going_back_to_an_earlier_model_is_a_new_release(bench: Bench) -> None:
    """Content of release 2 after release 3: allowed, under a counter of its own."""
    bench.release(draft=make_draft(version="2.0"))
    assert bench.release().terms.counter == 4


def test_revoking_raises_the_floor_for_good(bench: Bench) -> None:
    """The current content is signed again with a floor that no later release lowers."""
    bench.release(draft=make_draft(version="2.0"))
    done = revoke(bench.station, "part", 3)
    assert (done.terms.counter, done.terms.min_counter, done.version) == (4, 3, "2.0")
    assert bench.release(draft=make_draft(version="3.0")).terms.min_counter == 3
    with pytest.raises(ConfigError, match="cannot be the revoked ones"):
        bench.release(draft=make_draft(version="4.0"), min_counter=2)


def test_a_bad_current_release_is_revoked_by_reissuing_a_sound_one(bench: Bench) -> None:
    """Without naming a sound one, revoking would sign the bad one again."""
    bench.release(draft=make_draft(version="2.0"))
    with pytest.raises(ConfigError, match="among those to be revoked") as error:
        revoke(bench.station, "part", 4)
    assert "--reissue: 2, 3" in error.value.action
    done = revoke(bench.station, "part", 4, reissue=2)
    assert (done.terms.counter, done.terms.min_counter, done.version) == (4, 4, "1.0")


@pytest.mark.parametrize(("product", "below", "reissue"), [("lid", 2, None), ("part", 9, 2), ("part", 2, 7)])
def test_what_cannot_be_revoked_is_refused(bench: Bench, product: str, below: int, reissue: int | None) -> None:
    """An unknown product, a floor above the new release, an unknown release."""
    with pytest.raises(ConfigError):
        revoke(bench.station, product, below, reissue=reissue)


def test_a_counter_can_jump_ahead_but_not_back(bench: Bench) -> None:
    """The way past a floor that was set with stolen keys."""
    station = bench.station
    write_sample(bench.folder / "x.bundle")
    with open_bundle(bench.folder / "x.bundle", trust="development") as bundle:
        assert release(station, bundle, product="part", hardware=("a",), counter=1000).terms.counter == 1000
        with pytest.raises(ConfigError, match="has been used"):
            release(station, bundle, product="part", hardware=("b",), counter=1000)
    assert [one.release.counter for one in history(station, "part") if one.release] == [2, 1000]


def test_a_failed_release_leaves_the_old_one_in_force(bench: Bench) -> None:
    """A damaged payload in the repository is found before timestamp.json is replaced."""
    before = bench.station.repository.read().timestamp.version
    draft = make_draft(version="2.0")
    place = bench.folder / "station/repository/targets"
    victim = next(path for path in place.glob("[0-9a-f]*") if path.stat().st_size == len(PAYLOADS["search.onnx"]))
    victim.write_bytes(b"SEARCH")
    with pytest.raises(BundleError, match="differs from what is signed"):
        bench.release(draft=draft)
    assert bench.station.repository.read().timestamp.version == before
    assert len(history(bench.station, "part")) == 1
    victim.unlink()
    done = bench.release(draft=make_draft(version="2.0", notes={"second": "attempt"}))
    assert done.terms.counter == 3
    assert [one.version for one in (item.identity for item in history(bench.station, "part"))] == ["1.0", "2.0"]


def test_a_release_has_room_for_roots(bench: Bench) -> None:
    """More contents than a file could hold after many rotations are refused when they are signed, not years later."""
    many = {f"extra/{number}": str(number).encode() for number in range(CONTENTS_LIMIT)}
    with pytest.raises(ConfigError, match="at most 740 files"):
        bench.release(draft=make_draft(version="2.0"), payloads={**PAYLOADS, **many})


def test_a_stick_is_ready_for_a_device(bench: Bench) -> None:
    """All products, newest metadata, one file each; older files of the same products are gone, others stay."""
    stick = bench.folder / "stick"
    stick.mkdir()
    write_stick(bench.station, stick)
    (stick / "edge-updates" / "holiday.jpg").write_bytes(b"x")
    bench.release("lid")
    bench.release(draft=make_draft(version="2.0"))
    written = write_stick(bench.station, stick)
    assert {one.name for one in (stick / "edge-updates").iterdir()} == {"part-4.bundle", "lid-3.bundle", "holiday.jpg"}
    bench.provision()
    for turn, one in enumerate(written):
        (name,) = one.files
        source = MemorySource(MemorySource.of(stick / "edge-updates" / name).members, one.product)
        verified = bench.take(source, turn)
        assert verified.digest == one.digest
        assert copy_of(verified, source)


@pytest.mark.parametrize("part_bytes", [700, 4096, 10_000, 16_384])
def test_a_stick_with_small_files_gets_parts(bench: Bench, part_bytes: int) -> None:
    """The parts together are the file, none is larger than asked for, and whole files of before are gone."""
    stick = bench.folder / "stick"
    stick.mkdir()
    (whole,) = write_stick(bench.station, stick)
    content = (stick / "edge-updates" / whole.files[0]).read_bytes()
    (parted,) = write_stick(bench.station, stick, part_bytes=part_bytes)
    files = [(stick / "edge-updates" / name).read_bytes() for name in parted.files]
    assert b"".join(files) == content
    assert all(len(file) == part_bytes for file in files[:-1])
    assert {one.name for one in (stick / "edge-updates").iterdir()} == set(parted.files)


def test_a_stick_without_room_is_left_alone(bench: Bench) -> None:
    """No such folder, no such product, nothing released: said before anything is written."""
    with pytest.raises(ConfigError, match="is no folder"):
        write_stick(bench.station, bench.folder / "absent")
    with pytest.raises(ConfigError, match="'lid' has no release"):
        write_stick(bench.station, bench.folder, ["lid"])
    assert not (bench.folder / "edge-updates").exists()


def test_nothing_released_makes_no_stick(tmp_path: Path) -> None:
    """A fresh station."""
    with pytest.raises(ConfigError, match="nothing was released"):
        write_stick(make_bench(tmp_path).station, tmp_path)


def test_a_served_folder_is_a_repository(bench: Bench) -> None:
    """Only what is in force, verifiable from that folder alone; a second run writes no payload again."""
    bench.release(draft=make_draft(version="2.0"))
    www = bench.folder / "www"
    assert serve(bench.station, www).new_files == 3
    assert serve(bench.station, www).new_files == 0
    bench.provision()
    source = RepositorySource(Repository(www), "part")
    assert copy_of(bench.take(source, 0), source)
    assert len(list((www / "targets" / "part").iterdir())) == 1


def test_a_damaged_served_payload_is_written_again(bench: Bench) -> None:
    """A file that was cut short on the web server's disk does not stay so."""
    www = bench.folder / "www"
    serve(bench.station, www)
    victim = max((www / "targets").glob("[0-9a-f]*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    os.truncate(victim, 3)
    assert serve(bench.station, www).new_files == 1


def test_the_station_is_not_served_onto_itself(bench: Bench) -> None:
    """It keeps what a web server need not show."""
    with pytest.raises(ConfigError, match="own repository"):
        serve(bench.station, bench.folder / "station" / "repository")
