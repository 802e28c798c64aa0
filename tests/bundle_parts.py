"""A minimal bundle, and archives that break the format's rules one at a time."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

from edge_runtime.bundles.archive import CHECKSUM_NAME, checksum_text, open_bundle
from edge_runtime.bundles.release_layout import MANIFEST_NAME
from edge_runtime.bundles.writer import BundleDraft, write_bundle
from edge_runtime.domain.errors import BundleError
from edge_runtime.domain.model_bundle import (
    Calibration,
    ColourOrder,
    DetectorKind,
    GoldenImage,
    InputSpec,
    Layout,
    Resize,
)
from edge_runtime.domain.verdict import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge_runtime.domain.model_bundle import ModelBundle

PAYLOADS = {"features.onnx": b"features" * 40, "search.onnx": b"search", "golden/01-good.png": b"png" * 200}


def make_draft(**changes: object) -> BundleDraft:
    """A valid PatchCore draft over `PAYLOADS`; keyword arguments replace fields."""
    fields: dict[str, object] = {
        "name": "part",
        "version": "1.0",
        "created": "2026-01-01T00:00:00Z",
        "kind": DetectorKind.PATCHCORE,
        "input_spec": InputSpec(
            "image", 256, 320, Resize.AREA, ColourOrder.RGB, Layout.NHWC, "uint8", region=(4, 8, 100, 80)
        ),
        "graphs": {"features": "features.onnx", "search": "search.onnx"},
        "outputs": {"patches": "patches", "distances": "distances"},
        "parameters": {"grid_height": 32.0, "grid_width": 40.0, "map_sigma_px": 4.5},
        "calibration": Calibration(Limits(1.5, 2.25), (0.1, 0.7, 1.2), 0.01, (0.2, 3.0), ("few images",)),
        "golden": (GoldenImage("golden/01-good.png", 0.7, 0.014, "PASS"),),
        "notes": {"backbone": "a file"},
    }
    return BundleDraft(**{**fields, **changes})  # type: ignore[arg-type]


def write_sample(path: Path) -> bytes:
    """Write the minimal bundle; returns its bytes."""
    write_bundle(path, make_draft(), PAYLOADS)
    return path.read_bytes()


def read_all(path: Path) -> tuple[ModelBundle, dict[str, bytes]] | None:
    """Manifest and every payload, or None where the bundle is refused with its typed error."""
    try:
        with open_bundle(path, trust="development") as bundle:
            return bundle.manifest, {name: bundle.payloads.read(name) for name in bundle.manifest.payloads}
    except BundleError:
        return None


def members_of(raw: bytes) -> list[tuple[str, bytes]]:
    """Names and contents, as Python's own tar reader sees them."""
    with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as archive:
        return [(entry.name, _content(archive, entry)) for entry in archive]


def _content(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(entry)
    assert file is not None
    return file.read()


def pack(members: Sequence[tuple[str, bytes] | tarfile.TarInfo]) -> bytes:
    """An archive with format-0 headers for pairs, and with whatever a `TarInfo` says."""
    blocks = []
    for member in members:
        if isinstance(member, tarfile.TarInfo):
            blocks.append(member.tobuf(tarfile.USTAR_FORMAT))
            continue
        name, content = member
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(content), 0o644
        blocks.append(entry.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512))
    return b"".join(blocks) + bytes(1024)


def repack(raw: bytes, old: str, new: str) -> bytes:
    """The bundle with a piece of its manifest replaced and the checksum made to fit."""
    members = members_of(raw)
    text = members[0][1].decode()
    assert old in text
    manifest = text.replace(old, new, 1).encode()
    return pack([(MANIFEST_NAME, manifest), (CHECKSUM_NAME, checksum_text(manifest)), *members[2:]])
