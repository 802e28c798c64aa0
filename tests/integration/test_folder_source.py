from __future__ import annotations

import os

from camera_rigs import SeenSet, next_arrival, png
from folder_bench import is_quiet, paths_of

from edge_runtime.domain.frame import Frame


def test_what_was_there_comes_in_order_of_time_then_name(bench, polling):
    """Files from before the start are delivered oldest first, and by name where the time is the same."""
    folder = bench.folder
    for name, mtime_ns in (("c.png", 10), ("b.png", 20), ("a.png", 20), ("d.png", 5)):
        (folder / name).write_bytes(png(ord(name[0])))
        os.utime(folder / name, ns=(mtime_ns, mtime_ns))
    assert paths_of(bench.open(polling=polling), 4) == ["d.png", "c.png", "a.png", "b.png"]


def test_what_was_there_can_be_left_alone(bench, polling):
    """With `existing = false` only what comes or changes after the start is a part."""
    folder = bench.folder
    (folder / "old.png").write_bytes(png(1))
    camera = bench.open(existing=False, polling=polling)
    (folder / "new.png").write_bytes(png(2))
    assert paths_of(camera, 1) == ["new.png"]
    (folder / "old.png").write_bytes(png(3, side_px=32))
    assert paths_of(camera, 1) == ["old.png"]
    assert is_quiet(camera)


def test_nothing_is_delivered_twice(bench, polling):
    """Rescans see the same files again and again; each is one part."""
    folder = bench.folder
    camera = bench.open(polling=polling)
    for number in range(20):
        (folder / f"{number:02d}.png").write_bytes(png(number))
    assert sorted(paths_of(camera, 20)) == [f"{number:02d}.png" for number in range(20)]
    assert is_quiet(camera)


def test_files_with_a_committed_verdict_are_skipped_after_a_restart(bench):
    """Across restarts the ledger knows which content was inspected; the rest is still delivered."""
    folder = bench.folder
    seen = SeenSet()
    for number in range(4):
        (folder / f"{number}.png").write_bytes(png(number))
    camera = bench.open(seen)
    for _ in range(2):
        seen.commit(next_arrival(camera))
    camera.close()
    assert paths_of(bench.open(seen), 2) == ["2.png", "3.png"]


def test_the_same_name_with_new_content_is_a_new_part(bench, polling):
    """A camera that always writes `latest.png` makes a part each time, with ids that differ."""
    folder = bench.folder
    camera = bench.open(polling=polling)
    arrivals = []
    for shade in (1, 2, 1):
        (folder / "latest.png").write_bytes(png(shade, side_px=24 + len(arrivals)))
        arrivals.append(next_arrival(camera))
    ids = [arrival.trigger.part_id for arrival in arrivals]
    assert ids[0] == "latest.png"
    assert all(part_id.startswith("latest.png@") for part_id in ids[1:])
    assert len(set(ids)) == 3


def test_a_file_is_taken_when_its_writer_is_done(bench):
    """Half a file is never decoded: the kernel says when it is closed, however slowly it was written."""
    folder = bench.folder
    camera = bench.open()
    data = png(5)
    with (folder / "slow.png").open("wb") as file:
        for start in range(0, len(data), 40):
            file.write(data[start : start + 40])
            file.flush()
            assert camera.next_frame(0.02) is None
        assert is_quiet(camera)
    arrival = next_arrival(camera)
    assert isinstance(arrival, Frame)
    assert arrival.exposures[0].shape == (24, 24, 3)


def test_polling_waits_until_a_file_rests(bench):
    """On a share nobody says when a file is closed: it is taken when it stopped growing for a poll interval."""
    folder = bench.folder
    camera = bench.open(polling=True, poll_interval_ms=200)
    data = png(5, side_px=64)
    with (folder / "slow.png").open("wb") as file:
        for start in range(0, len(data), 40):
            file.write(data[start : start + 40])
            file.flush()
            assert camera.next_frame(0.04) is None
    assert isinstance(next_arrival(camera), Frame)


def test_a_truncated_file_that_grows_is_not_rejected(bench, polling):
    """A writer that closes and opens again has its part judged once, whole."""
    folder = bench.folder
    camera = bench.open(polling=polling, poll_interval_ms=300)
    data = png(6)
    path = folder / "twice.png"
    path.write_bytes(data[:100])
    assert camera.next_frame(0.1) is None
    with path.open("ab") as file:
        file.write(data[100:])
    assert isinstance(next_arrival(camera), Frame)
    assert camera.next_frame(0.5) is None


def test_files_that_arrive_by_rename_or_hard_link(bench, polling, tmp_path):
    """The customary ways to publish a finished file are understood."""
    folder = bench.folder
    camera = bench.open(polling=polling)
    (folder / "upload.part").write_bytes(png(1))
    (folder / ".hidden.png").write_bytes(png(2))
    (folder / "copy.png.tmp").write_bytes(png(3))
    assert is_quiet(camera)
    (folder / "upload.part").rename(folder / "renamed.png")
    assert paths_of(camera, 1) == ["renamed.png"]
    outside = tmp_path / "outside.png"
    outside.write_bytes(png(4))
    os.link(outside, folder / "linked.png")
    assert paths_of(camera, 1) == ["linked.png"]
    outside.rename(folder / "moved.png")
    assert paths_of(camera, 1) == ["moved.png"]


def test_subfolders_also_those_that_come_later(bench, polling, tmp_path):
    """With `recursive` every subfolder belongs to the source, made or moved in at any time; else none does."""
    folder = bench.folder
    (folder / "early").mkdir()
    camera = bench.open(recursive=True, polling=polling)
    (folder / "early" / "a.png").write_bytes(png(1))
    assert paths_of(camera, 1) == ["early/a.png"]
    (folder / "late" / "deep").mkdir(parents=True)
    (folder / "late" / "deep" / "b.png").write_bytes(png(2))
    assert paths_of(camera, 1) == ["late/deep/b.png"]
    (tmp_path / "finished").mkdir()
    (tmp_path / "finished" / "c.png").write_bytes(png(3))
    (tmp_path / "finished").rename(folder / "finished")
    assert paths_of(camera, 1) == ["finished/c.png"]
    (folder / "finished").rename(folder / "renamed")
    (folder / "renamed" / "d.png").write_bytes(png(4))
    assert sorted(paths_of(camera, 2)) == ["renamed/c.png", "renamed/d.png"]
    assert is_quiet(camera)


def test_subfolders_are_left_alone_by_default(bench):
    """Without `recursive` a subfolder is somebody else's."""
    folder = bench.folder
    camera = bench.open()
    (folder / "sub").mkdir()
    (folder / "sub" / "a.png").write_bytes(png(1))
    assert is_quiet(camera)


def test_symbolic_links_that_lead_outside_are_refused(bench, polling, tmp_path):
    """A link cannot make the daemon read, or move, what lies elsewhere; one that stays inside is a part."""
    folder = bench.folder
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(1))
    camera = bench.open(polling=polling, after="move")
    (folder / "leak.png").symlink_to(secret)
    (folder / "circle.png").symlink_to(folder / "circle.png")
    (folder / "dangling.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(folder / "pipe.png")
    assert is_quiet(camera)
    (folder / "real.png").write_bytes(png(2))
    (folder / "inside.png").symlink_to("real.png")
    assert sorted(paths_of(camera, 2)) == ["inside.png", "real.png"]
    assert secret.exists()


def test_the_part_sequence_comes_from_the_name(bench):
    """The PLC's number is read from the file name where it has one in range."""
    folder = bench.folder
    names = {"a_part00042_x.png": 42, "b_none.png": None, "c_part0.png": None, "d_part4294967296.png": None}
    camera = bench.open(part_sequence_pattern=r"_part(\d+)")
    for name in names:
        (folder / name).write_bytes(png(len(name)))
    found = {arrival.file.path: arrival.trigger.part_sequence for arrival in (next_arrival(camera) for _ in names)}
    assert found == names
