"""Every row of the table of faults that an update may meet, each with the end that it must have (docs/updates.md)."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from typing import TYPE_CHECKING

import pytest
from bundle_parts import pack
from station_parts import CHEAP, NOW_S, PASSPHRASE, Bench, MemorySource
from update_rig import PAYLOAD_BYTES, PRODUCT, Device, stick

from edge_convert.release.rotation import rotate_root
from edge_runtime.bundles.store_open import check_release
from edge_runtime.domain.errors import BundleError, EdgeError, LocalTrustError, Refusal, TrustError
from edge_runtime.domain.update import UpdateState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

YEAR_S = 365 * 86_400


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
