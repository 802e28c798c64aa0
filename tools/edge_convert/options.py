"""What a person decides about teaching."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge_convert.arguments import check_bundle
from edge_convert.coreset import CoresetSize
from edge_convert.search_form import form_for
from edge_convert.teaching.area import AreaOptions
from edge_convert.teaching.contamination import Contamination
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import Resize

if TYPE_CHECKING:
    from pathlib import Path

    from edge_convert.search_form import WantedForm


@dataclass(frozen=True, slots=True)
class TeachOptions:
    """Arguments of `edge-convert teach`."""

    images: Path
    """Folder with images of good parts."""
    backbone: Path
    out: Path
    name: str
    version: str = "1"
    height_px: int = 256
    width_px: int = 256
    resize: Resize = Resize.AREA
    layers: tuple[str, ...] = ()
    """Outputs of the backbone; empty: those at strides 8 and 16."""
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    engine: EngineSettings = field(default_factory=EngineSettings)
    false_reject_rate: float | None = None
    """None: what the number of images supports, see `limits.usual_rate`."""
    holdout: float | None = None
    """Share of the images held out at a time; None: see `plan_folds`."""
    coreset: CoresetSize = field(default_factory=CoresetSize)
    neighbours: int = 0
    """Rows of the bank by which a score is reweighted (equation 7 of the paper); below 2: it is not."""
    search: WantedForm = "auto"
    """Form of the bank's search, see `search_form`."""
    seed: int = 0
    int8: bool = True
    golden: int = 3
    """Golden images of good parts, and as many with planted defects."""
    region: tuple[int, int, int, int] | None = None
    """x, y, width, height in frame pixels."""
    area: AreaOptions = field(default_factory=AreaOptions)
    contamination: Contamination = field(default_factory=Contamination)
    auto_size: bool = False
    """Choose the memory bank's size by accuracy against search time; `coreset` then only serves the first look."""
    max_search_ms: float | None = None
    """Longest search of a part, for `auto_size`; None: any."""
    allow_loss: bool = False
    """Write the INT8 that was chosen although it departs from float32, and state by how much."""

    def check(self) -> None:
        """Refuse at once what would fail after minutes.

        Raises:
            ConfigError: names the option and what it may be.
        """
        check_bundle(self.out, self.name, self.version, self.false_reject_rate)
        if min(self.height_px, self.width_px) < 32 or max(self.height_px, self.width_px) > 4096:  # noqa: PLR2004
            raise ConfigError(f"--size {self.height_px}x{self.width_px} is out of range", "Choose 32 to 4096 pixels.")
        if self.holdout is not None and not 0 < self.holdout <= 0.5:  # noqa: PLR2004
            raise ConfigError(f"--holdout {self.holdout} is impossible", "Choose a share above 0 and up to 0.5.")
        if self.golden < 1:
            raise ConfigError(
                "--golden 0: a bundle without golden images proves nothing, and no device runs it", "Choose at least 1."
            )
        if self.region is not None and (min(self.region[:2]) < 0 or min(self.region[2:]) < 1):
            raise ConfigError(f"--region {self.region} is impossible", "Give x,y,width,height in frame pixels.")
        self._check_sizes()
        self.area.check()

    def _check_sizes(self) -> None:
        form_for(0, 0, 0, self.neighbours, self.search)
        if not 0 < self.coreset.fraction <= 1 or not 1 <= self.coreset.minimum <= self.coreset.maximum:
            raise ConfigError(
                f"a coreset of {self.coreset.fraction} with at least {self.coreset.minimum} and at most "
                f"{self.coreset.maximum} patches is impossible",
                "Choose 0 < --coreset ≤ 1 and 1 ≤ --coreset-min ≤ --coreset-max.",
            )
        if self.max_search_ms is not None and (not self.auto_size or self.max_search_ms <= 0):
            raise ConfigError(
                f"--max-search-ms {self.max_search_ms} chooses nothing",
                "Give it above 0, together with --coreset auto.",
            )
