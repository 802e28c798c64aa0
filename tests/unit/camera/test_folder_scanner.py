from __future__ import annotations

import os

import pytest

from edge_runtime.camera.folder.scanner import FolderScanner

PATTERNS = ("*.png", "*.JPG", "top_*.bmp")


def _scanner(root, *, recursive=False, excluded=()):
    return FolderScanner(root, recursive=recursive, patterns=PATTERNS, excluded=excluded)


@pytest.mark.parametrize("name", ["a.png", "A.PNG", "b.jpg", "b.Jpg", "top_1.BMP", "ü.png", "a b.png"])
def test_names_that_are_images(tmp_path, name):
    """Patterns are matched whatever the case, as cameras from all worlds write names."""
    assert _scanner(tmp_path).matches(name)


@pytest.mark.parametrize("name", ["a.png.part", "a.png.tmp", ".a.png", "a.txt", "bottom.bmp", "png", "a.png~", ""])
def test_names_that_are_none(tmp_path, name):
    """Temporary names, hidden files and everything that no pattern names are left alone."""
    assert not _scanner(tmp_path).matches(name)


def test_temporary_names_never_match_even_a_pattern_for_everything(tmp_path):
    """A technician's `*` does not open the door to half-written files."""
    scanner = FolderScanner(tmp_path, recursive=False, patterns=("*",), excluded=())
    assert scanner.matches("anything")
    assert not any(scanner.matches(name) for name in ("a.part", "a.tmp", ".hidden", "a.filepart"))


def test_a_scan_sees_regular_files_only(tmp_path):
    """Folders, pipes and links that lead nowhere or outside are no images, whatever their names say."""
    (tmp_path / "root").mkdir()
    root = tmp_path / "root"
    (root / "real.png").write_bytes(b"12345")
    (root / "folder.png").mkdir()
    os.mkfifo(root / "pipe.png")
    (tmp_path / "outside.png").write_bytes(b"1")
    (root / "leak.png").symlink_to(tmp_path / "outside.png")
    (root / "nowhere.png").symlink_to("gone.png")
    (root / "circle.png").symlink_to("circle.png")
    (entry,) = _scanner(root).scan()
    assert (entry.path, entry.size_bytes) == ("real.png", 5)


def test_a_recursive_scan_enters_real_folders_only(tmp_path):
    """Hidden folders, excluded ones and links to folders are not entered, so that no scan runs in circles."""
    for folder in ("a/b", ".hidden", "done"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "x.png").write_bytes(b"1")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    scanner = _scanner(tmp_path, recursive=True, excluded=(tmp_path / "done",))
    assert [entry.path for entry in scanner.scan()] == ["a/b/x.png"]
    assert sorted(scanner.subfolders()) == ["", "a", "a/b"]


def test_the_folder_itself_may_be_a_link(tmp_path):
    """Administrators point a fixed name at today's disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "x.png").write_bytes(b"1")
    (tmp_path / "watched").symlink_to("disk")
    assert [entry.path for entry in _scanner(tmp_path / "watched").scan()] == ["x.png"]


def test_a_missing_folder_is_an_error_and_a_missing_subfolder_is_not(tmp_path):
    """The top folder's loss must be noticed; a subfolder may go at any time."""
    scanner = _scanner(tmp_path / "gone", recursive=True)
    with pytest.raises(FileNotFoundError):
        list(scanner.scan())
    with pytest.raises(FileNotFoundError):
        scanner.check_root()
    assert list(scanner.scan("sub")) == []


def test_links_are_told_from_files_that_are_being_written(tmp_path):
    """Nobody writes through a fresh link: such a name needs no patience."""
    (tmp_path / "plain.png").write_bytes(b"1")
    (tmp_path / "soft.png").symlink_to("plain.png")
    scanner = _scanner(tmp_path)
    assert not scanner.is_link("plain.png")
    assert scanner.is_link("soft.png")
    os.link(tmp_path / "plain.png", tmp_path / "hard.png")
    assert scanner.is_link("hard.png")
    assert not scanner.is_link("gone.png")
