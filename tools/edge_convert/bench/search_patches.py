"""Patches and banks to search: a bundle's own, or drawn ones of any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.bank_search import GRAPH_ROLE
from edge_convert.exact_search import read_rows
from edge_convert.features import FeatureExtractor
from edge_convert.images import survey
from edge_convert.search_graph import read_bank
from edge_runtime import engine as engines
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import DetectorKind

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from edge_runtime.config.engine import EngineSettings
    from edge_runtime.domain.model_bundle import ModelBundle, PayloadReader

    Floats = npt.NDArray[np.float32]

_LATENT: Final = 12
_NOISE: Final = 0.04
_DEFECT_SHARE: Final = 0.02


@dataclass(frozen=True, slots=True)
class SearchCase:
    """A bank, and what is looked for in it."""

    name: str
    rows: Floats
    """M×C."""
    pictures: tuple[Floats, ...]
    """P×C each."""


def drawn(bank: int, channels: int, patches: int, pictures: int, seed: int = 1) -> SearchCase:
    """Patches that vary as those of a real part do: each place has its own look, and varies in few ways.

    Every other picture has a defect: a few patches beyond what the bank holds.
    """
    draw = np.random.default_rng(seed)
    ways = draw.normal(0, 1, (_LATENT, channels)) / _LATENT**0.5
    places = draw.normal(0, 1, (patches, _LATENT)) @ ways

    def picture() -> npt.NDArray[np.float64]:
        varied = places + draw.normal(0, 0.6, (patches, _LATENT)) @ ways
        return varied + draw.normal(0, _NOISE, varied.shape)

    taken = -(-bank // patches)
    rows = np.concatenate([picture() for _ in range(taken)])
    rows = np.maximum(rows[draw.permutation(len(rows))[:bank]], 0).astype(np.float32)
    shown = []
    for number in range(pictures):
        one = picture()
        if number % 2:
            one[draw.choice(patches, max(1, round(patches * _DEFECT_SHARE)))] += draw.normal(0, 1.0, channels)
        shown.append(np.maximum(one, 0).astype(np.float32))
    return SearchCase(f"drawn, {bank}×{channels}", rows, tuple(shown))


def _rows(manifest: ModelBundle, payloads: PayloadReader) -> Floats:
    """The bank in either form."""
    if "bank" in manifest.graphs:
        return read_rows(payloads.read(manifest.graphs["bank"]))
    return read_bank(payloads.read(manifest.graphs[GRAPH_ROLE])).rows


def of_bundle(bundle: Path, images: Path, settings: EngineSettings, most: int) -> SearchCase:
    """A bundle's bank, and patches of pictures in a folder.

    Raises:
        ConfigError: no PatchCore bundle, one with a mask, or no picture.
        BundleError: the bundle cannot be read, or its search graph holds no bank that `teach` made.
        EngineError: the engine failed.
        ImageError: a picture does not fit.
    """
    with open_bundle(bundle, trust="development") as opened:
        manifest, payloads = opened.manifest, opened.payloads
        spec = manifest.input_spec
        if manifest.kind is not DetectorKind.PATCHCORE or spec.mask is not None:
            raise ConfigError(f"{bundle} is no PatchCore bundle without a mask", "Name one that `teach` made.")
        rows = _rows(manifest, payloads)
        features = engines.create(settings).load(payloads.read(manifest.graphs["features"]))
    extractor = FeatureExtractor(features, spec)
    found = survey(images)
    if not found.files:
        raise ConfigError(f"{images} holds no picture", "Name a folder with pictures.")
    patches = int(manifest.parameters["grid_height"] * manifest.parameters["grid_width"])
    shown = tuple(extractor.patches(found.load(number))[:patches] for number in range(min(most, len(found.files))))
    return SearchCase(f"{bundle.name}, {len(rows)}×{rows.shape[1]}", rows, shown)
