from __future__ import annotations

import contextlib
import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
from bundle_parts import make_draft
from small_disks import small_disk
from station_parts import NOW_S, Bench, MemorySource, copy_of, make_bench
from tuf.api.metadata import Metadata, Root

from edge_convert.release.rotation import renew
from edge_convert.release.signing import Validity, next_metadata
from edge_runtime.bundles.archive import open_release
from edge_runtime.bundles.slice import open_release_file
from edge_runtime.bundles.trust import verify_release
from edge_runtime.bundles.trust_folder import provision_trust, read_trust
from edge_runtime.domain.errors import BundleError, ConfigError, LocalTrustError, Refusal, TrustError

YEAR_S = 365 * 86_400


def test_a_genuine_release_is_verified_and_copied_whole(bench: Bench) -> None:
    """Terms, digest and length are known before a payload is read; the copy opens under that digest in production."""
    path = bench.export()
    with open_release_file(path) as source:
        verified = verify_release(source, bench.folder / "trust-0", bench.folder / "trust-1", now_s=NOW_S, floor_s=0)
        copy = bench.folder / "copy"
        copy.write_bytes(copy_of(verified, source))
    assert (verified.terms.product, verified.terms.counter, verified.signed_s) == ("part", 2, NOW_S)
    with open_release(copy, digest=verified.digest) as bundle:
        assert bundle.manifest.identity.trust == "production"
        assert bundle.manifest.release == verified.terms
        assert bundle.payloads.read("search.onnx") == b"search"
    trust = read_trust(bench.folder / "trust-1")
    assert (trust.generation, trust.newest_s) == (1, NOW_S)
    assert {entry.name for entry in bench.folder.iterdir() if entry.name.startswith(".")} == set()


def test_the_same_release_again_is_accepted(bench: Bench) -> None:
    """A second stick with what the device has already is no attack."""
    first = bench.take(bench.export(), 0)
    assert bench.take(bench.export(), 1).digest == first.digest


def test_a_release_keeps_its_digest_when_its_metadata_is_signed_afresh(bench: Bench) -> None:
    """The bundle digest names the model, not the signature's age."""
    first = bench.take(bench.export(), 0)
    bench.now_s += YEAR_S
    renew(bench.station)
    second = bench.take(bench.export(), 1, now_s=bench.now_s)
    assert (second.digest, second.timestamp_version) == (first.digest, first.timestamp_version + 1)


def test_an_older_genuine_release_is_refused(bench: Bench) -> None:
    """What was signed before the newest that the device has seen is not taken any more, whatever its payload."""
    old = bench.export(name="old.bundle")
    bench.release(draft=make_draft(version="2.0"))
    bench.take(bench.export(), 0)
    error = bench.refused(old, 1)
    assert error.refusal is Refusal.OLDER
    assert "timestamp 2, seen 3" in error.what
    assert "rollback" in error.action


@pytest.mark.parametrize("damage", ["", "remove", "zeros", "swap"])
@pytest.mark.parametrize("name", ["root.json", "timestamp.json", "snapshot.json", "targets.json", "trust.json"])
def test_damaged_local_trust_never_counts_as_an_empty_one(bench: Bench, name: str, damage: str) -> None:
    """After a cut or decay of any file the device refuses all releases, above all the older one."""
    old = bench.export(name="old.bundle")
    bench.release(draft=make_draft(version="2.0"))
    new = bench.export()
    bench.take(new, 0)
    file = bench.folder / "trust-1" / name
    size = file.stat().st_size
    if damage == "remove":
        file.unlink()
    else:
        file.write_bytes(
            {"": b"", "zeros": bytes(size), "swap": (bench.folder / "trust-0/root.json").read_bytes()}[damage]
        )
    if name == "root.json" and damage == "swap":
        assert bench.take(new, 1)  # the same root: nothing is damaged
        return
    for offered in (old, new):
        with pytest.raises(LocalTrustError) as error:
            bench.take(offered, 1)
        assert "trust-1" in error.value.what


def test_an_excess_file_in_the_trust_folder_is_damage(bench: Bench) -> None:
    """What the receipt does not name has no place there."""
    (bench.folder / "trust-0" / "targets.json").write_bytes(b"{}")
    with pytest.raises(LocalTrustError, match="other files"):
        bench.take(bench.export(), 0)


@pytest.mark.parametrize("part", ["timestamp.json", "2.snapshot.json", "2.targets.json", "release.json"])
def test_parts_of_two_releases_do_not_mix(bench: Bench, part: str) -> None:
    """Metadata or manifest of another genuine release in between: refused, although each is signed."""
    old = MemorySource.of(bench.export())
    bench.release(draft=make_draft(version="2.0"))
    new = MemorySource.of(bench.export())
    mixed = dict(new.members)
    if part == "release.json":
        mixed[part] = old.members[part]
    else:
        name = part if part == "timestamp.json" else part.replace("2", "3", 1)
        mixed[f"metadata/{name}"] = old.members[f"metadata/{part}"]
    assert bench.refused(MemorySource(mixed), 0).refusal in {Refusal.MIXED, Refusal.DAMAGED}


def test_a_swapped_payload_never_becomes_a_whole_copy(bench: Bench) -> None:
    """The last piece of a payload is held back until its digest was found right."""
    source = MemorySource.of(bench.export())
    verified = bench.take(source, 0)
    for reference in verified.payloads:
        good = source.members[f"targets/{reference.sha256}"]
        for bad in (good[:-1] + bytes([good[-1] ^ 1]), good[:-1], good + b"x", b""):
            tampered = MemorySource({**source.members, f"targets/{reference.sha256}": bad})
            with pytest.raises(TrustError, match="differs from what is signed"):
                copy_of(verified, tampered)


def _stolen(bench: Bench, *, root_threshold: int | None = None, targets_threshold: int | None = None) -> MemorySource:
    """What a thief can sign with fewer keys than the root asks for."""
    station = bench.station
    now = station.repository.read()
    weak = deepcopy(now.root)
    weak.roles["targets"].threshold = targets_threshold or weak.roles["targets"].threshold
    following = None
    if root_threshold is not None:
        weak.roles["root"].threshold = root_threshold
        following = deepcopy(weak)
        following.version += 1
    signed = next_metadata(replace(now, root=weak), station.ring, NOW_S, Validity(), root=following)
    source = MemorySource.of(bench.export())
    return MemorySource(source.members | {f"metadata/{name}": content for name, content in signed.items()})


def test_one_stolen_targets_key_releases_nothing(bench: Bench) -> None:
    """Two of three must sign, even where the thief has the snapshot's and the timestamp's keys too."""
    error = bench.refused(_stolen(bench, targets_threshold=1), 0)
    assert error.refusal is Refusal.UNSIGNED
    assert "1/2" in error.what


def test_one_stolen_root_key_makes_no_root(bench: Bench) -> None:
    """A root that asks for less than the one before is not signed by enough of the old keys."""
    assert bench.refused(_stolen(bench, root_threshold=1), 0).refusal is Refusal.UNSIGNED


def test_another_station_is_not_trusted(bench: Bench, tmp_path: Path) -> None:
    """A perfectly good release of somebody else."""
    (tmp_path / "other").mkdir()
    other = make_bench(tmp_path / "other")
    other.release()
    assert bench.refused(other.export(), 0).refusal is Refusal.UNSIGNED


@pytest.mark.parametrize("name", ["timestamp.json", "2.snapshot.json", "2.targets.json"])
def test_missing_metadata_is_refused(bench: Bench, name: str) -> None:
    """Nothing is taken for granted."""
    source = MemorySource.of(bench.export())
    del source.members[f"metadata/{name}"]
    error = bench.refused(source, 0)
    assert error.refusal is Refusal.DAMAGED
    assert name in error.what


def test_a_product_that_is_not_released_is_named(bench: Bench) -> None:
    """The technician reads which product is missing."""
    source = MemorySource(MemorySource.of(bench.export()).members, product="lid")
    error = bench.refused(source, 0)
    assert error.refusal is Refusal.NOT_LISTED
    assert "'lid'" in error.what


def test_two_products_share_one_trust(bench: Bench) -> None:
    """Counters grow over all products; sticks written together are accepted in any order."""
    bench.release("lid", hardware=("x86_64",))
    lid, part = bench.export("lid", "lid.bundle"), bench.export()
    first = MemorySource(MemorySource.of(lid).members, "lid")
    verified = bench.take(first, 0)
    assert (verified.terms.counter, verified.terms.hardware) == (3, ("x86_64",))
    assert bench.take(part, 1).terms.counter == 2


def test_endless_metadata_is_not_read(bench: Bench) -> None:
    """A member that claims gigabytes is refused by its size."""
    source = MemorySource.of(bench.export())
    source.members["metadata/timestamp.json"] += b" " * 20_000
    with pytest.raises(BundleError, match="too large"):
        bench.take(source, 0)


def test_an_endless_payload_stops_at_the_signed_length(bench: Bench) -> None:
    """Not one byte more is handed out, however much the source has."""

    class Endless(MemorySource):
        handed_out = 0

        def payload(self, digest: str, size_bytes: int):
            while True:
                self.handed_out += 512
                yield bytes(512)

    source = Endless(MemorySource.of(bench.export()).members)
    verified = bench.take(source, 0)
    with pytest.raises(TrustError, match="differs"):
        copy_of(verified, source)
    assert source.handed_out <= verified.payloads[0].size_bytes + 1024


def test_root_metadata_without_end_is_cut(bench: Bench) -> None:
    """However many roots a file brings, a bounded number is looked at, and each must follow upon the last."""
    source = MemorySource.of(bench.export())
    for version in range(2, 300):
        source.members[f"metadata/{version}.root.json"] = source.members["metadata/1.root.json"]
    assert bench.refused(source, 0).refusal is Refusal.MIXED


def test_a_root_keeps_to_its_own_type(bench: Bench) -> None:
    """Signed metadata of another role in a root's place."""
    source = MemorySource.of(bench.export())
    source.members["metadata/2.root.json"] = source.members["metadata/timestamp.json"]
    assert bench.refused(source, 0).refusal is Refusal.MIXED
    assert Metadata[Root].from_bytes(bench.root).signed.version == 1


def test_an_existing_folder_is_never_written_over(bench: Bench) -> None:
    """The trust that another installation wrote stays as it is."""
    path = bench.export()
    bench.take(path, 0)
    before = {file.name: file.read_bytes() for file in (bench.folder / "trust-1").iterdir()}
    with pytest.raises(LocalTrustError, match="exists"):
        bench.take(path, 0)
    assert {file.name: file.read_bytes() for file in (bench.folder / "trust-1").iterdir()} == before


def test_trust_is_given_once(bench: Bench) -> None:
    """A second root.json changes nothing: the next one comes with a release, signed by the one before."""
    with pytest.raises(ConfigError, match="already trusts"):
        provision_trust(bench.root, bench.folder / "trust-0")


@pytest.mark.parametrize("kind", ["not json", "timestamp", "one signature", "huge"])
def test_only_a_root_signed_by_its_own_keys_is_given(bench: Bench, kind: str) -> None:
    """A technician who names the wrong file is told so, and nothing is written."""
    root = Metadata[Root].from_bytes(bench.root)
    root.signatures = dict(list(root.signatures.items())[:1])
    wrong = {
        "not json": b"root",
        "timestamp": MemorySource.of(bench.export()).members["metadata/timestamp.json"],
        "one signature": root.to_bytes(),
        "huge": bench.root + b" " * 600_000,
    }
    with pytest.raises(ConfigError, match=r"root\.json"):
        provision_trust(wrong[kind], bench.folder / "trust-9")
    assert not (bench.folder / "trust-9").exists()


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_full_disk_leaves_trust_as_it_was(bench: Bench, tmp_path: Path, kind: str) -> None:
    """A typed error, nothing half written; with room again the same release is taken."""
    (tmp_path / "mount").mkdir()
    with small_disk(kind, tmp_path / "mount") as disk:
        trust = Path(shutil.copytree(bench.folder / "trust-0", disk / "trust-0"))
        source = MemorySource.of(bench.export())
        with (disk / "ballast").open("wb", buffering=0) as file:
            for step in (1 << 16, 512):
                with contextlib.suppress(OSError):
                    while file.write(bytes(step)):
                        pass
        with pytest.raises(LocalTrustError, match="No space left"):
            verify_release(source, trust, disk / "trust-1", now_s=NOW_S, floor_s=0)
        assert {path.name for path in disk.iterdir()} - {"lost+found"} == {"trust-0", "ballast"}
        (disk / "ballast").unlink()
        assert verify_release(source, trust, disk / "trust-1", now_s=NOW_S, floor_s=0).trust_generation == 1
