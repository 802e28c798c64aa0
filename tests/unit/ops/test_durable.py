from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_runtime.ops.durable import put_in_place, replace_file, sync_folder


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """The new content under the old name, and nothing beside it; a longer old draft leaves no tail."""
    path, draft = tmp_path / "books", tmp_path / "books.new"
    path.write_bytes(b"before")
    draft.write_bytes(b"x" * 100)
    put_in_place(path, b"after", draft)
    assert path.read_bytes() == b"after"
    assert [entry.name for entry in tmp_path.iterdir()] == ["books"]


def test_a_disk_that_refuses_the_sync_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not durable never gets the name."""
    path = tmp_path / "books"
    path.write_bytes(b"before")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        put_in_place(path, b"after", tmp_path / "books.new")
    assert path.read_bytes() == b"before"


def test_content_name_and_folder_are_synced_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is durable before its content would be an empty file after a power cut."""
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        done.append("folder" if Path(f"/proc/self/fd/{descriptor}").is_dir() else "content")
        fsync(descriptor)

    def renamed(source: Path, target: Path) -> Path:
        done.append("name")
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    put_in_place(tmp_path / "books", b"after", tmp_path / "books.new")
    assert done == ["content", "name", "folder"]


def test_only_a_folder_is_synced_as_one(tmp_path: Path, no_leaks: None) -> None:
    """A file in its place is an error and leaves nothing open, and so is a rename of what is not there."""
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(NotADirectoryError):
        sync_folder(file)
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "absent", file)
