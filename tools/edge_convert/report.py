"""What teaching gave: a value for programs, a table for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edge_convert.convert.report import in_words
from edge_convert.tables import of_pairs

if TYPE_CHECKING:
    from rich.table import Table

    from edge_convert.precision.probe_parity import Parity
    from edge_convert.teaching.bank_size import SizeTrial
    from edge_convert.teaching.contamination import Suspect
    from edge_runtime.domain.model_bundle import ParityFigures


@dataclass(frozen=True, slots=True)
class TeachReport:
    """The closing summary."""

    bundle: str
    digest: str
    size_bytes: int
    images: int
    input_px: tuple[int, int]
    """Height, width."""
    layers: tuple[str, ...]
    bank: int
    """Patches in the memory bank."""
    channels: int
    search: str
    """"exact" or "graph"."""
    precision: str
    parity: Parity | None
    fp32_ms: float | None
    int8_ms: float | None
    engine: str
    review_limit: float
    reject_limit: float
    limits_method: str
    false_reject_rate: float
    held_out: int
    golden: int
    engine_drift: float | None
    figures: tuple[ParityFigures, ...]
    """Against the float32 source; the engine that taught first."""
    allowed: tuple[str, ...]
    """How it departs from its source all the same (`--allow-loss`)."""
    bank_sizes: tuple[SizeTrial, ...]
    """Sizes of the memory bank that were tried, ascending; empty where the size was given."""
    left_out: tuple[Suspect, ...]
    """Images that were taken for not good."""
    warnings: tuple[str, ...]
    seconds: float
    peak_rss_mb: int

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def table(self) -> Table:
        """For the terminal."""
        return of_pairs(self._rows())

    def _rows(self) -> list[tuple[str, str]]:
        rows = [
            ("bundle", f"{self.bundle}  ({self.size_bytes / 1e6:.1f} MB, sha256 {self.digest[:16]}…)"),
            ("images", f"{self.images} good, inspected at {self.input_px[1]}×{self.input_px[0]}"),
            ("memory bank", f"{self.bank} patches × {self.channels} from {' + '.join(self.layers)}"),
            ("its search", self.search),
            *(("bank size tried", f"{trial}, search {trial.search_ms:.1f} ms") for trial in self.bank_sizes),
            ("backbone", self._precision()),
            ("engine", self.engine),
            ("limits", f"review {self.review_limit:.4f}, reject {self.reject_limit:.4f} ({self.limits_method})"),
            (
                "false rejects",
                f"{self.false_reject_rate:.2%} of good parts above review, from {self.held_out} held out",
            ),
            *((f"against float32, {figures.engine}", in_words(figures)) for figures in self.figures),
            ("golden images", f"{self.golden} reproduced; {self._drift()}"),
            ("effort", f"{self.seconds:.0f} s, peak memory {self.peak_rss_mb} MB"),
        ]
        return rows + [("warning", warning) for warning in self.warnings]

    def _drift(self) -> str:
        if self.engine_drift is None:
            return "not compared with another engine"
        return f"engines differ by at most {self.engine_drift:.2%}"

    def _precision(self) -> str:
        if self.parity is None or self.fp32_ms is None or self.int8_ms is None:
            return self.precision
        return f"{self.precision} (INT8 {self.int8_ms:.1f} ms, float32 {self.fp32_ms:.1f} ms per image; {self.parity})"
