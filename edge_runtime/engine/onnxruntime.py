"""onnxruntime behind the engine port."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from edge_runtime.domain.errors import EngineError
from edge_runtime.engine.feeds import check_request, usable_cores
from edge_runtime.engine.ir import is_ir
from edge_runtime.engine.port import TensorInfo
from edge_runtime.engine.providers import chain_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_runtime.config.engine import EngineSettings
    from edge_runtime.engine.port import Tensor

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
    **{f"tensor({name})": name for name in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")},
}

_ERRORS_ONLY = 3
"""Warnings about graph clean-up would fill the journal."""


def import_onnxruntime() -> Any:
    """The module, without its telemetry.

    From 1.31 on its import numbers the device, keeps a database of events in the user's home and is ready to send
    them; `disable_telemetry_events` comes too late for that, the variable does not.

    Raises:
        EngineError: not installed, or broken.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        import onnxruntime  # noqa: PLC0415
    except ImportError as error:
        raise EngineError(
            f"onnxruntime cannot be imported ({error})",
            "install it: pip install onnxruntime (on a Jetson: the onnxruntime-gpu wheel for its JetPack)",
        ) from error
    return onnxruntime


class OnnxRuntimeEngine:
    """Sessions with one execution provider; intra-op threads only, because one part is inspected at a time."""

    def __init__(self, settings: EngineSettings) -> None:
        """Check that what the settings ask for is there.

        Raises:
            EngineError: provider, device or precision is not available.
        """
        self._ort = import_onnxruntime()
        self._threads = settings.threads or usable_cores()
        self._providers = chain_of(settings, self._ort.get_available_providers(), self._threads)
        # The exception classes have no common base, and their number grows with each release.
        state = self._ort.capi.onnxruntime_pybind11_state
        found = (item for item in vars(state).values() if isinstance(item, type) and issubclass(item, Exception))
        self._errors: tuple[type[Exception], ...] = (RuntimeError, ValueError, *found)
        self._precision = settings.precision
        self._provider = settings.provider

    @property
    def name(self) -> str:
        """See the port."""
        return "onnxruntime"

    @property
    def description(self) -> str:
        """See the port."""
        version = self._ort.__version__
        return f"onnxruntime {version}, {self._provider}, {self._precision}, {self._threads} thread(s)"

    def load(self, model: bytes) -> OnnxRuntimeGraph:
        """See the port."""
        if is_ir(model):
            raise EngineError(
                "the bundle's model is OpenVINO IR, which onnxruntime cannot run",
                'set engine.name = "openvino", or import the model from its ONNX export instead',
            )
        wanted = self._providers[0][0]
        try:
            session = self._ort.InferenceSession(model, self._options(), providers=list(self._providers))
        except self._errors as error:
            raise EngineError(
                f"onnxruntime cannot load the graph: {error}",
                "convert the bundle again for this version of onnxruntime, or choose another engine",
            ) from error
        if session.get_providers()[0] != wanted:
            raise EngineError(
                f"onnxruntime could not start {wanted} and would run on {session.get_providers()[0]}",
                f"check the driver and libraries of {wanted} (edge-runtime doctor), or set engine.provider",
            )
        session.disable_fallback()
        return OnnxRuntimeGraph(session, self._errors)

    def _options(self) -> Any:
        options = self._ort.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        # A spinning pool burns the cores that the camera and the encoder of the next part need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return options


class OnnxRuntimeGraph:
    """One session."""

    def __init__(self, session: Any, errors: tuple[type[Exception], ...]) -> None:
        self._session = session
        self._errors = errors
        self._inputs = tuple(_info(item) for item in session.get_inputs())
        self._outputs = tuple(_info(item) for item in session.get_outputs())

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        """See the port."""
        return self._inputs

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        """See the port."""
        return self._outputs

    def run(self, feeds: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """See the port. onnxruntime returns fresh arrays."""
        check_request(feeds, outputs, self._inputs, self._outputs)
        try:
            results = self._session.run(list(outputs), dict(feeds))
        except self._errors as error:
            raise EngineError(
                f"onnxruntime failed to run the graph: {error}",
                "if it happens again, restart the device and report this",
            ) from error
        return dict(zip(outputs, results, strict=True))


def _info(item: Any) -> TensorInfo:
    shape = tuple(side if isinstance(side, int) else None for side in item.shape)
    return TensorInfo(name=item.name, shape=shape, dtype=_DTYPES.get(item.type, item.type))
