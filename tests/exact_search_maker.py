"""Searches over banks that make exactness hard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_convert.draft import PatchCoreParts
from edge_convert.features import input_spec
from edge_convert.teaching.area import Area
from edge_runtime import engine as engines
from edge_runtime.bundles.writer import MemoryPayloads, manifest_of
from edge_runtime.config.engine import EngineSettings
from edge_runtime.detectors.patchcore_search import BankSearch
from edge_runtime.detectors.search_bundle import load_search

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_runtime.detectors.search_exact import ExactSearch
    from edge_runtime.domain.model_bundle import ModelBundle
    from edge_runtime.engine.port import Engine

    Floats = npt.NDArray[np.float32]

GRID = (4, 5)
PATCHES = GRID[0] * GRID[1]


def engine_named(name: str) -> Engine:
    """One thread of it."""
    return engines.create(EngineSettings(name=name, threads=1))


def bundle_of(rows: Floats, neighbours: int = 0) -> tuple[ModelBundle, MemoryPayloads]:
    """What `edge-convert` writes for this bank, without a features graph."""
    area, created = Area(input_spec(32, 40, None)), "2026-01-01T00:00:00Z"
    parts = PatchCoreParts("part", "1", created, area, b"", *GRID, neighbours=neighbours, form="exact")
    search = parts.search(rows)
    content = parts.payloads(search)
    return manifest_of(parts.draft(search), content), MemoryPayloads(content)


def exact(rows: Floats, engine: Engine) -> ExactSearch:
    """Its search on an engine."""
    return load_search(*bundle_of(rows), engine, PATCHES)


def bank_search(rows: Floats, engine: Engine, neighbours: int = 0) -> BankSearch:
    """The same as the detector has it."""
    return BankSearch(*bundle_of(rows, neighbours), engine, PATCHES)


def hard_banks() -> dict[str, Floats]:
    """Banks by name: ties, duplicates, outliers, cancellation, numbers at both ends of float32."""
    draw = np.random.default_rng(5)
    normal = draw.normal(0, 1, (300, 24)).astype(np.float32)
    outliers = normal.copy()
    outliers[::50] *= np.float32(1e6)
    outliers[7] = 1e18
    return {
        "normal": normal,
        "duplicates": np.repeat(normal[:40], 5, axis=0),
        "whole numbers": draw.integers(-2, 3, (400, 5)).astype(np.float32),
        "one row": normal[:1],
        "one channel": draw.normal(0, 1, (200, 1)).astype(np.float32),
        "zeros": np.zeros((60, 8), dtype=np.float32),
        "outliers": outliers,
        "far from the origin": (draw.normal(0, 1e-2, (200, 16)) + 1e4).astype(np.float32),
        "denormal": (draw.normal(0, 1, (100, 8)) * 1e-40).astype(np.float32),
        "wide": draw.gamma(0.5, 1, (150, 384)).astype(np.float32),
        "wide and equal": np.ones((20, 130), dtype=np.float32),
        "wide outliers": (draw.normal(0, 1, (80, 130)) * np.where(np.arange(80) % 20, 1, 1e16)[:, None]).astype(
            np.float32
        ),
    }
