"""Every row of the table of faults that an update may meet, each with the end that it must have (docs/updates.md)."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from bundle_parts import pack
from station_parts import CHEAP, NOW_S, PASSPHRASE, Bench, MemorySource, make_bench
from update_rig import PRODUCT, Device, memory_folder, stick

from edge_convert.release.rotation import rotate_root
from edge_runtime.bundles.install import FailedProofError, Proof, RefusedReleaseError
from edge_runtime.bundles.slice import open_release_file
from edge_runtime.bundles.store_files import UpdateBusyError
from edge_runtime.bundles.store_open import check_release
from edge_runtime.domain.errors import BundleError, EdgeError, LocalTrustError, Refusal, TrustError, UpdateError
from edge_runtime.domain.update import UpdateState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

YEAR_S = 365 * 86_400
PAYLOAD_BYTES = 300_000


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A station with three releases on sticks, and a device that runs the second one. Every test has a copy."""
    folder = tmp_path_factory.mktemp("plant")
    bench = make_bench(folder)
    sticks = [stick(bench, f"{number}.0", f"stick-{number}.bundle", PAYLOAD_BYTES) for number in (1, 2, 3)]
    (folder / "root.json").write_bytes(bench.root)
    device = Device(folder / "device").provision(folder / "root.json")
    for path in sticks[:2]:
        device.take(path)
    device.close()
    return folder


@pytest.fixture
def here(plant: Path) -> Iterator[Path]:
    """The copy, in memory where that goes: what a sync costs on a busy disk is not the subject."""
    with memory_folder() as folder:
        yield Path(shutil.copytree(plant, folder / "plant"))


@pytest.fixture
def device(here: Path) -> Iterator[Device]:
    """The device that runs 2.0; whatever a test did, it must have left the store tidy."""
    device = Device(here / "device")
    yield device
    assert device.rubbish() == []
    device.close()


def refused(device: Device, source: object, error: type[EdgeError], match: str | None = None) -> EdgeError:
    """The release is not taken, the technician reads why, and the device is what it was: books, trust and files."""
    before = (device.store.releases(), device.trusted_versions(), device.store.standing(PRODUCT))
    with pytest.raises(error, match=match) as found:
        device.install(source)  # type: ignore[arg-type]
    assert (device.store.releases(), device.trusted_versions(), device.store.standing(PRODUCT)) == before
    assert device.rubbish() == []
    assert device.store.history(1)[0].kind == "refused"
    assert device.store.resolve_start(PRODUCT).version == "2.0"
    assert found.value.action
    return found.value


def members(path: Path) -> dict[str, bytes]:
    """Of a stick's file."""
    return dict(MemorySource.of(path).members)


def test_an_older_genuine_release_is_refused(here: Path, device: Device) -> None:
    """The stick of last month, inserted again."""
    error = refused(device, here / "stick-1.bundle", TrustError, "older")
    assert isinstance(error, TrustError)
    assert error.refusal is Refusal.OLDER


@pytest.mark.parametrize("state", [UpdateState.COPYING, UpdateState.STAGED, UpdateState.SELFTEST])
def test_an_older_release_is_refused_after_a_cut_too(here: Path, device: Device, state: UpdateState) -> None:
    """Power goes while the newest one is installed; the old stick does not profit from it."""

    def cut(reached: UpdateState) -> None:
        if reached is state:
            raise KeyboardInterrupt

    device.on_state = cut
    with pytest.raises(KeyboardInterrupt):
        device.install(here / "stick-3.bundle")
    device.on_state = lambda _state: None
    device.start()
    refused(device, here / "stick-1.bundle", TrustError, "older")


@pytest.mark.parametrize("name", ["root.json", "timestamp.json", "snapshot.json", "targets.json", "trust.json"])
@pytest.mark.parametrize("damage", ["emptied", "removed", "altered"])
def test_damaged_trust_fails_closed(here: Path, device: Device, name: str, damage: str) -> None:
    """No release is accepted, old or new; what runs goes on."""
    path = device.store.files.trust(device.store.intake.trust_generation()) / name
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(b"" if damage == "emptied" else path.read_bytes().replace(b"1", b"2", 1))
    for number in (1, 3):
        with pytest.raises(LocalTrustError):
            device.install(here / f"stick-{number}.bundle")
    assert device.store.resolve_start(PRODUCT).version == "2.0"


def test_an_exchanged_trust_folder_is_noticed(here: Path, device: Device) -> None:
    """The trusted metadata of another generation under the name of the committed one: nothing is accepted."""
    other = Device(here / "other").provision(here / "root.json")
    other.take(here / "stick-1.bundle")
    mine = device.store.files.trust(device.store.intake.trust_generation())
    shutil.rmtree(mine)
    shutil.copytree(other.store.files.trust(1), mine)
    other.close()
    with pytest.raises(LocalTrustError, match="of generation"):
        device.install(here / "stick-1.bundle")


def test_mixed_metadata_is_refused(here: Path, device: Device) -> None:
    """The newest timestamp with the rest of an older stick."""
    new, old = members(here / "stick-3.bundle"), members(here / "stick-1.bundle")
    mixed = {name: old.get(name, content) for name, content in new.items()}
    mixed["metadata/timestamp.json"] = new["metadata/timestamp.json"]
    for name in [name for name in mixed if "snapshot" in name]:
        mixed[name] = next(content for other, content in old.items() if "snapshot" in other)
    refused(device, MemorySource(mixed), TrustError)


def test_a_swapped_payload_is_refused(here: Path, device: Device) -> None:
    """Genuine metadata, another model under the same name and of the same size."""
    swapped = {
        name: bytes(len(content)) if name.startswith("targets/") else content
        for name, content in members(here / "stick-3.bundle").items()
    }
    refused(device, MemorySource(swapped), TrustError, "differs from what is signed")


def test_an_expired_release_is_refused_by_the_clock_floor(here: Path, device: Device) -> None:
    """The clock says 1970, but this software was made after the release ran out."""
    device.terms = type(device.terms)("rig", NOW_S + 3 * YEAR_S, 0, arm=True)
    device.clock.set_wall(0)
    refused(device, here / "stick-3.bundle", TrustError, "ran out")


def test_a_clock_at_2099_is_named(here: Path, device: Device) -> None:
    """The release seems expired: the technician is told to look at the clock. What is installed starts all the same."""
    device.clock.set_wall(4_070_908_800 * 10**9)
    error = refused(device, here / "stick-3.bundle", TrustError, "2099")
    assert error.action.startswith("Check the clock")


@pytest.mark.parametrize("fault", ["hardware", "runtime"])
def test_the_wrong_device_is_refused_before_the_payload_is_read(here: Path, device: Device, fault: str) -> None:
    """Not one byte of the model is copied."""
    terms = {"hardware": ("jetson",)} if fault == "hardware" else {}
    path = stick(Bench(here), "4.0", "stick-4.bundle", **terms)
    if fault == "runtime":
        device.prover.refuses = BundleError("bundle part needs edge-runtime 9 or newer", "Update edge-runtime.")
    source = CountingSource(members(path))
    refused(device, source, BundleError, "jetson" if fault == "hardware" else "needs edge-runtime 9")
    assert source.payload_bytes == 0


class CountingSource(MemorySource):
    """Counts what of the payload is read."""

    payload_bytes = 0

    def payload(self, digest: str, size_bytes: int) -> Iterator[bytes]:
        """See `ReleaseSource`."""
        for piece in super().payload(digest, size_bytes):
            self.payload_bytes += len(piece)
            yield piece


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(here: Path, device: Device, share: float) -> None:
    """A stick whose copy was not finished."""
    path = here / "stick-3.bundle"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    refused_at_opening_or_later(device, path)


def refused_at_opening_or_later(device: Device, path: Path) -> None:
    """As `refused`, for files that may not even open; then there was nothing to install and no history of it."""
    before = (device.store.releases(), device.trusted_versions())
    with pytest.raises(BundleError):
        device.install(path)
    assert (device.store.releases(), device.trusted_versions()) == before
    assert device.rubbish() == []


@pytest.mark.parametrize("place", [700, 3_000, 20_000, 100_000, 200_000])
def test_a_flipped_bit_is_refused_or_without_effect(here: Path, device: Device, place: int) -> None:
    """Where it lies in nothing that is signed, our copy is written without it."""
    path = here / "stick-3.bundle"
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    genuine = hashlib.sha256(members(path)["release.json"]).hexdigest()
    path.write_bytes(content)
    before = device.trusted_versions()
    try:
        taken = device.install(path)
    except BundleError:
        assert device.trusted_versions() == before
    else:
        check_release(device.store.path(taken.digest), genuine)


class PulledSource(MemorySource):
    """A stick that is pulled after so many bytes of payload."""

    left = 100_000

    def payload(self, digest: str, size_bytes: int) -> Iterator[bytes]:
        """See `ReleaseSource`."""
        for piece in super().payload(digest, size_bytes):
            yield piece[: self.left]
            self.left -= len(piece)
            if self.left <= 0:
                raise BundleError("the stick cannot be read: Input/output error", "Insert it again.")


def test_a_pulled_stick_leaves_nothing(here: Path, device: Device) -> None:
    """In the middle of the copy."""
    refused(device, PulledSource(members(here / "stick-3.bundle")), BundleError, "cannot be read")


class EndlessSource(MemorySource):
    """Data without end, and how much of it was taken."""

    taken = 0

    def payload(self, digest: str, size_bytes: int) -> Iterator[bytes]:
        """See `ReleaseSource`."""
        while True:
            self.taken += 1 << 20
            yield bytes(1 << 20)


def test_endless_data_stop_at_the_signed_length(here: Path, device: Device) -> None:
    """No more than a piece beyond what is signed is ever asked for."""
    source = EndlessSource(members(here / "stick-3.bundle"))
    refused(device, source, TrustError, "differs from what is signed")
    assert source.taken <= PAYLOAD_BYTES + (2 << 20)


def test_one_stolen_targets_key_is_not_enough(here: Path, device: Device) -> None:
    """One signature of the two that the root asks for."""
    source = members(here / "stick-3.bundle")
    name = next(name for name in source if name.endswith("targets.json"))
    document = json.loads(source[name])
    document["signatures"] = document["signatures"][:1]
    source[name] = json.dumps(document).encode()
    refused(device, MemorySource(source), TrustError)


def test_a_rotated_root_is_followed_and_its_old_keys_are_refused(here: Path, device: Device) -> None:
    """A chain of roots is accepted; a release that was signed before the rotation is not, once the chain was seen."""
    bench = Bench(here)
    before = members(here / "stick-3.bundle")
    rotate(bench)
    assert device.take(stick(bench, "4.0", "stick-4.bundle")).version == "4.0"
    with pytest.raises(TrustError):
        device.install(MemorySource(before))


def rotate(bench: Bench) -> None:
    """A new timestamp key, and everything signed afresh."""
    rotate_root(bench.station, ["timestamp-1"], lambda _: PASSPHRASE, cost=CHEAP)


@pytest.mark.parametrize("kind", ["symbolic link", "hard link", "twice", "above", "excess"])
def test_links_duplicates_and_excess_members_are_refused(here: Path, device: Device, kind: str) -> None:
    """Refused by their headers, or never read."""
    found = list(members(here / "stick-3.bundle").items())
    strange = tarfile.TarInfo({"above": "../evil", "excess": "targets/evil"}.get(kind, found[-1][0]))
    strange.type = {"symbolic link": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE}.get(kind, tarfile.REGTYPE)
    strange.linkname = "/etc/passwd" if "link" in kind else ""
    path = here / "strange.bundle"
    path.write_bytes(pack([*found, strange]))
    refused_at_opening_or_later(device, path)


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


def test_a_stick_that_changes_before_the_copy_is_refused(here: Path, device: Device) -> None:
    """Signatures were sound, and then the payload is another one."""
    path = here / "stick-3.bundle"

    def change(state: UpdateState) -> None:
        if state is UpdateState.COPYING:
            with path.open("r+b") as file:
                file.seek(path.stat().st_size // 2)
                file.write(b"another model")

    device.on_state = change
    refused(device, path, TrustError, "differs from what is signed")


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
