"""From the parts of a PatchCore bundle to its draft, written or still in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_convert.bank_search import search_of
from edge_convert.graphs import PATCHES
from edge_runtime import detectors
from edge_runtime.bundles.writer import BundleDraft, MemoryPayloads, manifest_of
from edge_runtime.detectors.patchcore import PatchCoreDetector
from edge_runtime.detectors.tiled import TiledDetector, without_area
from edge_runtime.domain.model_bundle import Calibration, DetectorKind, Requires
from edge_runtime.domain.verdict import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from edge_convert.exact_search import SearchPayloads
    from edge_convert.search_form import WantedForm
    from edge_convert.teaching.area import Area
    from edge_runtime.detectors.port import Detector
    from edge_runtime.domain.model_bundle import GoldenImage, InputSpec, Reference
    from edge_runtime.engine.port import Engine

FEATURES_PAYLOAD: Final = "features.onnx"

_MAP_SIGMA_PX_AT_256: Final = 4.0
"""arXiv 2106.08265, section 3.3, for its input size; kept in proportion to ours."""

UNCALIBRATED: Final = Calibration(
    limits=Limits(review=0.0, reject=0.0), good_scores=(), false_reject_rate=0.0, map_range=(0.0, 1.0)
)


@dataclass(frozen=True, slots=True)
class PatchCoreParts:
    """What does not change while banks, limits and golden images are still being made."""

    name: str
    version: str
    created: str
    area: Area
    features: bytes
    grid_height: int
    grid_width: int
    neighbours: int = 0
    """Rows of the bank by which a score is reweighted; below 2: it is not."""
    form: WantedForm = "auto"
    """Of the search."""

    def search(self, rows: npt.NDArray[np.float32]) -> SearchPayloads:
        """The search of a bank (M×C), in the form that suits its size or that was asked for."""
        return search_of(rows, self.grid_height * self.grid_width, self.neighbours, self.form)

    @property
    def input_spec(self) -> InputSpec:
        """How a frame reaches the features graph."""
        return self.area.spec

    def draft(
        self,
        search: SearchPayloads,
        calibration: Calibration = UNCALIBRATED,
        golden: tuple[GoldenImage, ...] = (),
        notes: Mapping[str, str] | None = None,
        engines: tuple[str, ...] = (),
        reference: Reference | None = None,
    ) -> BundleDraft:
        """A draft of the manifest; `engines` are those that the bundle is bound to, empty for any."""
        shorter = min(self.input_spec.height_px, self.input_spec.width_px)
        return BundleDraft(
            name=self.name,
            version=self.version,
            created=self.created,
            kind=DetectorKind.PATCHCORE,
            input_spec=self.input_spec,
            graphs={"features": FEATURES_PAYLOAD, **search.graphs},
            outputs={"patches": PATCHES, **search.outputs},
            parameters={
                **search.parameters,
                "grid_height": float(self.grid_height),
                "grid_width": float(self.grid_width),
                "map_sigma_px": _MAP_SIGMA_PX_AT_256 * shorter / 256,
            },
            calibration=calibration,
            golden=golden,
            requires=Requires(runtime="0.2.0", engines=engines),
            notes=notes or {},
            reference=reference,
        )

    def payloads(self, search: SearchPayloads) -> dict[str, bytes]:
        """Features graph and search under their names, and the mask if there is one."""
        return {FEATURES_PAYLOAD: self.features, **search.payloads, **self.area.payloads}

    def detector(self, search: SearchPayloads, engine: Engine) -> Detector:
        """The daemon's own detector on these graphs."""
        payloads = self.payloads(search)
        return detectors.create(manifest_of(self.draft(search), payloads), MemoryPayloads(payloads), engine)

    def viewer(self, search: SearchPayloads, engine: Engine) -> TiledDetector:
        """The same detector, which can also be told where a turned image shows anything."""
        content = self.payloads(search)
        payloads, manifest = MemoryPayloads(content), manifest_of(self.draft(search), content)
        whole = PatchCoreDetector(without_area(manifest), payloads, engine)
        return TiledDetector(manifest, whole, payloads)
