from __future__ import annotations

import os
from pathlib import Path

import pytest
from delivery_rig import FolderMounter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_runtime.app.stick import REPORT_BYTES, bundle_files, find_folder, visit, write_report

DEVICE = Path("/dev/sdx1")


@pytest.fixture
def stick(tmp_path) -> Path:
    """A stick of ours, with nothing to take."""
    (tmp_path / "stick" / "edge-updates").mkdir(parents=True)
    return tmp_path / "stick"


def go(stick: Path | None, tmp_path: Path, *, report: bool = True, text: str = "all is well\n"):
    """One visit; what came of it, and the mounts it took."""
    mounter = FolderMounter(stick)
    place = tmp_path / "mnt"
    place.mkdir(exist_ok=True)
    seen = []

    def bring_in(root: Path | None, problem: str) -> str:
        seen.append((root, problem))
        return text

    return visit(DEVICE, place, mounter, bring_in, report=report), mounter.mounts, seen


def test_the_report_is_written_by_a_second_mount(stick, tmp_path) -> None:
    """Read-only to take in; writable only afterwards, and only for the report."""
    done, mounts, _ = go(stick, tmp_path)
    assert done.written
    assert mounts == [False, True]
    assert (stick / "edge-updates" / "report.txt").read_bytes() == b"all is well\r\n"
    assert [path.name for path in stick.rglob("*")] == ["edge-updates", "report.txt"]


def test_without_report_a_stick_is_never_mounted_writable(stick, tmp_path) -> None:
    """updates.usb.report = false."""
    done, mounts, _ = go(stick, tmp_path, report=False)
    assert (done.written, mounts) == (False, [False])
    assert "updates.usb.report" in done.why_not


def test_a_stick_that_is_not_ours_is_never_written(tmp_path) -> None:
    """Somebody's holiday pictures: no folder, no report."""
    (tmp_path / "stick").mkdir()
    done, mounts, _ = go(tmp_path / "stick", tmp_path)
    assert (done.written, mounts) == (False, [False])
    assert "not ours" in done.why_not


def test_a_stick_that_cannot_be_read_is_reported_all_the_same(tmp_path) -> None:
    """The import is told why, so that the line can say it."""
    done, _, seen = go(None, tmp_path)
    assert seen[0][0] is None
    assert "cannot be read" in seen[0][1]
    assert done.text == "all is well\n"
    assert not done.written


def test_a_stick_is_unmounted_whatever_happens(stick, tmp_path) -> None:
    """Also when the import dies."""
    place = tmp_path / "mnt"
    place.mkdir()

    def bring_in(*_: object) -> str:
        raise RuntimeError("died")

    with pytest.raises(RuntimeError, match="died"):
        visit(DEVICE, place, FolderMounter(stick), bring_in, report=True)
    assert list(place.iterdir()) == []


def test_reports_of_earlier_visits_stay_below_the_newest(stick) -> None:
    """One stick, ten devices: bounded all the same."""
    for number in range(10):
        write_report(stick, f"device {number}\n")
    text = (stick / "edge-updates" / "report.txt").read_text("utf-8")
    assert text.startswith("device 9")
    assert [line for line in text.splitlines() if line.startswith("device")] == [
        f"device {n}" for n in range(9, -1, -1)
    ]
    write_report(stick, "x" * REPORT_BYTES)
    assert (stick / "edge-updates" / "report.txt").stat().st_size == REPORT_BYTES


@pytest.mark.parametrize("kind", ["link", "dangling", "hard link", "fifo", "folder"])
def test_nothing_but_an_ordinary_report_is_ever_written(stick, tmp_path, kind) -> None:
    """A stick prepared to make us write elsewhere, or hang: refused, and nothing is touched."""
    secret = tmp_path / "secret"
    secret.write_text("untouched")
    place = stick / "edge-updates" / "report.txt"
    match kind:
        case "link":
            place.symlink_to(secret)
        case "dangling":
            place.symlink_to(tmp_path / "new")
        case "hard link":
            place.hardlink_to(secret)
        case "fifo":
            os.mkfifo(place)
        case _:
            place.mkdir()
    with pytest.raises(OSError):  # noqa: PT011  (which one depends on the kind)
        write_report(stick, "report\n")
    assert secret.read_text() == "untouched"
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_a_link_is_not_ours(tmp_path) -> None:
    """edge-updates → /etc: neither read nor written."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.bundle").touch()
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / "edge-updates").symlink_to(tmp_path / "elsewhere")
    assert find_folder(tmp_path / "stick") is None


def test_only_ordinary_files_are_bundles(stick) -> None:
    """No links, pipes or folders, and of a bundle in parts the first part only; FAT may have kept capitals."""
    folder = stick / "edge-updates"
    for name in ("b.bundle", "A.BUNDLE", "c.bundle.001", "c.bundle.002", "notes.txt", "report.txt"):
        (folder / name).touch()
    (folder / "link.bundle").symlink_to(folder / "b.bundle")
    os.mkfifo(folder / "pipe.bundle")
    (folder / "folder.bundle").mkdir()
    assert [path.name for path in bundle_files(folder)] == ["A.BUNDLE", "b.bundle", "c.bundle.001"]


def test_a_stick_written_in_capitals_is_ours(tmp_path) -> None:
    """Some systems write short names on FAT in capitals."""
    (tmp_path / "EDGE-UPDATES").mkdir()
    write_report(tmp_path, "x\n")
    assert (tmp_path / "EDGE-UPDATES" / "report.txt").exists()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(), st.binary(max_size=200))
def test_any_text_can_be_written_over_any_content(stick, text, before) -> None:
    """Lone surrogates of odd file names included."""
    (stick / "edge-updates" / "report.txt").write_bytes(before)
    write_report(stick, text + "\udcff")
    assert (stick / "edge-updates" / "report.txt").read_bytes().endswith(before)
