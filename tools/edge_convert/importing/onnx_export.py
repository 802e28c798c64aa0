"""An ONNX export: recognised, its preprocessing and post-processing read, and its graph made ready for a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_convert.importing import graph as graphs
from edge_convert.importing.exports import ANOMALIB, ANOMALIB_2, NORMALISED, Built
from edge_convert.importing.head import Head, cut_head, read_head
from edge_convert.importing.metadata import FILE_NAME, Metadata, read_metadata
from edge_convert.importing.roles import choose_roles, scored, without_score
from edge_convert.importing.source_graph import OnnxSource
from edge_convert.importing.stated import Stated, complete, image_shape
from edge_convert.importing.tail import NORMALISED_THRESHOLD, Tail, settle_wheres, threshold_of, unclamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from edge_convert.importing.metadata import Normalisation
    from edge_runtime.domain.model_bundle import InputSpec


_FIRST, _SECOND = "edge_convert/first", "edge_convert/second"
"""Bounds of a slice; no exporter writes such names."""


@dataclass(frozen=True, slots=True)
class OnnxExport:
    """An ONNX file, read once."""

    path: Path
    model: Any
    head: Head | None
    metadata: Metadata | None
    format_name: str
    files: tuple[Path, ...]
    engines: tuple[str, ...] = ()

    @property
    def stated(self) -> Stated:
        """See `Export`."""
        found = self.head.stated if self.head is not None else Stated()
        if self.metadata is not None:
            found = self.metadata.stated.over(found)
        return found if self.format_name == "ONNX" else found.over(ANOMALIB)

    @property
    def resizes(self) -> bool:
        """See `Export`."""
        return self.head is not None

    def build(self, stated: Stated, named: Mapping[str, str], *, masked: bool = False) -> Built:
        """See `Export`."""
        entry = graphs.image_input(self.model)
        model = self.model
        if self.head is not None:
            model = cut_head(model, entry.dimensions[1] or 3, self.head)
        spec, assumed = complete(stated, graphs.image_input(model))
        if self.head is None:
            model = graphs.folded(graphs.fixed(model, (entry.dimensions[0] or 1, *image_shape(spec))))
        _take_float32(model)
        exported = choose_roles(_outputs(model, spec), named)
        if masked:
            exported = without_score(exported)
        threshold, clamped, notices = self._post_processing(model, exported, masked=masked)
        outputs = self._final(exported, masked=masked)
        _finish(model, outputs.values())
        return Built(
            model=onnx.shape_inference.infer_shapes(model),
            input_spec=spec,
            outputs=outputs,
            exported=exported,
            threshold=threshold,
            clamped=clamped,
            keep_float=outer_nodes(model, spec.tensor),
            notices=(*assumed, *notices),
            masked=masked,
        )

    def source(self, built: Built) -> OnnxSource:
        """See `Export`."""
        sides = graphs.image_input(self.model).dimensions
        model = graphs.folded(graphs.fixed(self.model, (sides[0] or 1, *sides[1:])))
        _take_float32(model)
        self._post_processing(model, built.exported, masked=built.masked)
        _finish(model, built.outputs.values())
        return OnnxSource(model, built.outputs)

    def finished(self, built: Built) -> OnnxSource:
        """See `Export`."""
        return OnnxSource(built.model, built.outputs)

    def _final(self, exported: Mapping[str, str], *, masked: bool) -> dict[str, str]:
        """Role → output behind what `_post_processing` appends."""
        found = dict(exported)
        if self._normalisation("score") is None or "reconstruction" in exported:
            return found
        if not masked:
            found["score"] = NORMALISED["score"]
        if "anomaly_map" in exported and self._normalisation("anomaly_map") is not None:
            found["anomaly_map"] = NORMALISED["anomaly_map"]
        return found

    def _normalisation(self, role: str) -> Normalisation | None:
        """How the metadata beside the model says that raw values become anomalib's final ones."""
        if self.metadata is None or self.metadata.score is None:
            return None
        return self.metadata.score if role == "score" else self.metadata.anomaly_map

    def _post_processing(
        self, model: Any, exported: Mapping[str, str], *, masked: bool
    ) -> tuple[float | None, bool, tuple[str, ...]]:
        """Un-clamp, normalise and reduce to one image, in place.

        Returns:
            The source's own limit in the score's units, whether the score was clamped, and notices.
        """
        score = scored(exported, masked=masked)
        label = threshold_of(model, score) if score is not None else None
        settle_wheres(model)
        tail = unclamp(model, score) if score is not None else Tail(clamped=False, normalisation=None)
        notices = _one_image(model)
        threshold, clamped = None, tail.clamped
        if "reconstruction" in exported:
            return None, False, notices
        if self._normalisation("score") is not None:
            _normalise(model, exported, self._normalisation, masked=masked)
            threshold, clamped = NORMALISED_THRESHOLD, True
        elif self.metadata is not None and self.metadata.threshold is not None:
            threshold = self.metadata.threshold
        elif tail.normalisation is not None:
            threshold = NORMALISED_THRESHOLD if label is None else label
        return threshold, clamped, notices


def open_onnx(path: Path, metadata: Path | None) -> OnnxExport:
    """Read an ONNX file and what lies beside it.

    Args:
        path: the file.
        metadata: anomalib's metadata; None: `metadata.json` beside the model, if it is there.

    Raises:
        ConfigError: unreadable, not ONNX, or without exactly one image input.
    """
    model = graphs.read_model(path)
    entry = graphs.image_input(model)
    beside = metadata or path.with_name(FILE_NAME)
    found = read_metadata(beside) if metadata is not None or beside.is_file() else None
    channels = entry.dimensions[1] if len(entry.dimensions) == 4 else None  # noqa: PLR2004  (an image batch)
    head = read_head(model, channels) if channels in {1, 3} and entry.dtype == "float32" else None
    names = {output.name for output in model.graph.output}
    if names & ANOMALIB_2:
        format_name = "anomalib 2.x, ONNX"
    elif found is not None:
        format_name = "anomalib 1.x, ONNX"
    else:
        format_name = "ONNX"
    data = path.with_name(path.name + ".data")
    files = tuple(file for file in (path, data, beside) if file.is_file())
    return OnnxExport(path, model, head, found, format_name, files)


def _normalise(
    model: Any,
    outputs: Mapping[str, str],
    normalisation_of: Callable[[str], Normalisation | None],
    *,
    masked: bool,
) -> None:
    """Append anomalib's own arithmetic, without the cut; a missing score is the largest value of the raw map."""
    sources = dict(outputs)
    if "score" not in sources and not masked:
        model.graph.node.append(
            helper.make_node("ReduceMax", [sources["anomaly_map"]], ["largest_of_map"], "largest_of_map", keepdims=0)
        )
        sources["score"] = "largest_of_map"
    for role, source in sources.items():
        found = normalisation_of(role)
        if found is None:
            continue
        name = NORMALISED[role]
        numbers = {"threshold": found.threshold, "width": found.width, "half": NORMALISED_THRESHOLD}
        model.graph.initializer.extend(
            numpy_helper.from_array(np.float32(value), f"{name}_{key}") for key, value in numbers.items()
        )
        model.graph.node.extend(
            [
                helper.make_node("Sub", [source, f"{name}_threshold"], [f"{name}_above"], f"{name}_sub"),
                helper.make_node("Div", [f"{name}_above", f"{name}_width"], [f"{name}_share"], f"{name}_div"),
                helper.make_node("Add", [f"{name}_share", f"{name}_half"], [name], f"{name}_add"),
            ]
        )
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))


def _outputs(model: Any, spec: InputSpec) -> tuple[graphs.OutputInfo, ...]:
    """The outputs for one image."""
    trial = type(model)()
    trial.CopyFrom(model)
    _one_image(trial)
    return graphs.outputs_of(trial, np.zeros((1, *image_shape(spec)), spec.dtype))


def _take_float32(model: Any) -> None:
    """A half or double precision input is converted inside the graph."""
    entry = next(item for item in model.graph.input if item.name == graphs.image_input(model).name)
    given = entry.type.tensor_type.elem_type
    if given not in {TensorProto.FLOAT16, TensorProto.DOUBLE}:
        return
    inner = f"{entry.name}_converted"
    graphs.rename_uses(model, entry.name, inner)
    model.graph.node.insert(0, helper.make_node("Cast", [entry.name], [inner], "convert_input", to=given))
    entry.type.tensor_type.elem_type = TensorProto.FLOAT


def _one_image(model: Any) -> tuple[str, ...]:
    """A graph with a fixed batch of several takes one image as all of them, and answers for the first, in place."""
    name = graphs.image_input(model).name
    entry = next(item for item in model.graph.input if item.name == name)
    side = entry.type.tensor_type.shape.dim[0]
    batch = side.dim_value
    if batch <= 1:
        return ()
    side.dim_value = 1
    graphs.rename_uses(model, name, f"{name}_batch")
    model.graph.node.insert(0, helper.make_node("Concat", [name] * batch, [f"{name}_batch"], "fill_batch", axis=0))
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
        whole = f"{output.name}_of_all"
        graphs.rename_uses(model, output.name, whole)
        for node in model.graph.node:
            for index, made in enumerate(node.output):
                if made == output.name:
                    node.output[index] = whole
        model.graph.node.append(helper.make_node("Slice", [whole, _FIRST, _SECOND, _FIRST], [output.name]))
    model.graph.initializer.extend(
        [numpy_helper.from_array(np.array([0]), _FIRST), numpy_helper.from_array(np.array([1]), _SECOND)]
    )
    notice = (
        f"the graph was exported for a batch of {batch}, so it computes every image {batch} times: exported for a "
        "batch of one it would be faster"
    )
    return (notice,)


def _finish(model: Any, outputs: Iterable[str]) -> None:
    """Leave only what the bundle needs, every node with a name of its own, in place."""
    graphs.only_outputs(model, outputs)
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    names: set[str] = set()
    for index, node in enumerate(model.graph.node):
        if not node.name or node.name in names:
            node.name = f"{index:04d}_{node.op_type}"
        names.add(node.name)


def outer_nodes(model: Any, tensor: str) -> frozenset[str]:
    """Nodes before the first and behind the last layer that computes: they normalise, and stay in float."""
    before: set[str] = set()
    reached = {tensor}
    for node in model.graph.node:
        if reached & set(node.input) and node.op_type not in graphs.COMPUTING:
            before.add(node.name)
            reached.update(node.output)
    behind: set[str] = set()
    needed = {output.name for output in model.graph.output}
    for node in reversed(model.graph.node):
        if needed & set(node.output) and node.op_type not in graphs.COMPUTING:
            behind.add(node.name)
            needed.update(node.input)
    return frozenset((before | behind) - {""})
