"""OpenVINO behind the engine port."""

from __future__ import annotations

import importlib.util
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.domain.errors import EngineError
from edge_runtime.engine.cache import usable_cache_dir
from edge_runtime.engine.feeds import check_request, usable_cores
from edge_runtime.engine.ir import is_ir, unpack_ir
from edge_runtime.engine.port import TensorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_runtime.config.engine import EngineSettings
    from edge_runtime.engine.port import Tensor

_TELEMETRY = "openvino_telemetry"
_VIRTUAL_DEVICES = frozenset({"AUTO", "MULTI", "HETERO", "BATCH"})
CAPABILITIES = {"bf16": "BF16", "f16": "FP16"}
"""OpenVINO's names of what a device computes in; it has others for what is always there."""
_DRIVERS = {
    "GPU": "install Intel's compute runtime (apt install intel-opencl-icd) and give this user the group `render`",
    "NPU": "install Intel's NPU driver (github.com/intel/linux-npu-driver), give this user group `render`",
}


def import_openvino() -> Any:
    """The module, without its telemetry.

    `import openvino` reports the import over the network wherever its telemetry package is installed. Hiding that
    package during the import makes OpenVINO use its own empty stub, for good.

    Raises:
        EngineError: not installed, or broken.
    """
    hide = "openvino" not in sys.modules and _TELEMETRY not in sys.modules
    if hide:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # Python's own way to say "not importable"
    try:
        import openvino  # noqa: PLC0415
    except ImportError as error:
        raise EngineError(
            f"OpenVINO cannot be imported ({error})",
            'install it: pip install "edge-runtime[openvino]", or set engine.name = "onnxruntime"',
        ) from error
    finally:
        if hide:
            del sys.modules[_TELEMETRY]
    return openvino


def is_installed() -> bool:
    """True if the package is there; whether it works shows only on use."""
    return importlib.util.find_spec("openvino") is not None


class OpenVinoEngine:
    """Graphs compiled for one device, one stream, latency first."""

    def __init__(self, settings: EngineSettings) -> None:
        """Check that what the settings ask for is there.

        Raises:
            EngineError: OpenVINO or the device is not available, or the device does not compute in the precision.
        """
        if settings.provider != "cpu":
            raise EngineError(
                f"engine.provider = {settings.provider!r} is for onnxruntime; OpenVINO takes engine.device",
                'remove engine.provider, or set engine.name = "onnxruntime"',
            )
        self._openvino = import_openvino()
        self._core = self._openvino.Core()
        self._device = settings.device
        self._require_device()
        self._threads = settings.threads or usable_cores()
        self._precision = settings.precision
        self._require_precision()
        self._config: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            # Without it OpenVINO takes bf16 where the processor has it, and scores move.
            "INFERENCE_PRECISION_HINT": settings.precision,
        }
        if self._device == "CPU":
            self._config["INFERENCE_NUM_THREADS"] = self._threads
            # A pinned thread waits for its own core while the camera has it and another is idle.
            self._config["ENABLE_CPU_PINNING"] = False
        if settings.cache_dir is not None:
            self._config["CACHE_DIR"] = usable_cache_dir(settings.cache_dir)

    @property
    def name(self) -> str:
        """See the port."""
        return "openvino"

    @property
    def description(self) -> str:
        """See the port."""
        version = self._openvino.__version__.split("-")[0]
        threads = f", {self._threads} thread(s)" if self._device == "CPU" else ""
        return f"openvino {version}, {self._device}, {self._precision}{threads}"

    def load(self, model: bytes) -> OpenVinoGraph:
        """See the port."""
        try:
            compiled = self._core.compile_model(self._read(model), self._device, self._config)
        except (RuntimeError, UnicodeDecodeError) as error:  # its own words may hold the graph's bytes
            raise EngineError(
                f"OpenVINO cannot load the graph on {self._device}: {_first_lines(error)}",
                "convert the bundle again for this version of OpenVINO, or choose another engine",
            ) from error
        return OpenVinoGraph(compiled)

    def _read(self, model: bytes) -> Any:
        """An ONNX graph, or OpenVINO's own IR in one piece."""
        if not is_ir(model):
            return self._core.read_model(model)
        xml, weights = unpack_ir(model)
        return self._core.read_model(xml, self._openvino.Tensor(np.frombuffer(weights, dtype=np.uint8)))

    def _require_device(self) -> None:
        if self._device == "CPU":
            return  # always there; to ask what else there is loads every driver, which stay: 4 MiB
        family = self._device.split(".")[0].split(":")[0]
        if family in _VIRTUAL_DEVICES:
            raise EngineError(
                f"engine.device = {self._device!r} lets OpenVINO choose, so nobody could say what ran",
                "name one device: CPU, GPU or NPU",
            )
        available = self._core.available_devices
        if self._device not in available and not any(device.split(".")[0] == self._device for device in available):
            raise EngineError(
                f"OpenVINO finds no device {self._device} (it finds: {', '.join(available) or 'none'})",
                _DRIVERS.get(family, "name a device that is there: engine.device") + ', or set engine.device = "CPU"',
            )

    def _require_precision(self) -> None:
        needed = CAPABILITIES.get(self._precision)
        if needed is None:
            return
        offered = self._core.get_property(self._device, "OPTIMIZATION_CAPABILITIES")
        if needed not in offered:
            # OpenVINO takes the hint all the same and computes in whatever comes next.
            raise EngineError(
                f"{self._device} of this machine does not compute in {self._precision}",
                'set engine.precision = "f32", or choose a device that does',
            )


class OpenVinoGraph:
    """One compiled model with one inference request per thread that runs it."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._local = threading.local()
        self._inputs = tuple(_info(port) for port in compiled.inputs)
        self._outputs = tuple(_info(port) for port in compiled.outputs)
        self._ports = {name: index for index, port in enumerate(compiled.outputs) for name in port.get_names()}

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        """See the port."""
        return self._inputs

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        """See the port."""
        return self._outputs

    def run(self, feeds: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """See the port. The request's own memory is copied out, because the next run overwrites it."""
        check_request(feeds, outputs, self._inputs, self._outputs)
        try:
            request = self._request()
            request.infer(dict(feeds), share_inputs=True, share_outputs=True)
            return {name: np.array(request.get_output_tensor(self._ports[name]).data) for name in outputs}
        except RuntimeError as error:
            raise EngineError(
                f"OpenVINO failed to run the graph: {_first_lines(error)}",
                "if it happens again, restart the device and report this",
            ) from error

    def _request(self) -> Any:
        """This thread's: a map may be drawn while the next part is looked at."""
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        return self._local.request


def _info(port: Any) -> TensorInfo:
    shape = tuple(side.get_length() if side.is_static else None for side in port.get_partial_shape())
    return TensorInfo(name=_name(port), shape=shape, dtype=port.get_element_type().to_dtype().name)


def _name(port: Any) -> str:
    """The graph's own name: a tensor may have several, and an output is known by that of its Result node."""
    names: set[str] = port.get_names()
    stated = port.node.get_friendly_name().split("/sink_port_")[0]
    return stated if stated in names else min(names)


def _first_lines(error: Exception) -> str:
    """OpenVINO's messages carry source lines and empty ones; keep what says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(line for line in lines if not line.startswith("Exception from"))[:500] or type(error).__name__
