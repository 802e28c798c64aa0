"""An OpenVINO IR: recognised and made ready for a bundle that only OpenVINO can run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge_convert.importing import ir_graph as ir
from edge_convert.importing.exports import ANOMALIB, ANOMALIB_2, NORMALISED, Built
from edge_convert.importing.graph import OutputInfo
from edge_convert.importing.ir_head import cut_head, read_head
from edge_convert.importing.ir_source import IrModel, IrSource
from edge_convert.importing.metadata import FILE_NAME, Metadata, read_metadata
from edge_convert.importing.roles import choose_roles, scored, without_score
from edge_convert.importing.stated import GraphInput, Stated, complete, image_shape
from edge_convert.importing.tail import NORMALISED_THRESHOLD, Tail
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge_convert.importing.head import Head
    from edge_convert.importing.metadata import Normalisation
    from edge_runtime.domain.model_bundle import InputSpec

_DTYPES: Final = {"f32": "float32", "u8": "uint8"}


@dataclass(frozen=True, slots=True)
class OpenVinoExport:
    """An IR, read once; see `Export`."""

    path: Path
    model: Any
    head: Head | None
    metadata: Metadata | None
    format_name: str
    files: tuple[Path, ...]
    engines: tuple[str, ...] = ("openvino",)

    @property
    def stated(self) -> Stated:
        """See `Export`."""
        found = self.head.stated if self.head is not None else Stated()
        if self.metadata is not None:
            found = self.metadata.stated.over(found)
        return found if self.format_name == "OpenVINO IR" else found.over(ANOMALIB)

    @property
    def resizes(self) -> bool:
        """See `Export`."""
        return self.head is not None

    def build(self, stated: Stated, named: Mapping[str, str], *, masked: bool = False) -> Built:
        """See `Export`."""
        model = self.model if self.head is None else cut_head(self.model, self.head)
        spec, assumed = complete(stated, _input(model))
        if self.head is None:
            batch = ir.shape_of(model.inputs[0])[0] or 1
            model = ir.reshaped(model, (batch, *image_shape(spec)))
        batch = ir.shape_of(model.inputs[0])[0] or 1
        exported = choose_roles(_outputs(model, spec), named)
        if masked:
            exported = without_score(exported)
        model, outputs, threshold, clamped = self._post_processing(model, exported, masked=masked)
        notices = (f"the model was exported for a batch of {batch}: it computes every image {batch} times",)
        return Built(
            model=IrModel(model),
            input_spec=spec,
            outputs=outputs,
            exported=exported,
            threshold=threshold,
            clamped=clamped,
            masked=masked,
            notices=(*assumed, *(notices if batch > 1 else ())),
        )

    def source(self, built: Built) -> IrSource:
        """See `Export`."""
        shape = ir.shape_of(self.model.inputs[0])
        model = ir.reshaped(self.model, (shape[0] or 1, *shape[1:]))
        model, outputs, _, _ = self._post_processing(model, built.exported, masked=built.masked)
        return IrSource(model, outputs)

    def finished(self, built: Built) -> IrSource:
        """See `Export`."""
        return IrSource(built.model.model, built.outputs)

    def _post_processing(
        self, model: Any, exported: Mapping[str, str], *, masked: bool
    ) -> tuple[Any, dict[str, str], float | None, bool]:
        """The model for one image with un-clamped, normalised outputs; their names; threshold; was it clamped."""
        copy = model.clone()
        score = scored(exported, masked=masked)
        tail = Tail(clamped=False, normalisation=None)
        if score is not None:
            ir.settle_selects(copy)
            tail = ir.unclamp(copy, score)
        copy = ir.one_image(copy, list(exported.values()))
        found = self._normalisations(exported, masked=masked)
        if found:
            copy = ir.normalise(copy, exported, found, NORMALISED)
            outputs = {**exported, **{role: NORMALISED[role] for role in found}}
            return ir.one_image(copy, list(outputs.values())), outputs, NORMALISED_THRESHOLD, True
        threshold = None if self.metadata is None else self.metadata.threshold
        if threshold is None and tail.normalisation is not None:
            threshold = NORMALISED_THRESHOLD
        return copy, dict(exported), threshold, tail.clamped

    def _normalisations(self, exported: Mapping[str, str], *, masked: bool) -> dict[str, Normalisation]:
        if self.metadata is None or self.metadata.score is None or "reconstruction" in exported:
            return {}
        found = {} if masked else {"score": self.metadata.score}
        if self.metadata.anomaly_map is not None and "anomaly_map" in exported:
            found["anomaly_map"] = self.metadata.anomaly_map
        return found


def open_ir(path: Path, metadata: Path | None) -> OpenVinoExport:
    """Read an IR and what lies beside it.

    Raises:
        ConfigError: unreadable, or without exactly one image input.
        EngineError: OpenVINO is not installed.
    """
    model = ir.read_ir(path)
    entry = _input(model)
    beside = metadata or path.with_name(FILE_NAME)
    found = read_metadata(beside) if metadata is not None or beside.is_file() else None
    channels = entry.dimensions[1] if len(entry.dimensions) == 4 else None  # noqa: PLR2004  (an image batch)
    head = read_head(model) if channels in {1, 3} and entry.dtype == "float32" else None
    names = {name for output in model.outputs for name in output.get_names()}
    kind = "OpenVINO IR"
    if names & ANOMALIB_2:
        kind = "anomalib 2.x, OpenVINO IR"
    elif found is not None:
        kind = "anomalib 1.x, OpenVINO IR"
    files = tuple(file for file in (path, path.with_suffix(".bin"), beside) if file.is_file())
    return OpenVinoExport(path, model, head, found, kind, files)


def _input(model: Any) -> GraphInput:
    if len(model.inputs) != 1:
        raise ConfigError(f"the model has {len(model.inputs)} inputs", "Export a model whose one input is the image.")
    port = model.inputs[0]
    dtype = port.get_element_type().get_type_name()
    return GraphInput(min(port.get_names()), ir.shape_of(port), _DTYPES.get(dtype, dtype))


def _outputs(model: Any, spec: InputSpec) -> tuple[OutputInfo, ...]:
    """The outputs for one image."""
    names = [min(output.get_names()) for output in model.outputs]
    single = ir.one_image(model.clone(), names)
    found = IrSource(single, {name: name for name in names}).run(np.zeros((1, *image_shape(spec)), spec.dtype))
    return tuple(OutputInfo(name, values.shape, values.dtype.name) for name, values in found.items())
