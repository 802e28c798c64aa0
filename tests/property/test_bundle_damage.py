from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from bundle_parts import make_draft, read_all, write_sample
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_runtime.bundles.writer import write_bundle
from edge_runtime.domain.verdict import BundleIdentity

if TYPE_CHECKING:
    from pathlib import Path

COMMON = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
EDITS = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True), st.integers(0, 255), st.sampled_from(["set", "flip", "drop", "insert"])
    ),
    min_size=1,
    max_size=4,
)


@pytest.fixture
def raw(tmp_path: Path) -> bytes:
    """A sound bundle's bytes."""
    return write_sample(tmp_path / "sound.bundle")


@COMMON
@given(edits=EDITS, cut=st.floats(0, 1) | st.none())
def test_damage_is_refused_or_without_effect(
    tmp_path: Path, raw: bytes, edits: list[tuple[float, int, str]], cut: float | None
) -> None:
    """Bytes set, flipped, dropped or inserted and any truncation: a BundleError, or exactly the original content."""
    damaged = bytearray(raw)
    for place, value, kind in edits:
        index = int(place * len(damaged))
        if kind == "set":
            damaged[index] = value
        elif kind == "flip":
            damaged[index] ^= 1 << value % 8
        elif kind == "drop":
            del damaged[index : index + value]
        else:
            damaged[index:index] = bytes([value]) * (value + 1)
        if not damaged:
            break
    if cut is not None:
        damaged = damaged[: int(cut * len(damaged))]
    path = tmp_path / "damaged.bundle"
    path.write_bytes(damaged)
    found = read_all(path)
    if bytes(damaged) == raw:
        assert found is not None
    else:
        assert found is None  # format 0 leaves no byte free


@COMMON
@given(content=st.binary(max_size=3_000))
def test_any_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever file is named, the answer is the typed error."""
    path = tmp_path / "random.bundle"
    path.write_bytes(content)
    assert read_all(path) is None


@COMMON
@given(
    payloads=st.dictionaries(
        st.from_regex(r"[a-z0-9_]{1,20}(/[A-Za-z0-9._]{1,10})?", fullmatch=True).filter(lambda name: "/." not in name),
        st.binary(max_size=1_500),
        max_size=5,
    ),
    notes=st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=4),
)
def test_any_content_survives(tmp_path: Path, payloads: dict[str, bytes], notes: dict[str, str]) -> None:
    """Payloads of any content and any size and notes in any script come back unchanged."""
    everything = {**payloads, "f.onnx": b"1", "s.onnx": b"2"}
    draft = make_draft(graphs={"features": "f.onnx", "search": "s.onnx"}, golden=(), notes=notes)
    path = tmp_path / "round.bundle"
    digest = write_bundle(path, draft, everything)
    found = read_all(path)
    assert found is not None
    manifest, contents = found
    assert contents == everything
    assert manifest.notes == notes
    assert manifest.identity == BundleIdentity("part", "1.0", digest, "development")
