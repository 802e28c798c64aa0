"""Updates that fail late or are cut, and a store that is damaged: what runs then (docs/updates.md)."""

from __future__ import annotations

import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest
from station_parts import Bench
from update_rig import PRODUCT, Device, stick

from edge_runtime.bundles.install import FailedProofError, Proof, RefusedReleaseError
from edge_runtime.bundles.slice import open_release_file
from edge_runtime.bundles.store_files import UpdateBusyError
from edge_runtime.domain.errors import EdgeError, UpdateError
from edge_runtime.domain.update import UpdateState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_stick_that_changes_while_it_is_read_gains_nothing(here: Path, device: Device) -> None:
    """What counts is our own copy as it reads back; afterwards the stick may say what it likes."""
    path = here / "stick-3.bundle"
    good = path.read_bytes()

    def change(state: UpdateState) -> None:
        if state is UpdateState.VERIFIED:
            path.write_bytes(bytes(len(good)))

    device.on_state = change
    assert device.take(path).version == "3.0"
    assert device.store.resolve_start(PRODUCT).version == "3.0"
    path.write_bytes(good)


@pytest.mark.parametrize("why", ["it did not end within 120 s", "it wants more than 4096 MB of memory", "score 9"])
def test_a_failed_self_test_is_quarantined(here: Path, device: Device, why: str) -> None:
    """The running model stays, no file is kept, and the same release is not tried again."""
    device.prover.proof = Proof(passed=False, summary=why)
    before = device.trusted_versions()
    with pytest.raises(FailedProofError, match=why[:6]):
        device.install(here / "stick-3.bundle")
    failed = device.store.find("part@3.0")
    assert (failed.state, failed.stored) == (UpdateState.ROLLED_BACK, False)
    assert why in failed.reason
    assert device.trusted_versions() == before
    device.prover.proof = Proof(passed=True, summary="")
    with pytest.raises(RefusedReleaseError, match="failed on this device before"):
        device.install(here / "stick-3.bundle")
    assert device.store.resolve_start(PRODUCT).version == "2.0"
    assert device.install(here / "stick-3.bundle", again=True).state is UpdateState.ARMED


def test_a_crash_loop_in_trial_ends_with_the_last_known_good(here: Path, device: Device) -> None:
    """Three loads, committed before each; the fourth start runs the release of before."""
    new = device.install(here / "stick-3.bundle")
    for attempt in (1, 2, 3):
        device.start()
        due = device.store.resolve_start(PRODUCT)
        assert due.digest == new.digest
        assert device.store.begin_trial(due.digest).attempts == attempt
    device.start()
    assert device.store.resolve_start(PRODUCT).version == "2.0"
    assert "crash loop" in device.store.find("part@3.0").reason
    with pytest.raises(UpdateError, match="rolled_back"):
        device.store.begin_trial(new.digest)


def test_a_rollback_or_clean_up_that_was_cut_finishes_at_the_next_start(here: Path, device: Device) -> None:
    """The files of a version that is out of the books go at any later time; a second rollback changes nothing."""
    new = device.install(here / "stick-3.bundle")
    device.store.begin_trial(new.digest)
    for _ in range(2):
        good = device.store.roll_back(new.digest, "wrong scores")
        assert good is not None
        assert good.version == "2.0"
    stray = device.store.files.bundle("f" * 64)
    stray.parent.mkdir()
    stray.write_bytes(b"half removed")
    device.start()
    device.store.resolve_start(PRODUCT)
    assert device.rubbish() == []


def test_of_two_installations_one_wins_and_the_other_is_told(here: Path, device: Device) -> None:
    """Two sticks, or stick and network, at the same moment."""
    second = Device(here / "device")
    told: list[EdgeError] = []

    def at_once(state: UpdateState) -> None:
        if state is UpdateState.COPYING:
            with pytest.raises(UpdateBusyError, match="another installation") as error:
                second.install(here / "stick-3.bundle")
            told.append(error.value)

    device.on_state = at_once
    assert device.install(here / "stick-3.bundle").state is UpdateState.ARMED
    second.close()
    assert len(told) == 1
    assert second.reached == []


def test_a_start_during_an_installation_leaves_it_alone(here: Path, device: Device) -> None:
    """The daemon restarts while a stick is read: what is being copied is not swept away."""
    second = Device(here / "device")
    device.on_state = lambda _state: _check_start(second)
    assert device.install(here / "stick-3.bundle").state is UpdateState.ARMED
    second.close()


def _check_start(second: Device) -> None:
    assert second.store.resolve_start(PRODUCT).version in {"2.0", "3.0"}


@pytest.mark.parametrize("damage", ["removed", "emptied", "zeros", "cut", "foreign", "tables"])
def test_a_lost_database_runs_the_last_known_good_and_refuses_updates(here: Path, device: Device, damage: str) -> None:
    """By the receipts; trust is not begun anew, so no stick is accepted."""
    device.close()
    path = here / "device" / "updates" / "updates.sqlite"
    DAMAGES[damage](path)
    for name in ("-wal", "-shm"):
        path.with_name(path.name + name).unlink(missing_ok=True)
    store = device.open()
    assert store.resolve_start(PRODUCT).version == "2.0"
    with pytest.raises(UpdateError, match="updates are refused"):
        store.request_activation(store.releases()[0].digest, "me", "now")
    assert hasattr(store, "refusal")
    path.unlink(missing_ok=True)
    device.store = device.open()  # type: ignore[assignment]
    assert device.store.resolve_start(PRODUCT).version == "2.0"
    shutil.rmtree(here / "device")
    device.start()


def _drop_tables(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE meta")
    connection.close()


def _foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE other (a)")
    connection.close()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "removed": lambda path: path.unlink(),
    "emptied": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:10_000]),
    "foreign": _foreign,
    "tables": _drop_tables,
}


def test_a_damaged_release_makes_way_at_the_start(here: Path, device: Device) -> None:
    """A bit rots on the disk: the last-known-good release is quarantined, the one before it runs."""
    path = device.store.path(device.store.find("part@2.0").digest)
    content = bytearray(path.read_bytes())
    content[-5_000] ^= 1
    path.write_bytes(content)
    assert device.store.resolve_start(PRODUCT).version == "1.0"
    assert "damaged" in device.store.find("part@2.0").reason


def test_a_revoked_release_never_runs_again(here: Path, device: Device) -> None:
    """A signed release raises the floor; neither a rollback nor a person gets below it."""
    bench = Bench(here)
    path = stick(bench, "4.0", "stick-4.bundle", min_counter=5)
    device.take(path)
    with pytest.raises(UpdateError, match="no earlier release"):
        device.store.request_rollback(PRODUCT, "me", "try")
    stored = device.store.releases()
    assert [release.version for release in stored] == ["4.0"]


def test_a_device_without_a_root_key_accepts_nothing(here: Path, tmp_path: Path) -> None:
    """And says what to do."""
    device = Device(tmp_path / "new")
    with open_release_file(here / "stick-1.bundle") as source, pytest.raises(UpdateError, match="no release station"):
        device.installer.install(source, "test")
    device.close()
