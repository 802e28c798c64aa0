"""The NNCF route: INT8 as OpenVINO's own compressor makes it, still an ONNX graph in QDQ form."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import logging
import sys
from typing import TYPE_CHECKING, Any, Final

from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge_convert.precision.choice import Route
    from edge_convert.precision.routes import FloatGraph
    from edge_runtime.engine.port import Tensor

_TELEMETRY: Final = "openvino_telemetry"


def is_installed() -> bool:
    """True if the package is there."""
    return importlib.util.find_spec("nncf") is not None


def _import() -> Any:
    """The module, without its telemetry: it would report each use over the network.

    Raises:
        ConfigError: not installed, or broken.
    """
    hide = "nncf" not in sys.modules and _TELEMETRY not in sys.modules
    if hide:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # Python's own way to say "not importable"
    try:
        module = importlib.import_module("nncf")
    except ImportError as error:
        raise ConfigError(f"NNCF cannot be imported ({error})", "Install it: pip install nncf") from error
    finally:
        if hide:
            del sys.modules[_TELEMETRY]
    return module


class _Pass:
    """Each iteration is a fresh pass over the images; none is kept."""

    def __init__(self, images: Callable[[], Iterator[Tensor]]) -> None:
        self._images = images

    def __iter__(self) -> Iterator[Tensor]:
        return self._images()


class NncfQuantizer:
    """Plain minimum and maximum as on the other route: NNCF's defaults clip exactly the anomalies.

    NNCF moves the biases of convolutions so that their mean error on the calibration images is zero ("fast bias
    correction"), which the other route does not.
    """

    def __init__(
        self, graph: FloatGraph, images: Callable[[], Iterator[Tensor]], count: int, nodes: Sequence[str]
    ) -> None:
        """Prepare.

        Args:
            graph: the float32 graph.
            images: a fresh pass over the prepared images.
            count: how many there are in a pass.
            nodes: what may be quantized, in the graph's order; everything else is left alone.

        Raises:
            ConfigError: NNCF is not installed.
        """
        self._nncf = _import()
        self._graph = graph
        self._images = images
        self._count = count
        self._nodes = tuple(nodes)

    @property
    def route(self) -> Route:
        """See the port."""
        return "nncf"

    @property
    def nodes(self) -> tuple[str, ...]:
        """See the port."""
        return self._nodes

    def quantize(self, kept: frozenset[str]) -> bytes:
        """See the port. Calibrates each time.

        Raises:
            ConfigError: NNCF cannot quantize this graph.
        """
        nncf = self._nncf
        ranges = importlib.import_module("nncf.quantization.range_estimator")
        advanced = importlib.import_module("nncf.quantization.advanced_parameters")
        nncf.set_log_level(logging.ERROR)
        chosen = set(self._nodes) - kept
        ignored = [node.name for node in self._graph.model.graph.node if node.name not in chosen]
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # its progress bars
                quantized = nncf.quantize(
                    self._graph.model,
                    nncf.Dataset(_Pass(self._images), lambda image: {self._graph.input_name: image}),
                    subset_size=self._count,
                    target_device=nncf.TargetDevice.CPU,
                    ignored_scope=nncf.IgnoredScope(names=ignored, validate=False),
                    advanced_parameters=advanced.AdvancedQuantizationParameters(
                        activations_range_estimator_params=ranges.RangeEstimatorParametersSet.MINMAX
                    ),
                )
        except _errors(nncf) as error:
            raise ConfigError(
                f"NNCF cannot quantize this graph: {error}", "Use the other route, or --precision fp32."
            ) from error
        return bytes(quantized.SerializeToString())


def _errors(nncf: Any) -> tuple[type[Exception], ...]:
    """NNCF's own have no common base."""
    own = (nncf.InternalError, nncf.ParameterNotSupportedError, nncf.UnsupportedModelError, nncf.ValidationError)
    return (RuntimeError, ValueError, KeyError, TypeError, *own)
