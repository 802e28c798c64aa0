from __future__ import annotations

import os
import threading

import pytest
from camera_rigs import BOUND_S, SeenSet, next_arrival, png, wait_until
from folder_bench import is_quiet

from edge_runtime.camera.port import CameraState
from edge_runtime.domain.frame import Frame, LostFrame
from edge_runtime.domain.verdict import Reason


@pytest.mark.parametrize("content", [b"", b"no image", png(7)[:-20]], ids=["empty", "text", "cut"])
def test_a_faulty_file_is_a_lost_frame(bench, content):
    """Corrupt and truncated images become a trigger with a reason, never a crash or half an image."""
    folder = bench.folder
    camera = bench.open()
    (folder / "bad.png").write_bytes(content)
    arrival = next_arrival(camera)
    assert isinstance(arrival, LostFrame)
    assert arrival.reason is Reason.IMAGE_CORRUPT
    assert "bad.png" in arrival.detail
    assert arrival.file.size_bytes == len(content)
    (folder / "good.png").write_bytes(png(1))
    assert isinstance(next_arrival(camera), Frame)


@pytest.mark.parametrize(("after", "stays"), [("keep", True), ("move", False), ("delete", False)])
def test_a_faulty_file_is_kept_aside(bench, after, stays):
    """Whatever happens to sound files, a faulty one survives in the faulty folder; `keep` leaves the original too."""
    folder = bench.folder
    camera = bench.open(after=after)
    (folder / "bad.png").write_bytes(b"broken")
    camera.settle(next_arrival(camera))
    assert (folder.parent / "folder-faulty" / "bad.png").read_bytes() == b"broken"
    assert (folder / "bad.png").exists() is stays
    assert is_quiet(camera)


@pytest.mark.parametrize("after", ["keep", "move", "delete"])
def test_a_sound_file_is_kept_moved_or_deleted_only_when_settled(bench, after):
    """Nothing happens to a file before its verdict is committed."""
    folder = bench.folder
    camera = bench.open(after=after)
    (folder / "part.png").write_bytes(png(1))
    arrival = next_arrival(camera)
    assert (folder / "part.png").exists()
    camera.settle(arrival)
    assert (folder / "part.png").exists() is (after == "keep")
    assert (folder.parent / "folder-done" / "part.png").exists() is (after == "move")


@pytest.mark.parametrize("after", ["move", "delete"])
def test_a_crash_between_commit_and_settling_is_made_good(bench, after):
    """A file whose verdict is committed but which still lies there is settled at the start, not inspected again."""
    folder = bench.folder
    seen = SeenSet()
    (folder / "part.png").write_bytes(png(1))
    (folder / "bad.png").write_bytes(b"broken")
    camera = bench.open(seen, after=after)
    for _ in range(2):
        seen.commit(next_arrival(camera))
    camera.close()  # and the power goes before anything is settled
    camera = bench.open(seen, after=after)
    wait_until(lambda: not list(folder.iterdir()), "both files settled")
    assert (folder.parent / "folder-faulty" / "bad.png").read_bytes() == b"broken"
    assert (folder.parent / "folder-done" / "part.png").exists() is (after == "move")
    assert is_quiet(camera)


def test_a_file_written_again_before_settling_is_not_lost(bench):
    """Deleting after inspection never deletes content that nobody has inspected."""
    folder = bench.folder
    camera = bench.open(after="delete")
    (folder / "part.png").write_bytes(png(1))
    first = next_arrival(camera)
    (folder / "part.png").write_bytes(png(2, side_px=40))
    camera.settle(first)
    second = next_arrival(camera)
    assert second.exposures[0].shape == (40, 40, 3)
    camera.settle(second)
    assert not (folder / "part.png").exists()


def test_a_file_that_vanished_before_settling_is_reported(bench):
    """A file that somebody took away is a note in the status, not an error on the line."""
    folder = bench.folder
    camera = bench.open(after="move")
    (folder / "part.png").write_bytes(png(1))
    arrival = next_arrival(camera)
    (folder / "part.png").unlink()
    camera.settle(arrival)
    assert "part.png could not be moved" in camera.status().detail
    assert camera.status().state is CameraState.CONNECTED


def test_a_faulty_folder_that_appears_inside_the_watched_one_is_not_watched(bench):
    """The copy of a faulty file, kept aside in a folder made for it only then, is no new part."""
    folder = bench.folder
    camera = bench.open(recursive=True, faulty_path=folder / "faulty")
    (folder / "bad.png").write_bytes(b"broken")
    camera.settle(next_arrival(camera))
    assert (folder / "faulty" / "bad.png").exists()
    assert is_quiet(camera)


def test_a_done_folder_inside_the_watched_one_is_not_watched(bench):
    """What was moved away is never found again, even where the target lies inside a recursive source."""
    folder = bench.folder
    camera = bench.open(recursive=True, after="move", done_path=folder / "done", faulty_path=folder / "faulty")
    (folder / "part.png").write_bytes(png(1))
    (folder / "bad.png").write_bytes(b"broken")
    for _ in range(2):
        camera.settle(next_arrival(camera))
    assert (folder / "done" / "part.png").exists()
    assert (folder / "faulty" / "bad.png").exists()
    assert is_quiet(camera)


def test_a_name_that_is_no_unicode_is_delivered_and_settled(bench):
    """An old camera's Latin-1 file name appears escaped in records, and the very file is moved."""
    folder = bench.folder
    camera = bench.open(after="delete")
    raw = os.fsencode(folder) + b"/teil-\xfc.png"
    with open(raw, "wb") as file:  # noqa: PTH123  (a name as bytes)
        file.write(png(1))
    arrival = next_arrival(camera)
    assert arrival.trigger.part_id == "teil-\\xfc.png"
    camera.settle(arrival)
    assert not os.path.exists(raw)  # noqa: PTH110  (a name as bytes)


def test_settling_from_many_threads(bench):
    """The record stage may settle while others look at the status."""
    folder = bench.folder
    camera = bench.open(after="move")
    for number in range(40):
        (folder / f"{number}.png").write_bytes(png(number))
    arrivals = [next_arrival(camera) for _ in range(40)]
    threads = [threading.Thread(target=camera.settle, args=(arrival,)) for arrival in arrivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND_S)
    assert len(list((folder.parent / "folder-done").iterdir())) == 40
    assert list(folder.iterdir()) == []
    assert camera.status().detail == ""
