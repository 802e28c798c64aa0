"""What a conversion gave: a value for programs, a table for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edge_convert.tables import of_pairs

if TYPE_CHECKING:
    from rich.table import Table

    from edge_convert.convert.labelled import Labelled
    from edge_runtime.domain.model_bundle import ParityFigures


@dataclass(frozen=True, slots=True)
class ConvertReport:
    """The closing summary."""

    bundle: str
    digest: str
    size_bytes: int
    precision: str
    route: str
    kept: tuple[str, ...]
    """Operations in higher precision, and why."""
    timings_ms: dict[str, float]
    engine: str
    reference: str
    plain_figures: ParityFigures
    """Of the float32 graph on the engine that converted."""
    figures: tuple[ParityFigures, ...]
    """Of the bundle, one per engine."""
    labelled: Labelled | None
    plain_labelled: Labelled | None
    review_limit: float
    reject_limit: float
    limits_method: str
    golden: int
    allowed: tuple[str, ...]
    """Departures that --allow-loss let pass."""
    warnings: tuple[str, ...]
    seconds: float

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def table(self) -> Table:
        """For the terminal."""
        return of_pairs(self._rows())

    def _rows(self) -> list[tuple[str, str]]:
        timings = ", ".join(f"{name} {value:.1f} ms" for name, value in self.timings_ms.items())
        rows = [
            ("bundle", f"{self.bundle}  ({self.size_bytes / 1e6:.1f} MB, sha256 {self.digest[:16]}…)"),
            ("precision", f"{self.precision} by {self.route}{f' ({timings})' if timings else ''}"),
            ("reference", self.reference),
            ("parity, float32", in_words(self.plain_figures)),
            *((f"parity, {figures.engine}", in_words(figures)) for figures in self.figures),
            ("limits", f"review {self.review_limit:.4g}, reject {self.reject_limit:.4g} ({self.limits_method})"),
            ("golden images", f"{self.golden} reproduced"),
            ("effort", f"{self.seconds:.0f} s"),
        ]
        if self.labelled is not None and self.labelled.source_auroc is not None:
            text = f"source {self.labelled.source_auroc:.4f}, bundle {self.labelled.device_auroc:.4f}"
            rows.insert(5, ("image AUROC", f"{text} on {self.labelled.images} labelled images"))
        rows += [("kept in float", text) for text in self.kept]
        rows += [("allowed loss", text) for text in self.allowed]
        return rows + [("warning", warning) for warning in self.warnings]


def in_words(figures: ParityFigures) -> str:
    """One line of parity figures."""
    parts = [f"{figures.images} images", f"{figures.flips} flips"]
    if figures.flips_near_limit:
        parts.append(f"{figures.flips_near_limit} within rounding of the limit")
    for label, value, form in (
        ("good parts drift {} spreads", figures.good_drift, ".2g"),
        ("separation changes {}", figures.separation_loss, ".2%"),
        ("maps correlate {}", figures.map_correlation, ".4f"),
        ("image AUROC −{}", figures.image_auroc_loss, ".4f"),
        ("pixel AUROC −{}", figures.pixel_auroc_loss, ".4f"),
    ):
        if value is not None:
            parts.append(label.format(format(value, form)))
    return ", ".join(parts)
