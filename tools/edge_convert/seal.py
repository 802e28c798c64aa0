"""Writing a finished bundle only after it has proved itself as the daemon would run it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from edge_runtime import engine
from edge_runtime.app.inspection import load_inspector
from edge_runtime.bundles.selftest import golden_self_test
from edge_runtime.bundles.writer import write_bundle
from edge_runtime.domain.errors import BundleError, EngineError
from edge_runtime.ops.durable import replace_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge_runtime.bundles.writer import BundleDraft
    from edge_runtime.config.engine import EngineSettings
    from edge_runtime.engine.port import Engine


def other_engines(settings: EngineSettings, used: str) -> list[Engine]:
    """The engines of this machine besides the one in use, on their default device."""
    found: list[Engine] = []
    for name in ("onnxruntime", "openvino"):
        if name != used:
            plain = settings.model_copy(update={"name": name, "provider": "cpu", "device": "CPU", "precision": "f32"})
            with contextlib.suppress(EngineError):
                found.append(engine.create(plain))
    return found


def seal(path: Path, draft: BundleDraft, payloads: Mapping[str, bytes], settings: EngineSettings) -> str:
    """Write the bundle beside its place, open it as the daemon does, run its golden images, and put it in place.

    Returns:
        The bundle's digest.

    Raises:
        BundleError: it cannot be written, or does not reproduce its golden images; what was at `path` stays.
    """
    unproven = path.with_name(f".{path.name}.unproven")
    try:
        digest = write_bundle(unproven, draft, payloads)
        with load_inspector(unproven, settings, "development") as inspector:
            report = golden_self_test(inspector.detector, inspector.bundle, inspector.payloads)
        if not report.passed:
            raise BundleError(
                f"the bundle does not reproduce its own golden images: {report.summary}",
                "Make it again with --engine onnxruntime or in float32 (teach: --no-int8; import, train: --precision "
                "fp32), and report this.",
            )
        replace_file(unproven, path)
    finally:
        unproven.unlink(missing_ok=True)
    return digest
