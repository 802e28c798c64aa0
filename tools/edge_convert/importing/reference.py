"""The source model's side of the comparison: its recorded answers, or the exported graph itself."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from edge_convert.importing.answers import detection_of
from edge_convert.importing.pixels import reference_tensor, resized_size
from edge_runtime.detectors.port import Detection
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import ColourOrder, Layout
from edge_runtime.vision.residual import Criterion

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from edge_convert.importing.exports import Built, Export, SourceGraph
    from edge_convert.importing.recording import Recording
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import InputSpec
    from edge_runtime.vision.cutting import Inspected

UNPROVEN: Final = (
    "parity with the trained model is unproven: no recording of its answers was given (--reference), so the exported "
    "graph itself is the reference, and what the export lost nobody can see"
)
_CLAMP: Final = (0.0, 1.0)


class GraphReference:
    """The graph as it was exported, in its own runtime, behind a preprocessing that shares no code with the device."""

    def __init__(self, export: Export, built: Built, criterion: Criterion = Criterion.MSE) -> None:
        """Remember the graph; it is loaded when it is first asked for.

        Where a recording answers for every image nobody asks, and each loaded copy of a large model takes gigabytes.
        """
        self._export = export
        self._built = built
        self._spec = built.input_spec
        self._criterion = criterion
        self._resizes = export.resizes
        self._as_exported = export.resizes and _same_resize(built.input_spec, export)

    @cached_property
    def _whole(self) -> SourceGraph:
        return self._export.source(self._built)

    @cached_property
    def _behind(self) -> SourceGraph:
        return self._export.finished(self._built)

    @property
    def description(self) -> str:
        """See `ReferenceModel`.

        Raises:
            ConfigError: the graph cannot be loaded.
        """
        return f"the exported graph itself, {self._whole.description}"

    def covers(self, path: Path | None) -> bool:
        """It has an answer for every image."""
        del path
        return True

    def inspect(self, path: Path | None, exposure: Exposure) -> Detection:
        """See `ReferenceModel`."""
        del path
        return self.look(exposure)

    def look(self, exposure: Exposure, inspected: Inspected | None = None) -> Detection:
        """One exposure, of which only `inspected` counts.

        Raises:
            ConfigError: the graph cannot take it.
        """
        graph, tensor = self._fed(exposure)
        return detection_of(graph.run(tensor), tensor, self._spec, self._criterion, inspected)

    def _fed(self, exposure: Exposure) -> tuple[SourceGraph, npt.NDArray[Any]]:
        """The graph to ask and its input: the frame itself, where the graph resizes it as the bundle is to."""
        spec = self._spec
        if not self._resizes:
            return self._whole, reference_tensor(exposure, spec)
        width, height = (spec.region or (0, 0, exposure.shape[1], exposure.shape[0]))[2:]
        sizes = [(height, width)] if self._as_exported else []
        for rows, columns in (*sizes, resized_size(spec, height, width)):
            whole = replace(spec, height_px=rows, width_px=columns, resized_px=(rows, columns))
            if self._whole.accepts(_shape(whole)):
                return self._whole, reference_tensor(exposure, whole)
        return self._behind, reference_tensor(exposure, spec)


class RecordedReference:
    """Answers recorded in the source framework.

    A recorded score of exactly 0 or 1 that was cut off there says only "at most 0" or "at least 1". Where the exported
    graph's own score before the cut lies on that side, it stands in; where it does not, the recorded one is kept,
    and the departure shows.
    """

    def __init__(self, recording: Recording, *, clamped: bool, beyond: GraphReference) -> None:
        self._recording = recording
        self._clamped = clamped
        self._beyond = beyond
        self.description = recording.source

    def covers(self, path: Path | None) -> bool:
        """See `ReferenceModel`."""
        return path is not None and self._recording.of(path) is not None

    def inspect(self, path: Path | None, exposure: Exposure) -> Detection:
        """See `ReferenceModel`."""
        found = None if path is None else self._recording.of(path)
        if found is None:
            raise ConfigError(f"the recorded reference has no answer for {path}", "Record it for this image as well.")
        score = found.score if found.unclamped is None else found.unclamped
        if found.unclamped is None and self._clamped and score in _CLAMP:
            graph = self._beyond.inspect(path, exposure).score
            score = graph if (graph <= score if score == _CLAMP[0] else graph >= score) else score
        return Detection(score, self._recording.anomaly_map(found))


def saturated(recording: Recording) -> int:
    """How many recorded scores were cut off."""
    return sum(image.unclamped is None and image.score in _CLAMP for image in recording.images.values())


def _same_resize(spec: InputSpec, export: Export) -> bool:
    stated = export.stated
    return (
        spec.resize is stated.resize
        and spec.fit is stated.fit
        and spec.keep_fractions == bool(stated.keep_fractions)
        and (spec.resized_px or (spec.height_px, spec.width_px)) == stated.resized_px
    )


def _shape(spec: InputSpec) -> tuple[int, ...]:
    channels = 1 if spec.colour is ColourOrder.MONO else 3
    size = (spec.height_px, spec.width_px)
    return (1, channels, *size) if spec.layout is Layout.NCHW else (1, *size, channels)
