from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

import pytest

from edge_runtime.domain.errors import LedgerError
from edge_runtime.ledger.evidence import EvidenceStore, safe_name

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path) -> Path:
    """Where evidence goes."""
    return tmp_path / "state" / "evidence"


def _store(folder: Path, quota_bytes: int = 1_000) -> EvidenceStore:
    return EvidenceStore(folder, quota_bytes, keep_free_bytes=0)


def _names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_an_image_is_kept_under_its_name(folder) -> None:
    """The returned path holds exactly the bytes, and no draft lies beside it."""
    path = _store(folder).save("2026-01-31/part-1.jpg", b"image")
    assert path == folder / "2026-01-31" / "part-1.jpg"
    assert path.read_bytes() == b"image"
    assert _names(folder) == ["2026-01-31/part-1.jpg"]


def test_the_oldest_go_when_the_quota_is_reached(folder) -> None:
    """The sum of all sizes never exceeds the quota, and an emptied day folder goes too."""
    store = _store(folder, 1_000)
    for number in range(1, 6):
        store.save(f"day-{number}/part.jpg", b"x" * 300)
        assert sum(path.stat().st_size for path in folder.rglob("*.jpg")) == store.used_bytes <= 1_000
    assert _names(folder) == ["day-3/part.jpg", "day-4/part.jpg", "day-5/part.jpg"]
    assert not (folder / "day-1").exists()


def test_what_was_there_counts_after_a_restart(folder) -> None:
    """Age is the file's own time, not its name; the quota holds at once, also a lowered one."""
    for number, name in enumerate(["c.jpg", "a.jpg", "b.jpg"]):
        _store(folder).save(name, b"x" * 300)
        os.utime(folder / name, ns=(number, number))
    assert _store(folder, 1_000).count == 3
    assert _store(folder, 600).used_bytes == 600
    assert _names(folder) == ["a.jpg", "b.jpg"]


def test_an_interrupted_save_leaves_nothing(folder) -> None:
    """A draft that a power cut left behind is removed at the start and counts for nothing."""
    folder.mkdir(parents=True)
    (folder / "part.jpg.draft").write_bytes(b"x" * 900)
    assert _store(folder).used_bytes == 0
    assert _names(folder) == []


def test_the_same_name_replaces(folder) -> None:
    """It is counted once."""
    store = _store(folder)
    store.save("part.jpg", b"x" * 300)
    store.save("part.jpg", b"y" * 200)
    assert (store.count, store.used_bytes) == (1, 200)


def test_an_image_larger_than_the_quota_is_refused(folder) -> None:
    """It does not empty the store for nothing."""
    store = _store(folder)
    store.save("part.jpg", b"x")
    with pytest.raises(LedgerError, match="quota"):
        store.save("huge.jpg", b"x" * 1_001)
    assert _names(folder) == ["part.jpg"]


def test_a_disk_that_refuses_harms_nothing_else(folder) -> None:
    """A failed write leaves no draft, keeps what was there, and the next save works."""
    store = _store(folder)
    store.save("first.jpg", b"x" * 100)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, before[1]))
    try:
        with pytest.raises(LedgerError) as caught:
            store.save("second.jpg", b"x" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(folder) in caught.value.what
    assert _names(folder) == ["first.jpg"]
    store.save("third.jpg", b"x" * 100)
    assert store.used_bytes == 200


def test_evidence_leaves_room_for_the_ledger(folder) -> None:
    """With less free space than the reserve, nothing is saved at all."""
    store = EvidenceStore(folder, 1_000, keep_free_bytes=2**62)
    with pytest.raises(LedgerError, match="free"):
        store.save("part.jpg", b"x")
    assert _names(folder) == []


def test_an_image_that_somebody_deleted_is_not_missed(folder) -> None:
    """A cleaned folder does not stop the rotation."""
    store = _store(folder)
    store.save("a/1.jpg", b"x" * 600)
    (folder / "a" / "1.jpg").unlink()
    (folder / "a").rmdir()
    store.save("b/2.jpg", b"x" * 600)
    assert (store.count, store.used_bytes) == (1, 600)


def test_a_folder_that_cannot_be_made_is_named(tmp_path) -> None:
    """The error says which."""
    (tmp_path / "evidence").write_text("a file")
    with pytest.raises(LedgerError, match="evidence"):
        _store(tmp_path / "evidence")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "..", "a/../../b.jpg", "", ".hidden", "x\x00y.jpg", "ü/\udcff.jpg"]
)
def test_no_name_leads_out_of_the_folder(folder, name) -> None:
    """Whatever a part is called, its image is an ordinary file inside the folder."""
    path = _store(folder).save(name, b"x")
    assert path.resolve().is_relative_to(folder.resolve())
    assert path.is_file()


def test_ordinary_names_stay_and_odd_ones_stay_different(folder) -> None:
    """The ledger's evidence path is the file's path; parts whose odd names look alike do not overwrite each other."""
    assert safe_name("2026/part-1_b.jpg") == "2026/part-1_b.jpg"
    assert safe_name("a b.jpg") != safe_name("a?b.jpg")
    assert safe_name("a b.jpg").endswith(".jpg")
    assert safe_name("x" * 500) != safe_name("x" * 501)
