from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING

import pytest
from delivery_rig import TinyDevice

from edge_runtime.app.stick import bundle_files
from edge_runtime.domain.delivery import Fate, Outcome
from edge_runtime.domain.errors import BundleError, Refusal, TrustError, UpdateError
from edge_runtime.domain.update import UpdateState
from edge_runtime.services.fates import fate_of
from edge_runtime.services.stick_import import MOST_BUNDLES, take_in

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def device(tmp_path) -> TinyDevice:
    """A device that has nothing yet."""
    return TinyDevice(tmp_path)


def take(device: TinyDevice, stick: Path, *products: str) -> tuple[Fate, ...]:
    """What is on the stick, for a line that inspects these products."""
    return take_in(bundle_files(stick / "edge-updates"), device.installer, products or ("part",), lambda *_: None)


def test_a_genuine_release_is_taken_once(device) -> None:
    """Armed for the line; the same stick again changes nothing and is told so."""
    digest = device.release("1.0")
    stick = device.stick("stick")
    first, again = take(device, stick), take(device, stick)
    assert [fate.outcome for fate in (*first, *again)] == [Outcome.TAKEN, Outcome.PRESENT]
    assert first[0].release == "part 1.0 (release 2)"
    assert device.store.standing("part").armed.digest == digest
    assert device.prover.asked == 1


def test_a_bundle_in_parts_is_one_bundle(device) -> None:
    """As FAT32 needs it: one fate, under the name of the first part."""
    device.release("1.0")
    (fate,) = take(device, device.stick("stick", part_bytes=30_000))
    assert (fate.outcome, fate.offered[-4:]) == (Outcome.TAKEN, ".001")


def test_a_missing_part_is_refused_and_leaves_nothing(device) -> None:
    """Somebody copied by hand and forgot one."""
    device.release("1.0")
    stick = device.stick("stick", part_bytes=30_000)
    next((stick / "edge-updates").glob("*.002")).unlink()
    (fate,) = take(device, stick)
    assert fate.outcome is Outcome.REFUSED
    assert device.store.releases() == []


def test_a_stick_of_another_station_is_refused(device, tmp_path) -> None:
    """Signed, but by keys that this device does not trust."""
    stranger = TinyDevice(tmp_path / "elsewhere")
    stranger.release("9.0")
    (fate,) = take(device, stranger.stick("stick"))
    assert fate.outcome is Outcome.REFUSED
    assert "not signed by enough keys" in fate.what
    assert str(tmp_path) not in fate.what + fate.action
    assert device.store.releases() == []


def test_of_several_the_newest_is_taken(device) -> None:
    """Whatever their names; the older one is left alone, and is no trouble."""
    device.release("1.0")
    old = device.stick("old")
    device.release("2.0")
    stick = device.stick("stick")
    shutil.copy(next((old / "edge-updates").iterdir()), stick / "edge-updates" / "zz.bundle")
    fates = {fate.offered: fate for fate in take(device, stick)}
    assert fates.pop("zz.bundle").outcome is Outcome.LEFT
    assert [fate.outcome for fate in fates.values()] == [Outcome.TAKEN]
    assert device.store.standing("part").armed.version == "2.0"


def test_products_of_other_lines_are_left_alone(device) -> None:
    """One stick for the whole plant."""
    device.release("1.0", "part")
    device.release("1.0", "caps")
    fates = take(device, device.stick("stick"), "part")
    assert {fate.product: fate.outcome for fate in fates} == {"part": Outcome.TAKEN, "caps": Outcome.LEFT}
    assert device.store.products() == ["part"]


def test_a_line_with_two_products_takes_both(device) -> None:
    """Also where one file was written later than the other: older signatures first."""
    device.release("1.0", "part")
    stick = device.stick("stick", "part")
    device.release("1.0", "caps")
    later = device.stick("later", "caps")
    shutil.copy(next((later / "edge-updates").iterdir()), stick / "edge-updates" / "a.bundle")
    assert [fate.outcome for fate in take(device, stick, "part", "caps")] == [Outcome.TAKEN, Outcome.TAKEN]


def test_what_is_for_other_hardware_is_no_trouble_beside_what_is_for_this_one(device, tmp_path) -> None:
    """Refused on its own; left alone where the same product was taken for this device."""
    device.release("1.0", hardware=("jetson",))
    alone = device.stick("alone")
    assert [fate.outcome for fate in take(device, alone)] == [Outcome.REFUSED]
    device.release("1.1", hardware=("x86_64",))
    both = device.stick("both")
    shutil.copy(next((alone / "edge-updates").iterdir()), both / "edge-updates" / "jetson.bundle")
    fates = {fate.offered: fate.outcome for fate in take(device, both)}
    assert fates.pop("jetson.bundle") is Outcome.LEFT
    assert list(fates.values()) == [Outcome.TAKEN]


def test_an_older_stick_is_refused(device) -> None:
    """Genuine, and out of date: after the newer one was seen it does not come back."""
    device.release("1.0")
    old = device.stick("old")
    device.release("2.0")
    take(device, device.stick("new"))
    (fate,) = take(device, old)
    assert fate.outcome is Outcome.REFUSED
    assert "older" in fate.what


def test_a_release_that_fails_its_self_test_is_refused(device) -> None:
    """It stays away from the line, and is told by name."""
    device.prover.passes = False
    device.release("1.0")
    (fate,) = take(device, device.stick("stick"))
    assert (fate.outcome, fate.release) == (Outcome.REFUSED, "part 1.0 (release 2)")
    assert "self-test" in fate.what
    assert [release.state for release in device.store.releases()] == [UpdateState.ROLLED_BACK]


def test_two_at_once_one_is_told_to_wait(device) -> None:
    """Stick and network at the same moment: nothing is wrong with the release, and trying again will help."""
    device.release("1.0")
    stick = device.stick("stick")
    with device.store.files.lock():
        (fate,) = take(device, stick)
    assert fate.outcome is Outcome.FAILED
    assert fate.action


def test_a_damaged_bundle_does_not_stand_in_the_way_of_a_good_one(device) -> None:
    """Garbage, an empty file, a cut one: each is told, the good one is taken."""
    device.release("1.0")
    stick = device.stick("stick")
    good = next((stick / "edge-updates").iterdir())
    (stick / "edge-updates" / "a.bundle").write_bytes(b"")
    (stick / "edge-updates" / "b.bundle").write_bytes(b"garbage" * 1_000)
    (stick / "edge-updates" / "c.bundle").write_bytes(good.read_bytes()[:20_000])
    fates = take(device, stick)
    assert [fate.outcome for fate in fates] == [Outcome.REFUSED] * 3 + [Outcome.TAKEN]
    assert all(fate.what and fate.action for fate in fates[:3])


def test_a_stick_full_of_bundles_is_looked_at_in_bounds(device) -> None:
    """So many and no more; every one of them is answered."""
    stick = device.folder / "many" / "edge-updates"
    stick.mkdir(parents=True)
    for number in range(MOST_BUNDLES + 3):
        (stick / f"{number:03}.bundle").write_bytes(b"x")
    fates = take(device, stick.parent)
    assert [fate.outcome for fate in fates] == [Outcome.REFUSED] * MOST_BUNDLES + [Outcome.LEFT] * 3


@pytest.mark.parametrize(
    ("error", "outcome", "words"),
    [
        (TrustError(Refusal.UNSIGNED, "unsigned", "hands off"), Outcome.REFUSED, "unsigned"),
        (TrustError(Refusal.NOT_LISTED, "no such product", "ask"), Outcome.LEFT, "no such product"),
        (UpdateError("the disk is full", "free it"), Outcome.FAILED, "the disk is full"),
    ],
)
def test_every_error_is_told_as_whose_turn_it_is(error, outcome, words) -> None:
    """Refused: whoever made it. Failed: this device. Left: nobody."""
    fate = fate_of("a.bundle", error)
    assert (fate.outcome, fate.what) == (outcome, words)


def test_a_stick_that_is_pulled_is_told_as_such() -> None:
    """Not as a bad bundle, though that is what reading it ends in."""
    error = BundleError("a.bundle cannot be read: Input/output error", "Check the storage medium.")
    error.__cause__ = OSError(errno.EIO, "Input/output error")
    fate = fate_of("a.bundle", error, on_stick=True)
    assert fate.outcome is Outcome.FAILED
    assert "pulled" in fate.what
    assert fate_of("http://x", error).outcome is Outcome.REFUSED
