from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from bundle_parts import members_of, write_sample
from station_parts import make_bench

from edge_runtime.bundles.archive import open_bundle
from edge_runtime.bundles.manifest import from_domain, parse_release, render_release
from edge_runtime.bundles.writer import draft_of_manifest, write_bundle
from edge_runtime.domain.errors import BundleError
from edge_runtime.domain.update import ReleaseTerms

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def raw(tmp_path: Path) -> bytes:
    """A signed bundle's bytes."""
    bench = make_bench(tmp_path)
    bench.release()
    return bench.export().read_bytes()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"format": 1', '"format": 0'),
        ('"format": 1', '"format": 2'),
        ('"counter": 2', '"counter": 0'),
        ('"min_counter": 0', '"min_counter": 3'),
        ('"product": "part"', '"product": "../part"'),
        ('"product": "part"', '"product": ".."'),
        ('"size_bytes": 6', '"size_bytes": 8589934592'),
        ('"counter": 2', '"counter": 9007199254740993'),
    ],
)
def test_terms_must_make_sense(raw: bytes, old: str, new: str) -> None:
    """Terms come with format 1 and with it only; numbers are in range; a release does not forbid itself."""
    text = dict(members_of(raw))["release.json"].decode()
    assert old in text
    with pytest.raises(BundleError, match=r"release\.json"):
        parse_release(text.replace(old, new).encode(), "x")


def test_format_0_has_not_even_empty_terms(tmp_path: Path) -> None:
    """`"terms": null` is an unknown key there: no byte of a format-0 manifest is free."""
    text = dict(members_of(write_sample(tmp_path / "zero.bundle")))["release.json"]
    release = parse_release(text, "x")
    assert render_release(release) == text
    with pytest.raises(BundleError, match="format 0 has none"):
        parse_release(text.replace(b'"format": 0,', b'"format": 0, "terms": null,'), "x")


def test_other_limits_for_a_signed_bundle_make_an_unsigned_one(tmp_path: Path, raw: bytes) -> None:
    """On the engineering PC a release opens without its signatures; what is written from it is format 0 again."""
    (tmp_path / "signed.bundle").write_bytes(raw)
    with open_bundle(tmp_path / "signed.bundle", trust="development") as bundle:
        payloads = {name: bundle.payloads.read(name) for name in bundle.manifest.payloads}
        write_bundle(tmp_path / "revised.bundle", replace(draft_of_manifest(bundle.manifest), revision=1), payloads)
    with open_bundle(tmp_path / "revised.bundle", trust="development") as bundle:
        assert (bundle.manifest.release, bundle.manifest.revision) == (None, 1)


def test_terms_survive_writing_and_reading(tmp_path: Path) -> None:
    """From the domain's values to JSON and back."""
    write_sample(tmp_path / "zero.bundle")
    with open_bundle(tmp_path / "zero.bundle", trust="development") as bundle:
        manifest = replace(bundle.manifest, release=ReleaseTerms("lid-2", 77, 5, ("x86_64", "jetson")))
    assert parse_release(render_release(from_domain(manifest)), "x").terms == from_domain(manifest).terms
