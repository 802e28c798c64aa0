"""A model that draws a good part anew: what it cannot draw is the defect."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from edge_runtime.detectors.merge import worst_of
from edge_runtime.detectors.port import Detection
from edge_runtime.detectors.wiring import (
    load_graph,
    require_exposures,
    require_input,
    require_output,
    whole_parameter,
)
from edge_runtime.domain.errors import BundleError, EngineError
from edge_runtime.domain.model_bundle import Layout
from edge_runtime.vision.anomaly_map import read_only, smooth
from edge_runtime.vision.prepare import prepare
from edge_runtime.vision.residual import (
    Criterion,
    Histogram,
    ResidualForm,
    criterion_value,
    entropy_histogram,
    residual_map,
    residual_of,
    usual_sign,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import InputSpec, ModelBundle, PayloadReader
    from edge_runtime.engine.port import Engine, Tensor
    from edge_runtime.vision.cutting import Inspected

_Word = TypeVar("_Word", bound=StrEnum)

_CONVERT_AGAIN: Final = "convert the bundle again"


class ReconstructionDetector:
    """Autoencoders and every other graph that answers with its input as it should have been.

    Contract: the graph of role `model` takes the image as `InputSpec` prepares it and gives `reconstruction`, of the
    same shape. The residual is the prepared image less the reconstruction, both as the network sees them (in 0…1 where
    `InputSpec` neither scales nor normalises), all channels alike.

    Score: `criterion_sign` times the criterion of the residual, see `vision.residual.Criterion`. It is NaN where any
    value of the reconstruction is not finite. Map: the absolute residual, averaged over the channels.

    Options: `criterion` (default "mse"), `residual` ("signed", the default, or "absolute").

    Parameters: `criterion_sign` (1, or −1 where low is anomalous; default −1 for the minimum of a signed residual,
    which dark defects lower, else 1), `residual_sigma_px` (Gaussian on the signed residual before all else, default 0),
    `map_sigma_px` (default 0), `entropy_low`, `entropy_high`, `entropy_bins` (the entropy's histogram; default 256 bins
    over all that an image in the stated range can differ by), `exposures` (default 1; with more, the worst exposure
    decides).
    """

    def __init__(self, bundle: ModelBundle, payloads: PayloadReader, engine: Engine) -> None:
        """Load the graph.

        Raises:
            BundleError: the graph, the output, an option or a parameter is missing or wrong.
            EngineError: the engine cannot load the graph.
        """
        self._bundle = bundle
        self._spec = bundle.input_spec
        self._criterion = _word(bundle, "criterion", Criterion, Criterion.MSE)
        self._form = _word(bundle, "residual", ResidualForm, ResidualForm.SIGNED)
        self._sign = _sign(bundle, self._criterion, self._form)
        self._histogram = _histogram(bundle, self._form)
        self._residual_sigma_px = float(bundle.parameters.get("residual_sigma_px", 0.0))
        self._map_sigma_px = float(bundle.parameters.get("map_sigma_px", 0.0))
        self._graph = load_graph(bundle, "model", payloads, engine)
        self._input = require_input(bundle, self._graph)
        self._output = require_output(bundle, "reconstruction", self._graph)

    @property
    def bundle(self) -> ModelBundle:
        """See the port."""
        return self._bundle

    def inspect(self, exposures: tuple[Exposure, ...]) -> Detection:
        """See the port."""
        require_exposures(self._bundle, exposures)
        return worst_of([self.look(exposure) for exposure in exposures])

    def look(self, exposure: Exposure, inspected: Inspected | None = None) -> Detection:
        """See `WholeDetector`; the criterion is taken of the pixels that are inspected."""
        residual = self.residual(exposure)
        cells = None if inspected is None else inspected.cells(*residual.shape[:2])
        score = self._sign * criterion_value(
            residual if cells is None else residual[cells], self._criterion, self._histogram
        )
        if not np.isfinite(residual).all():
            score = math.nan
        shown = smooth(residual_map(residual), self._map_sigma_px)
        return Detection(score, read_only(shown if cells is None else np.where(cells, shown, 0)))

    def residual(self, exposure: Exposure) -> npt.NDArray[np.float32]:
        """The residual that the criterion is taken of, H×W×C.

        Raises:
            ImageError: depth or size of the exposure does not fit the bundle.
            EngineError: the engine failed, or the reconstruction has another shape than the image.
        """
        image = prepare(exposure, self._spec)
        reconstruction = self._graph.run({self._input: image}, [self._output])[self._output]
        if reconstruction.shape != image.shape:
            raise EngineError(
                f"the reconstruction has the shape {list(reconstruction.shape)}, the image {list(image.shape)}",
                _CONVERT_AGAIN,
            )
        planes, drawn = _planes(image, self._spec), _planes(reconstruction, self._spec)
        return residual_of(planes, drawn, self._form, self._residual_sigma_px)


def _planes(values: Tensor, spec: InputSpec) -> Tensor:
    """H×W×C of a tensor with one image."""
    return np.asarray(values[0] if spec.layout is Layout.NHWC else values[0].transpose(1, 2, 0))


def _word(bundle: ModelBundle, name: str, words: type[_Word], default: _Word) -> _Word:
    text = bundle.options.get(name, default.value)
    if text not in {word.value for word in words}:
        known = ", ".join(word.value for word in words)
        raise BundleError(
            f"bundle {bundle.identity.name} states {name} = {text!r}; this runtime knows {known}",
            "update edge-runtime, or convert the bundle again",
        )
    return words(text)


def _sign(bundle: ModelBundle, criterion: Criterion, form: ResidualForm) -> float:
    sign = float(bundle.parameters.get("criterion_sign", usual_sign(criterion, form)))
    if sign not in {1.0, -1.0}:
        raise BundleError(f"bundle {bundle.identity.name} states criterion_sign = {sign}, not 1 or -1", _CONVERT_AGAIN)
    return sign


def _histogram(bundle: ModelBundle, form: ResidualForm) -> Histogram:
    usual = entropy_histogram(bundle.input_spec, form)
    low = float(bundle.parameters.get("entropy_low", usual.low))
    high = float(bundle.parameters.get("entropy_high", usual.high))
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise BundleError(
            f"bundle {bundle.identity.name} states an entropy over {low} to {high}, which is no range", _CONVERT_AGAIN
        )
    return Histogram(low, high, whole_parameter(bundle, "entropy_bins", usual.bins))
