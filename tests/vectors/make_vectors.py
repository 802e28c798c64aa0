"""Writes the vectors of docs/bundle-format.md: `python tests/vectors/make_vectors.py FOLDER`. Always the same bytes."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))

from bundle_parts import make_draft, members_of, pack  # noqa: E402
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: E402
from station_parts import CHEAP, NOW_S, PASSPHRASE, Bench  # noqa: E402
from tuf.api.metadata import Metadata  # noqa: E402

from edge_convert.release.rotation import rotate_root  # noqa: E402
from edge_convert.release.signing import Validity, next_metadata  # noqa: E402
from edge_convert.release.start import Quorum, make_station  # noqa: E402

DAY_S = 86_400


def seeded(name: str) -> Ed25519PrivateKey:
    """The private key of a vector: its seed is the SHA-256 of `bundle_v1 NAME`. Never use it for anything else."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"bundle_v1 {name}".encode()).digest())


def make_files(work: Path) -> dict[str, bytes]:
    """Every file of the vectors but `vectors.json`."""
    bench = Bench(work)
    make_station(bench.station, Quorum(2, 3), Quorum(2, 3), lambda _: PASSPHRASE, cost=CHEAP, key_source=seeded)
    files = {"root.json": bench.root}
    bench.release()
    files["first.bundle"] = bench.export().read_bytes()
    files["stolen.bundle"] = _stolen(bench, files["first.bundle"])
    bench.now_s += 10 * DAY_S
    bench.release(draft=make_draft(version="2.0"), hardware=("x86_64",), min_counter=3)
    files["second.bundle"] = bench.export().read_bytes()
    files["mixed.bundle"] = _mixed(files["first.bundle"], files["second.bundle"])
    files["reordered.bundle"] = pack(list(reversed(members_of(files["first.bundle"]))))
    for name in ("root-1", "timestamp-1"):
        bench.now_s += DAY_S
        rotate_root(bench.station, [name], lambda _: PASSPHRASE, cost=CHEAP, key_source=seeded)
    files["rotated.bundle"] = bench.export().read_bytes()
    return files


def _stolen(bench: Bench, raw: bytes) -> bytes:
    station = bench.station
    now = station.repository.read()
    weak = deepcopy(now.root)
    weak.roles["targets"].threshold = 1
    signed = next_metadata(replace(now, root=weak), station.ring, NOW_S, Validity())
    names = {"timestamp.json": "timestamp.json", "snapshot": "3.snapshot.json", "targets": "3.targets.json"}
    kept = [(name, text) for name, text in members_of(raw) if not name.startswith("metadata/") or "root" in name]
    fresh = [(f"metadata/{name}", signed[name]) for name in names.values()]
    return pack([*kept[:1], *fresh, *kept[1:]])


def _mixed(first: bytes, second: bytes) -> bytes:
    """The second release with the first one's list under its name."""
    old = dict(members_of(first))["metadata/2.targets.json"]
    return pack([(name, old if name == "metadata/3.targets.json" else text) for name, text in members_of(second)])


def _case(what: str, file: str, expect: str, *, before: tuple[str, ...] = (), clock: int = NOW_S, **more: Any) -> Any:
    return {"what": what, "before": list(before), "file": file, "clock": clock, "expect": expect, **more}


def _cases(files: dict[str, bytes]) -> list[Any]:
    first, second, rotated = "first.bundle", "second.bundle", "rotated.bundle"
    raw = files[first]
    manifest, payload = raw.index(b'"false_reject_rate": 0.01'), raw.rindex(b"png")
    digest = {
        name: hashlib.sha256(dict(members_of(files[name]))["release.json"]).hexdigest()
        for name in files
        if name in {first, second, rotated}
    }
    later, too_late = NOW_S + 20 * DAY_S, NOW_S + 731 * DAY_S
    taken = {
        name: {"digest": digest[name], "counter": counter, "root_version": root}
        for name, counter, root in ((first, 2, 1), (second, 3, 1), (rotated, 3, 3))
    }
    return [
        _case("the first release", first, "accepted", **taken[first]),
        _case("the same again", first, "accepted", before=(first,), **taken[first]),
        _case("the next one", second, "accepted", before=(first,), clock=later, **taken[second]),
        _case("a clock at 1970", first, "accepted", clock=0, **taken[first]),
        _case(
            "two new roots at once, the timestamp's key replaced",
            rotated,
            "accepted",
            before=(second,),
            clock=later,
            **taken[rotated],
        ),
        _case("an older genuine release", first, "older", before=(second,), clock=later),
        _case("signed by a key that was replaced", second, "unsigned", before=(rotated,), clock=later),
        _case("one targets key where two must sign", "stolen.bundle", "unsigned"),
        _case("metadata of two releases", "mixed.bundle", "mixed", clock=later),
        _case("run out", first, "expired", clock=too_late),
        _case("a clock at 2099", first, "expired", clock=4_070_908_800),
        _case("a digit changed in release.json", first, "mixed", set={str(manifest + 24): ord("9")}),
        _case("a bit changed in a payload", first, "payload", set={str(payload): ord("q")}),
        _case("a time stamp in a member's header", first, "format", set={"146": ord("1")}),
        _case("cut off in a payload", first, "format", cut=len(raw) - 1500),
        _case("cut off before its end", first, "format", cut=len(raw) - 512),
        _case("members in another order", "reordered.bundle", "format"),
    ]


def make_document(files: dict[str, bytes]) -> dict[str, Any]:
    """`vectors.json`."""
    raw = files["first.bundle"]
    return {
        "root": "root.json",
        "key_seed": "SHA-256 of `bundle_v1 NAME`, NAME being x-edge-name in root.json",
        "canonical": {
            name: hashlib.sha256(Metadata.from_bytes(content).signed_bytes).hexdigest()
            for name, content in members_of(raw)
            if name.startswith("metadata/")
        },
        "cases": _cases(files),
    }


def make(folder: Path) -> None:
    """Write them all."""
    with tempfile.TemporaryDirectory() as work:
        files = make_files(Path(work))
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "vectors.json").write_text(json.dumps(make_document(files), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "bundle_v1")
