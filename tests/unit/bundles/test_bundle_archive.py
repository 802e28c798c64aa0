from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest
from bundle_parts import PAYLOADS, make_draft, members_of, pack, repack, write_sample

from edge_runtime.bundles.archive import open_bundle
from edge_runtime.bundles.writer import manifest_of, write_bundle
from edge_runtime.domain.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def refusal(path: Path, raw: bytes) -> BundleError:
    """Write these bytes and return the error with which they are refused."""
    path.write_bytes(raw)
    with pytest.raises(BundleError) as caught:
        open_bundle(path, trust="development")
    return caught.value


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Manifest and payloads come back equal; identity carries the file's digest and the development trust."""
    path = tmp_path / "part.bundle"
    raw = write_sample(path)
    with open_bundle(path, trust="development") as bundle:
        manifest = bundle.manifest
        assert {name: bundle.payloads.read(name) for name in PAYLOADS} == PAYLOADS
    expected = manifest_of(make_draft(), PAYLOADS)
    for field in (
        "kind",
        "input_spec",
        "graphs",
        "outputs",
        "parameters",
        "calibration",
        "golden",
        "payloads",
        "notes",
    ):
        assert getattr(manifest, field) == getattr(expected, field), field
    assert manifest.identity.digest == hashlib.sha256(raw).hexdigest()
    assert manifest.identity.trust == "development"


def test_same_content_same_bytes(tmp_path: Path) -> None:
    """Two writings of one content differ in nothing, not even in a time stamp."""
    assert write_sample(tmp_path / "one") == write_sample(tmp_path / "two")


def test_ordinary_tools_can_look_into_it(tmp_path: Path) -> None:
    """`tar` unpacks it and `sha256sum` confirms the manifest."""
    write_sample(tmp_path / "part.bundle")
    subprocess.run(["tar", "xf", "part.bundle"], cwd=tmp_path, check=True)
    subprocess.run(["sha256sum", "-c", "--status", "release.json.sha256"], cwd=tmp_path, check=True)
    assert (tmp_path / "search.onnx").read_bytes() == PAYLOADS["search.onnx"]


def test_production_refuses_format_0(tmp_path: Path) -> None:
    """Format 0 is never signed: where signatures are demanded it is refused, and the technician is told why."""
    write_sample(tmp_path / "part.bundle")
    with pytest.raises(BundleError, match="never signed") as caught:
        open_bundle(tmp_path / "part.bundle", trust="production")
    assert "development" in caught.value.action


def test_missing_file_is_a_bundle_error(tmp_path: Path) -> None:
    """A wrong path is reported with the path."""
    with pytest.raises(BundleError, match=r"absent\.bundle"):
        open_bundle(tmp_path / "absent.bundle", trust="development")


def test_folder_instead_of_file_is_a_bundle_error(tmp_path: Path) -> None:
    """So is a folder."""
    with pytest.raises(BundleError):
        open_bundle(tmp_path, trust="development")


def _link(kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo("features.onnx")
    entry.type, entry.linkname, entry.mode = kind, "/etc/passwd", 0o644
    return entry


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.CHRTYPE, "character device"),
        (tarfile.BLKTYPE, "block device"),
        (tarfile.FIFOTYPE, "FIFO"),
        (tarfile.DIRTYPE, "folder"),
    ],
)
def test_only_plain_files(tmp_path: Path, kind: bytes, word: str) -> None:
    """Links, devices, pipes and folders are refused by their kind."""
    raw = write_sample(tmp_path / "part.bundle")
    assert word in refusal(tmp_path / "bad", pack([*members_of(raw)[:2], _link(kind)])).what


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../outside", "a/../b", "./a", "a//b", ".hidden", "-rf", "a b", "a\\b"]
)
def test_only_plain_names(tmp_path: Path, name: str) -> None:
    """Names that lead elsewhere or are not plain are refused."""
    raw = write_sample(tmp_path / "part.bundle")
    assert "not an allowed member name" in refusal(tmp_path / "bad", pack([*members_of(raw), (name, b"x")])).what


def _duplicate(raw: bytes) -> bytes:
    members = members_of(raw)
    return pack([*members, members[-1]])


def _excess(raw: bytes) -> bytes:
    return pack([*members_of(raw), ("extra.sh", b"#!/bin/sh")])


def _missing(raw: bytes) -> bytes:
    return pack(members_of(raw)[:-1])


def _reordered(raw: bytes) -> bytes:
    members = members_of(raw)
    return pack([*members[:2], *reversed(members[2:])])


def _without_manifest(raw: bytes) -> bytes:
    return pack(members_of(raw)[2:])


def _swapped_payload(raw: bytes) -> bytes:
    return pack([(name, b"evil!!" if name == "search.onnx" else content) for name, content in members_of(raw)])


def _altered_manifest(raw: bytes) -> bytes:
    members = members_of(raw)
    return pack([("release.json", members[0][1].replace(b"2.25", b"9.25")), *members[1:]])


def _oversized_manifest(raw: bytes) -> bytes:
    return pack([("release.json", b" " * ((1 << 20) + 1)), *members_of(raw)[1:]])


def _owner(raw: bytes) -> bytes:
    entry = tarfile.TarInfo("features.onnx")
    entry.mode, entry.uid = 0o4755, 1_000
    return pack([*members_of(raw)[:2], entry])


@pytest.mark.parametrize(
    ("alter", "word"),
    [
        (_duplicate, "twice"),
        (_excess, "extra.sh"),
        (_missing, "golden/01-good.png"),
        (_reordered, "order or sizes"),
        (_without_manifest, "does not begin with release.json"),
        (_swapped_payload, "search.onnx"),
        (_altered_manifest, "checksum"),
        (_oversized_manifest, "more than"),
        (_owner, "damaged or not the one that a bundle has"),
        (lambda raw: raw + b"\0", "goes on behind its end"),
        (lambda raw: raw + bytes(10_240), "goes on behind its end"),
        (lambda raw: raw[:-1], "cut off"),
        (lambda raw: raw[:-1024], "cut off"),
        (lambda raw: raw[:600], "cut off"),
        (lambda _: b"", "cut off"),
        (lambda _: b"PK\3\4" + bytes(2_000), "is not a bundle"),
    ],
)
def test_altered_archives_are_refused(tmp_path: Path, alter: Callable[[bytes], bytes], word: str) -> None:
    """Each breach of the layout is refused with words of its own."""
    raw = write_sample(tmp_path / "part.bundle")
    assert word in refusal(tmp_path / "bad", alter(raw)).what


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('"format": 0', '"format": 1', "format"),
        ('"name": "part"', '"name": "part", "script": "rm"', "script"),
        ('"review_limit": 1.5', '"review_limit": 5.0', "review_limit"),
        ('"review_limit": 1.5', '"review_limit": NaN', "review_limit"),
        ('"review_limit": 1.5', '"review_limit": 1e999', "review_limit"),
        ('"search": "search.onnx"', '"search": "absent.onnx"', "absent.onnx"),
        ('"search": "search.onnx"', '"else": "search.onnx"', "search"),
        ('"dtype": "uint8"', '"dtype": "float16"', "dtype"),
        ('"kind": "patchcore"', '"kind": "oracle"', "kind"),
        ('"disposition": "PASS"', '"disposition": "MAYBE"', "disposition"),
    ],
)
def test_impossible_manifests_are_refused(tmp_path: Path, old: str, new: str, word: str) -> None:
    """A manifest that says what cannot be is refused with the place named, even if its checksum fits."""
    raw = write_sample(tmp_path / "part.bundle")
    error = refusal(tmp_path / "bad", repack(raw, old, new))
    assert word in error.what
    assert "release.json" in error.what


def test_a_payload_changed_after_opening_is_not_handed_out(tmp_path: Path) -> None:
    """What was verified at opening is verified again at reading: a swap in between is noticed."""
    path = tmp_path / "part.bundle"
    raw = write_sample(path)
    with open_bundle(path, trust="development") as bundle:
        with path.open("r+b") as file:
            file.seek(raw.index(b"search" + bytes(506)))
            file.write(b"S")
        with pytest.raises(BundleError, match="differs from its digest"):
            bundle.payloads.read("search.onnx")


def test_unknown_payload_and_closed_bundle(tmp_path: Path, no_leaks: None) -> None:
    """An unknown name names the known ones; after closing nothing is read and no descriptor stays."""
    path = tmp_path / "part.bundle"
    write_sample(path)
    bundle = open_bundle(path, trust="development")
    with pytest.raises(BundleError) as caught:
        bundle.payloads.read("release.json")
    assert "features.onnx" in caught.value.action
    bundle.close()
    bundle.close()
    with pytest.raises(BundleError):
        bundle.payloads.read("features.onnx")


def test_refusing_leaks_nothing(tmp_path: Path, no_leaks: None) -> None:
    """A refused bundle's file is closed."""
    raw = write_sample(tmp_path / "part.bundle")
    refusal(tmp_path / "bad", _excess(raw))


def test_failed_writing_keeps_the_old_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails at the sync leaves the previous bundle in place and no temporary file."""
    path = tmp_path / "part.bundle"
    before = write_sample(path)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BundleError, match="No space left"):
        write_bundle(path, make_draft(version="2"), PAYLOADS)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["part.bundle"]


def test_an_impossible_draft_is_not_written(tmp_path: Path) -> None:
    """A draft that could not be read back is refused before anything is written."""
    with pytest.raises(BundleError, match="name"):
        write_bundle(tmp_path / "part.bundle", make_draft(name="a b"), PAYLOADS)
    with pytest.raises(BundleError, match="features"):
        write_bundle(tmp_path / "part.bundle", make_draft(), {"search.onnx": b""})
    assert not list(tmp_path.iterdir())


def test_others_may_read_it(tmp_path: Path) -> None:
    """The daemon's user is not the one who taught: the file is readable for all."""
    write_sample(tmp_path / "part.bundle")
    assert (tmp_path / "part.bundle").stat().st_mode & 0o777 == 0o644


def test_the_header_is_the_one_in_the_format_document(tmp_path: Path) -> None:
    """Byte for byte as docs/bundle-format.md has it, whatever Python's tarfile makes of fields that mean nothing."""
    written = write_sample(tmp_path / "part.bundle")
    name, size = b"release.json", int(written[124:135], 8)
    fields = {0: name, 100: b"0000644\0", 108: b"0000000\0", 116: b"0000000\0", 124: b"%011o\0" % size}
    fields |= {136: b"00000000000\0", 148: b" " * 8, 156: b"0", 257: b"ustar\x0000"}
    expected = bytearray(512)
    for offset, content in fields.items():
        expected[offset : offset + len(content)] = content
    expected[148:156] = b"%06o\0 " % sum(expected)
    assert written[:512] == expected
