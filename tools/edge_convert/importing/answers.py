"""From a graph's outputs to a score and a map, by the definitions: the reference's side of `edge_runtime.detectors`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.detectors.port import Detection
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import Layout
from edge_runtime.vision.residual import (
    ResidualForm,
    criterion_value,
    entropy_histogram,
    residual_map,
    residual_of,
    usual_sign,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from edge_runtime.domain.model_bundle import InputSpec
    from edge_runtime.vision.cutting import Inspected
    from edge_runtime.vision.residual import Criterion


def detection_of(
    found: Mapping[str, npt.NDArray[Any]],
    tensor: npt.NDArray[Any],
    spec: InputSpec,
    criterion: Criterion,
    inspected: Inspected | None = None,
) -> Detection:
    """The answer for one image.

    Args:
        found: role → array.
        tensor: what was fed, for a reconstruction's residual.
        spec: of the tensor: its layout, and its range for the entropy of a residual.
        criterion: of the residual; only a reconstruction needs it.
        inspected: what counts for the score, the map being 0 elsewhere; None: all of it, by the graph's own score.

    Raises:
        ConfigError: neither map, score nor reconstruction is among the outputs.
    """
    if "reconstruction" in found:
        image, drawn = (_last(np.asarray(values), spec.layout) for values in (tensor, found["reconstruction"]))
        residual = residual_of(image, drawn, ResidualForm.SIGNED)
        sign = usual_sign(criterion, ResidualForm.SIGNED)
        histogram = entropy_histogram(spec, ResidualForm.SIGNED)
        cells = _cells(inspected, residual.shape)
        return Detection(
            sign * criterion_value(residual[cells], criterion, histogram), _shown(residual_map(residual), cells)
        )
    anomaly_map = None
    if "anomaly_map" in found:
        values = np.asarray(found["anomaly_map"], dtype=np.float32)
        anomaly_map = np.ascontiguousarray(values.reshape(values.shape[-2:]))
    if "score" in found and inspected is None:
        return Detection(float(np.asarray(found["score"]).reshape(())), anomaly_map)
    if anomaly_map is None:
        raise ConfigError("the graph gives neither map, score nor reconstruction", "Name its outputs with --output.")
    cells = _cells(inspected, anomaly_map.shape)
    return Detection(float(np.max(anomaly_map[cells])), _shown(anomaly_map, cells))


def _cells(inspected: Inspected | None, shape: tuple[int, ...]) -> Any:
    return ... if inspected is None else inspected.cells(shape[0], shape[1])


def _shown(anomaly_map: npt.NDArray[Any], cells: Any) -> npt.NDArray[Any]:
    return anomaly_map if cells is ... else np.where(cells, anomaly_map, np.float32(0))


def _last(values: npt.NDArray[Any], layout: Layout) -> npt.NDArray[Any]:
    """H×W×C of a batch of one."""
    return np.asarray(values[0].transpose(1, 2, 0) if layout is Layout.NCHW else values[0])
