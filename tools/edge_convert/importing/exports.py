"""What the importer knows of a model, whichever format it came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from edge_convert.importing.stated import Stated
from edge_runtime.domain.model_bundle import Fit, Resize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from edge_runtime.domain.model_bundle import InputSpec


ANOMALIB: Final = Stated(fit=Fit.STRETCH, resize=Resize.LINEAR_ANTIALIAS, keep_fractions=True, scale=1.0)
"""What anomalib does to every image unless it is told otherwise: floats in 0…1, resized with antialiasing."""

ANOMALIB_2: Final = frozenset({"pred_score", "anomaly_map"})
"""Outputs by which an export of anomalib 2.x is known."""

NORMALISED: Final = {"score": "normalised_score", "anomaly_map": "normalised_map"}
"""Role → output that the importer appends where only metadata beside the model says how raw values are normalised."""


@dataclass(frozen=True, slots=True)
class Built:
    """A graph ready for a bundle, under one reading of its preprocessing."""

    model: Any
    """Has `SerializeToString()`: an `onnx.ModelProto`, or an OpenVINO IR in one piece."""
    input_spec: InputSpec
    outputs: Mapping[str, str]
    """Role → output of the finished graph."""
    exported: Mapping[str, str]
    """Role → output as it was exported."""
    threshold: float | None
    """The source's own limit, in the units of the bundle's score; None where it states none."""
    clamped: bool
    """The source cuts its score to 0…1; the bundle does not."""
    keep_float: frozenset[str] = frozenset()
    notices: tuple[str, ...] = ()
    masked: bool = False
    """Its score is the largest value of its map, which is not cut to 0…1 then."""


class Export(Protocol):
    """A model file, read once."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def format_name(self) -> str:
        """What it was recognised as."""

    @property
    def stated(self) -> Stated:
        """What the file, and the files beside it, say of the preprocessing."""

    @property
    def resizes(self) -> bool:
        """Its graph resizes images itself."""

    @property
    def engines(self) -> tuple[str, ...]:
        """The only engines that can run it; empty: any."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything that was read."""

    def build(self, stated: Stated, named: Mapping[str, str], *, masked: bool = False) -> Built:
        """Make the graph for a bundle.

        Args:
            stated: all that is known of the preprocessing.
            named: roles and output names that a person stated.
            masked: a part of every frame is left out: the score comes from the map.

        Raises:
            ConfigError: the graph cannot be used, contradicts what is stated, or has no map for a mask to narrow.
        """

    def source(self, built: Built) -> SourceGraph:
        """The graph as it was exported, with its own resize, in its own runtime; only its score is not cut off.

        Raises:
            ConfigError: it cannot be loaded.
        """

    def finished(self, built: Built) -> SourceGraph:
        """The bundle's graph in the same runtime.

        Raises:
            ConfigError: it cannot be loaded.
        """


class SourceGraph(Protocol):
    """A graph in its own runtime, float32."""

    @property
    def description(self) -> str:
        """Runtime and version."""

    def accepts(self, shape: Sequence[int]) -> bool:
        """It takes an input of this shape."""

    def run(self, tensor: npt.NDArray[Any]) -> Mapping[str, npt.NDArray[Any]]:
        """Role → array.

        Raises:
            ConfigError: the runtime failed.
        """
