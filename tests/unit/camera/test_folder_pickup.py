from __future__ import annotations

import hashlib

from camera_rigs import png

from edge_runtime.camera.folder.pickup import decode_content, part_id_for, printable, read_content
from edge_runtime.camera.folder.scanner import Entry
from edge_runtime.domain.frame import FileIdentity


def _entry(place):
    status = place.stat()
    return Entry(place.name, status.st_size, status.st_mtime_ns)


def test_a_file_is_read_with_its_identity(tmp_path):
    """Path, size, time and digest are those of the bytes that were read."""
    data = png(1)
    (tmp_path / "x.png").write_bytes(data)
    entry = _entry(tmp_path / "x.png")
    content = read_content(tmp_path, entry)
    assert content.identity == FileIdentity("x.png", len(data), entry.mtime_ns, hashlib.sha256(data).hexdigest())
    assert decode_content(content)[0].shape == (24, 24, 3)


def test_a_file_that_changed_since_it_was_seen_is_not_taken(tmp_path):
    """Bytes that belong to another state of the file never get the identity of the one that was seen."""
    place = tmp_path / "x.png"
    place.write_bytes(png(1))
    seen = _entry(place)
    assert read_content(tmp_path, Entry(seen.path, seen.size_bytes, seen.mtime_ns - 1)) is None
    assert read_content(tmp_path, Entry(seen.path, seen.size_bytes - 1, seen.mtime_ns)) is None
    assert read_content(tmp_path, seen) is not None


def test_what_is_wrong_with_a_file_is_said(tmp_path):
    """The record names the file and the damage."""
    (tmp_path / "x.png").write_bytes(png(1)[:50])
    exposure, fault = decode_content(read_content(tmp_path, _entry(tmp_path / "x.png")))
    assert exposure is None
    assert fault.startswith("x.png: ")


def test_part_ids_of_one_path_differ_by_content_and_time():
    """Content that alternates between two pictures still gives every part an id of its own."""
    files = [FileIdentity("latest.png", 1, time, digest * 32) for time, digest in ((1, "aa"), (2, "bb"), (3, "aa"))]
    ids = [part_id_for(files[0], again=False)] + [part_id_for(file, again=True) for file in files]
    assert ids[0] == "latest.png"
    assert len(set(ids)) == 4


def test_names_become_valid_unicode():
    """A record can hold any name; a sound one stays as it is."""
    assert printable("grün/teil 1.png") == "grün/teil 1.png"
    assert printable("teil-\udcfc.png") == "teil-\\xfc.png"
