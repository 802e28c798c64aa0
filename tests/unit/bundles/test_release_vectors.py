from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from station_parts import copy_of

from edge_runtime.bundles.slice import open_release_file
from edge_runtime.bundles.trust import verify_release
from edge_runtime.bundles.trust_folder import provision_trust
from edge_runtime.domain.errors import BundleError, TrustError

if TYPE_CHECKING:
    from types import ModuleType

VECTORS = Path(__file__).parents[2] / "vectors"
FOLDER = VECTORS / "bundle_v1"
DOCUMENT = json.loads((FOLDER / "vectors.json").read_text(encoding="utf-8"))
CASES = [pytest.param(case, id=case["what"].replace(" ", "-")) for case in DOCUMENT["cases"]]


def load(name: str) -> ModuleType:
    """A module that lies beside the vectors."""
    spec = importlib.util.spec_from_file_location(name, VECTORS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def offered(case: dict[str, Any]) -> bytes:
    """The file of a case, changed as it says."""
    raw = bytearray((FOLDER / case["file"]).read_bytes())
    for place, value in case.get("set", {}).items():
        raw[int(place)] = value
    return bytes(raw[: case.get("cut", len(raw))])


@pytest.mark.parametrize("case", CASES)
def test_the_product_answers_as_the_vectors_say(tmp_path: Path, case: dict[str, Any]) -> None:
    """What was accepted before, the file, the clock: the same release, or the same reason."""
    provision_trust((FOLDER / DOCUMENT["root"]).read_bytes(), tmp_path / "0")
    path = tmp_path / "offered.bundle"
    turns = [(FOLDER / name).read_bytes() for name in case["before"]] + [offered(case)]
    found: dict[str, Any] = {}
    for turn, raw in enumerate(turns):
        path.write_bytes(raw)
        last = turn == len(turns) - 1
        step = ""
        try:
            with open_release_file(path) as source:
                step = "verify"
                verified = verify_release(
                    source, tmp_path / str(turn), tmp_path / str(turn + 1), now_s=case["clock"], floor_s=0
                )
                step = "copy"
                copy_of(verified, source)
        except BundleError as error:
            assert last
            refusal = error.refusal.value if isinstance(error, TrustError) else "format"
            found = {"expect": "payload" if step == "copy" else refusal}
        else:
            found = {
                "expect": "accepted",
                "digest": verified.digest,
                "counter": verified.terms.counter,
                "root_version": verified.root_version,
            }
    assert found == {key: case[key] for key in found}
    assert found["expect"] == case["expect"]


@pytest.mark.parametrize("case", CASES)
def test_a_second_reader_made_from_the_page_alone_agrees(case: dict[str, Any]) -> None:
    """The written format says enough: an implementation that shares no code accepts and refuses the same."""
    reader = load("second_reader")
    device = reader.Device((FOLDER / DOCUMENT["root"]).read_bytes())
    for name in case["before"]:
        device.take((FOLDER / name).read_bytes(), case["clock"])
    if case["expect"] == "accepted":
        assert device.take(offered(case), case["clock"]) == {
            key: case[key] for key in ("digest", "counter", "root_version")
        }
    else:
        with pytest.raises(reader.RefusedError) as error:
            device.take(offered(case), case["clock"])
        assert error.value.args[0] == case["expect"]


def test_the_canonical_form_is_the_written_one() -> None:
    """What is signed, byte for byte."""
    reader = load("second_reader")
    found = reader.members((FOLDER / "first.bundle").read_bytes())
    for name, digest in DOCUMENT["canonical"].items():
        signed = json.loads(found[name])["signed"]
        assert hashlib.sha256(reader.canonical(signed).encode()).hexdigest() == digest


def test_the_vectors_are_what_the_station_writes(tmp_path: Path) -> None:
    """They are made anew, byte for byte: a change of the format cannot pass unnoticed."""
    load("make_vectors").make(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in FOLDER.iterdir()
    }


def test_the_second_reader_imports_nothing_of_the_product() -> None:
    """Or it would prove nothing."""
    text = (VECTORS / "second_reader.py").read_text(encoding="utf-8")
    imported = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
    assert not [line for line in imported if "edge_" in line or "tuf" in line or "securesystemslib" in line]
