from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
from typing import TYPE_CHECKING

import pytest
from bundle_parts import PAYLOADS, make_draft, members_of, pack
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from station_parts import NOW_S, MemorySource, make_bench

from edge_runtime.bundles.archive import open_bundle, open_release
from edge_runtime.bundles.release_blocks import release_blocks
from edge_runtime.bundles.release_parts import open_whole, part_path
from edge_runtime.bundles.slice import open_release_file
from edge_runtime.bundles.trust import verify_release
from edge_runtime.domain.errors import BundleError, EdgeError
from edge_runtime.domain.update import ReleaseTerms

if TYPE_CHECKING:
    from pathlib import Path

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A station with one release, a device that trusts it, and the release's file."""
    bench = make_bench(tmp_path_factory.mktemp("model"))
    bench.release()
    bench.provision()
    bench.export()
    return bench.folder


@pytest.fixture
def raw(model: Path) -> bytes:
    """The file's bytes."""
    return (model / "part.bundle").read_bytes()


def write(tmp_path: Path, content: bytes) -> Path:
    """A file of these bytes."""
    path = tmp_path / "some.bundle"
    path.write_bytes(content)
    return path


def install(model: Path, tmp_path: Path, path: Path) -> bytes:
    """Verify and copy as a device does; the copy opens in production."""
    after = tmp_path / "trust-1"
    try:
        with open_release_file(path) as source:
            verified = verify_release(source, model / "trust-0", after, now_s=NOW_S, floor_s=0)
            copy = b"".join(release_blocks(verified, source))
    finally:
        shutil.rmtree(after, ignore_errors=True)
    own = tmp_path / "own.bundle"
    own.write_bytes(copy)
    with open_release(own, digest=verified.digest) as bundle:
        assert {name: bundle.payloads.read(name) for name in PAYLOADS} == PAYLOADS
    return copy


def test_development_opens_a_signed_bundle_unverified(model: Path) -> None:
    """For a look at it on the engineering PC; its digest is that of release.json, its trust says what it is."""
    with open_bundle(model / "part.bundle", trust="development") as bundle:
        text = dict(members_of((model / "part.bundle").read_bytes()))["release.json"]
        assert bundle.manifest.identity.digest == hashlib.sha256(text).hexdigest()
        assert bundle.manifest.identity.trust == "development"
        assert bundle.manifest.release == ReleaseTerms("part", 2, 0, ())


def test_production_opens_nothing_where_it_lies(model: Path) -> None:
    """A signed bundle is installed, not named: only the device's own verified copy counts."""
    with pytest.raises(BundleError, match="verified and keeps itself") as error:
        open_bundle(model / "part.bundle", trust="production")
    assert "bundle install" in error.value.action


def test_the_devices_copy_is_the_stations_file_with_its_newest_root(model: Path, tmp_path: Path, raw: bytes) -> None:
    """With one root in the chain the two are the same, byte for byte."""
    assert install(model, tmp_path, model / "part.bundle") == raw


@FEW
@given(cut=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(model: Path, tmp_path: Path, raw: bytes, cut: float) -> None:
    """Wherever the copying of a stick was broken off."""
    with pytest.raises(BundleError):
        install(model, tmp_path, write(tmp_path, raw[: int(cut * len(raw))]))


@FEW
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255))
def test_a_changed_byte_is_refused_or_without_effect(
    model: Path, tmp_path: Path, raw: bytes, place: float, value: int
) -> None:
    """A bit flip on the stick: a typed error, or exactly the signed content (in padding, or in JSON's white space)."""
    damaged = bytearray(raw)
    damaged[int(place * len(raw))] ^= value
    try:
        install(model, tmp_path, write(tmp_path, bytes(damaged)))
    except BundleError:
        return


@FEW
@given(
    name=st.sampled_from(["1.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json", "2.root.json"]),
    content=st.binary(max_size=300)
    | st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists, max_leaves=9).map(
        lambda value: str(value).encode()
    )
    | st.integers(1, 100_000).map(lambda depth: b"[" * depth),
)
def test_any_metadata_ends_in_a_typed_error(model: Path, tmp_path: Path, raw: bytes, name: str, content: bytes) -> None:
    """Garbage, wrong types and nesting without end, in the place of any metadata."""
    members = dict(members_of(raw)) | {f"metadata/{name}": content}
    source = MemorySource(members)
    try:
        verify_release(source, model / "trust-0", tmp_path / "after", now_s=NOW_S, floor_s=0)
    except EdgeError:
        assert not (tmp_path / "after").exists()
        return
    shutil.rmtree(tmp_path / "after")
    assert name == "1.root.json"  # the device knows it already and does not look


_FIELDS = st.sampled_from(
    ["signatures", "_type", "version", "expires", "meta", "targets", "keys", "roles", "spec_version"]
)


@FEW
@given(
    name=st.sampled_from(["timestamp.json", "2.snapshot.json", "2.targets.json"]),
    field=_FIELDS,
    value=st.none() | st.integers() | st.text(max_size=9) | st.just({}) | st.just([{}]) | st.just({"targets.json": 1}),
)
def test_any_altered_field_ends_in_a_typed_error(
    model: Path, tmp_path: Path, raw: bytes, name: str, field: str, value: object
) -> None:
    """Well-formed metadata with one field that means something else; its signature does not fit any more."""
    members = dict(members_of(raw))
    content = json.loads(members[f"metadata/{name}"])
    place = content if field == "signatures" else content["signed"]
    assume(place.get(field, "absent") != value)
    assume((field, value) != ("spec_version", None))  # `tuf` reads null as its own version: just what was signed
    place[field] = value
    members[f"metadata/{name}"] = json.dumps(content).encode()
    with pytest.raises(BundleError):
        verify_release(MemorySource(members), model / "trust-0", tmp_path / "after", now_s=NOW_S, floor_s=0)
    assert not (tmp_path / "after").exists()


def _link(raw: bytes) -> list[object]:
    entry = tarfile.TarInfo("targets/" + "0" * 64)
    entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return [*members_of(raw), entry]


def _twice(raw: bytes) -> list[object]:
    return [*members_of(raw), members_of(raw)[-1]]


def _stranger(raw: bytes) -> list[object]:
    return [*members_of(raw), ("install.sh", b"#!/bin/sh")]


def _climbing(raw: bytes) -> list[object]:
    return [*members_of(raw), ("targets/../../etc/passwd", b"root")]


def _metadata_behind(raw: bytes) -> list[object]:
    first, *rest = members_of(raw)
    return [*rest, first]


def _no_manifest(raw: bytes) -> list[object]:
    return [member for member in members_of(raw) if member[0] != "release.json"]


def _gap_in_roots(raw: bytes) -> list[object]:
    first, *rest = members_of(raw)
    return [first, ("metadata/3.root.json", first[1]), *rest]


@pytest.mark.parametrize(
    ("altered", "match"),
    [
        (_link, "symbolic link"),
        (_twice, "twice"),
        (_stranger, "has no place in a bundle"),
        (_climbing, "not an allowed member name"),
        (_metadata_behind, "does not begin with metadata"),
        (_no_manifest, "does not begin with metadata"),
        (_gap_in_roots, "does not begin with metadata"),
    ],
)
def test_the_layout_has_no_room_for_anything_else(model: Path, tmp_path: Path, raw: bytes, altered, match: str) -> None:
    """Links, duplicates, other files and another order are refused before anything is read."""
    with pytest.raises(BundleError, match=match):
        open_release_file(write(tmp_path, pack(altered(raw))))


def test_an_unlisted_payload_is_never_copied(model: Path, tmp_path: Path, raw: bytes) -> None:
    """An excess member with a digest for a name passes the layout, and is left behind."""
    stuffed = write(tmp_path, pack([*members_of(raw), ("targets/" + "0" * 64, b"x" * 5000)]))
    assert install(model, tmp_path, stuffed) == raw
    with pytest.raises(BundleError, match="does not list"):
        open_bundle(stuffed, trust="development")


def test_a_manifest_of_any_size_is_refused_by_its_header(tmp_path: Path, raw: bytes) -> None:
    """A gigabyte of release.json is not read."""
    members = [(name, b" " * (1 << 20) + b" " if name == "release.json" else text) for name, text in members_of(raw)]
    with pytest.raises(BundleError, match="more than 1048576"):
        open_release_file(write(tmp_path, pack(members)))


@FEW
@given(size=st.integers(1, 20_000), length=st.integers(1, 3000), place=st.floats(0, 1))
def test_parts_read_as_one_file(tmp_path: Path, raw: bytes, size: int, length: int, place: float) -> None:
    """However a file was cut into parts, reading anywhere gives the same bytes."""
    size = max(size, len(raw) // 30)
    for old in tmp_path.iterdir():
        old.unlink()
    for number, begin in enumerate(range(0, len(raw), size), start=1):
        part_path(tmp_path / "x.bundle", number).write_bytes(raw[begin : begin + size])
    file, total = open_whole(tmp_path / "x.bundle")
    with file:
        begin = int(place * len(raw))
        file.seek(begin)
        assert (total, file.read(length)) == (len(raw), raw[begin : begin + length])
        assert file.seek(0, os.SEEK_END) == total
        assert file.read() == b""


def test_parts_are_verified_like_a_file(model: Path, tmp_path: Path, raw: bytes) -> None:
    """Named by the first part or by the common name; a missing last part is a truncated file."""
    for number, begin in enumerate(range(0, len(raw), 5000), start=1):
        part_path(tmp_path / "x.bundle", number).write_bytes(raw[begin : begin + 5000])
    assert install(model, tmp_path, tmp_path / "x.bundle.001") == raw
    assert install(model, tmp_path, tmp_path / "x.bundle") == raw
    part_path(tmp_path / "x.bundle", number).unlink()
    with pytest.raises(BundleError, match="cut off"):
        open_release_file(tmp_path / "x.bundle.001")


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A FIFO on a strange stick does not hold the device; a folder and a missing file are named."""
    os.mkfifo(tmp_path / "pipe.bundle")
    for name, match in (
        ("pipe.bundle", "not an ordinary file"),
        (".", "not an ordinary file"),
        ("no.bundle", "opened"),
    ):
        with pytest.raises(BundleError, match=match):
            open_release_file(tmp_path / name)


def test_a_format_0_file_is_no_release(model: Path) -> None:
    """The message says how it becomes one."""
    with pytest.raises(BundleError, match="not a signed bundle") as error:
        open_release_file(model / "unsigned.bundle")
    assert "edge-convert release" in error.value.action


def test_payloads_with_the_same_content_stand_there_once(tmp_path: Path) -> None:
    """Content-addressed: two names, one member, both readable."""
    bench = make_bench(tmp_path)
    draft = make_draft(graphs={"features": "f.onnx", "search": "s.onnx"}, golden=())
    bench.release(draft=draft, payloads={"f.onnx": b"same" * 99, "s.onnx": b"same" * 99, "empty": b""})
    path = bench.export()
    assert len([name for name, _ in members_of(path.read_bytes()) if name.startswith("targets/")]) == 2
    with open_bundle(path, trust="development") as bundle:
        assert bundle.payloads.read("f.onnx") == bundle.payloads.read("s.onnx") == b"same" * 99
        assert bundle.payloads.read("empty") == b""
