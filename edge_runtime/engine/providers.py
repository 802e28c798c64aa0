"""onnxruntime's execution providers: what the configuration asks for, what supplies it, and its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from edge_runtime.domain.errors import EngineError
from edge_runtime.engine.cache import usable_cache_dir

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.config.engine import EngineSettings

ProviderChain: TypeAlias = "tuple[tuple[str, dict[str, Any]], ...]"
"""onnxruntime's names with their options; the first does the work, the rest take nodes that it cannot run."""

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"

_NAMES = {"cpu": CPU, "cuda": CUDA, "tensorrt": TENSORRT, "openvino": OPENVINO}

_SUPPLIERS = {
    "cpu": "install it: pip install onnxruntime",
    "cuda": "install the GPU build (pip uninstall onnxruntime; pip install onnxruntime-gpu; on a Jetson: NVIDIA's "
    'onnxruntime-gpu wheel for its JetPack) and CUDA with cuDNN, or set engine.provider = "cpu"',
    "tensorrt": "install the GPU build (pip uninstall onnxruntime; pip install onnxruntime-gpu; on a Jetson: NVIDIA's "
    'onnxruntime-gpu wheel for its JetPack, whose TensorRT it uses) and TensorRT, or set engine.provider = "cpu"',
    "openvino": "install it (pip uninstall onnxruntime; pip install onnxruntime-openvino), or set engine.name = "
    '"openvino", which needs no such build',
}

_OPENVINO_PRECISIONS = {"f32": "FP32", "f16": "FP16"}


def chain_of(settings: EngineSettings, available: Sequence[str], threads: int) -> ProviderChain:
    """The providers to hand to a session.

    Args:
        settings: provider, device, precision and cache folder.
        available: what this build of onnxruntime has.
        threads: CPU threads, at least 1.

    Raises:
        EngineError: the build lacks the provider, the provider cannot do what is asked, or the cache is of no use.
    """
    provider = settings.provider
    if _NAMES[provider] not in available:
        offered = ", ".join(available)
        raise EngineError(f"this onnxruntime has no {_NAMES[provider]} (it has: {offered})", _SUPPLIERS[provider])
    if provider != "openvino" and settings.device != "CPU":
        raise EngineError(
            f"engine.device = {settings.device!r} is for OpenVINO; onnxruntime's {provider} provider does not take it",
            'remove engine.device, or set engine.name = "openvino"',
        )
    match provider:
        case "cpu":
            _require_f32(settings)
            return ((CPU, {}),)
        case "cuda":
            _require_f32(settings)
            # TensorFloat-32 rounds to 10 bits of mantissa: not f32.
            return ((CUDA, {"use_tf32": "0"}), (CPU, {}))
        case "tensorrt":
            return ((TENSORRT, _tensorrt_options(settings)), (CUDA, {"use_tf32": "0"}), (CPU, {}))
        case "openvino":
            return ((OPENVINO, _openvino_options(settings, threads)), (CPU, {}))


def _require_f32(settings: EngineSettings) -> None:
    if settings.precision != "f32":
        raise EngineError(
            f"onnxruntime's {settings.provider} provider cannot be told to run in {settings.precision}",
            'set engine.precision = "f32"',
        )


def _tensorrt_options(settings: EngineSettings) -> dict[str, Any]:
    options: dict[str, Any] = {"trt_fp16_enable": settings.precision == "f16"}
    if settings.precision == "bf16":
        options["trt_bf16_enable"] = True
    if settings.cache_dir is not None:
        options |= {"trt_engine_cache_enable": True, "trt_engine_cache_path": usable_cache_dir(settings.cache_dir)}
    return options


def _openvino_options(settings: EngineSettings, threads: int) -> dict[str, Any]:
    if settings.precision not in _OPENVINO_PRECISIONS:
        raise EngineError(
            f"onnxruntime's OpenVINO provider cannot run in {settings.precision}",
            'set engine.precision = "f32" or "f16"',
        )
    options: dict[str, Any] = {
        "device_type": settings.device,
        "precision": _OPENVINO_PRECISIONS[settings.precision],
        "num_of_threads": threads,
    }
    if settings.cache_dir is not None:
        options["cache_dir"] = usable_cache_dir(settings.cache_dir)
    return options
