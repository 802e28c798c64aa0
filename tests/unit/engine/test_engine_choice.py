from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import EngineError
from edge_runtime.engine import create
from edge_runtime.engine.feeds import usable_cores
from edge_runtime.engine.inventory import available_engines, preferred_engine
from edge_runtime.engine.openvino import import_openvino
from edge_runtime.engine.providers import CPU, CUDA, OPENVINO, TENSORRT, chain_of

if TYPE_CHECKING:
    from pathlib import Path

JETSON = (TENSORRT, CUDA, CPU)


def test_auto_takes_openvino_where_it_is_installed() -> None:
    """It is a declared extra and installed for the tests."""
    assert create(EngineSettings(name="auto", threads=1)).name == "openvino"


@pytest.mark.parametrize(
    ("settings", "engine"),
    [({"provider": "cuda"}, "onnxruntime"), ({"device": "GPU"}, "openvino"), ({}, "openvino")],
)
def test_auto_follows_a_setting_that_only_one_engine_has(settings: dict[str, Any], engine: str) -> None:
    """A provider belongs to onnxruntime, a device to OpenVINO."""
    assert preferred_engine(EngineSettings(**settings)) == engine


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_threads_are_the_cores_that_the_process_may_use(name: str) -> None:
    """0 follows the process's affinity, not the machine's number of cores; any other number is taken as it is."""
    everything = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(everything)})
        assert usable_cores() == 1
        assert "1 thread(s)" in create(EngineSettings(name=name, threads=0)).description
    finally:
        os.sched_setaffinity(0, everything)
    assert "3 thread(s)" in create(EngineSettings(name=name, threads=3)).description


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_provider_that_is_not_there_is_an_error_that_names_its_supplier(provider: str) -> None:
    """No fall-back to the CPU; the text names the package for PC and Jetson."""
    with pytest.raises(EngineError) as caught:
        chain_of(EngineSettings(provider=provider), ["AzureExecutionProvider", CPU], 2)
    assert "ExecutionProvider" in caught.value.what
    assert "onnxruntime-gpu" in caught.value.action
    assert "Jetson" in caught.value.action


def test_a_missing_provider_stops_creation() -> None:
    """What `create` does on this build of onnxruntime, which has no OpenVINO provider."""
    with pytest.raises(EngineError, match="OpenVINOExecutionProvider") as caught:
        create(EngineSettings(name="onnxruntime", provider="openvino"))
    assert "onnxruntime-openvino" in caught.value.action


@pytest.mark.parametrize("device", ["GPU", "NPU", "GPU.1", "TPU"])
def test_a_device_that_is_not_there_is_an_error_that_says_what_supplies_it(device: str) -> None:
    """No fall-back to the CPU."""
    with pytest.raises(EngineError, match=f"no device {device}") as caught:
        create(EngineSettings(name="openvino", device=device))
    assert "engine.device" in caught.value.action


@pytest.mark.parametrize("device", ["AUTO", "MULTI:CPU", "HETERO:GPU,CPU"])
def test_devices_that_choose_by_themselves_are_refused(device: str) -> None:
    """Nobody could say afterwards what ran."""
    with pytest.raises(EngineError, match="choose"):
        create(EngineSettings(name="openvino", device=device))


def test_settings_of_the_other_engine_are_refused() -> None:
    """A provider for OpenVINO, a device for onnxruntime: said, not ignored."""
    with pytest.raises(EngineError, match=r"engine\.provider"):
        create(EngineSettings(name="openvino", provider="cuda"))
    with pytest.raises(EngineError, match=r"engine\.device"):
        create(EngineSettings(name="onnxruntime", device="GPU"))


@pytest.mark.parametrize("provider", ["cpu", "cuda"])
@pytest.mark.parametrize("precision", ["bf16", "f16"])
def test_a_precision_that_the_provider_cannot_set_is_refused(provider: str, precision: str) -> None:
    """Otherwise the setting would silently do nothing."""
    with pytest.raises(EngineError, match=precision):
        chain_of(EngineSettings(provider=provider, precision=precision), JETSON, 2)


def test_provider_options_follow_the_settings(tmp_path: Path) -> None:
    """TensorRT gets precision and cache, CUDA no TensorFloat-32, OpenVINO its device; the CPU stands behind all."""
    tensorrt = chain_of(EngineSettings(provider="tensorrt", precision="f16", cache_dir=tmp_path), JETSON, 2)
    assert [name for name, _ in tensorrt] == [TENSORRT, CUDA, CPU]
    assert tensorrt[0][1] == {
        "trt_fp16_enable": True,
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(tmp_path),
    }
    exact = chain_of(EngineSettings(provider="tensorrt"), JETSON, 2)
    assert exact[0][1] == {"trt_fp16_enable": False}
    assert chain_of(EngineSettings(provider="cuda"), JETSON, 2)[0] == (CUDA, {"use_tf32": "0"})
    openvino = chain_of(EngineSettings(provider="openvino", device="NPU"), [OPENVINO, CPU], 3)
    assert openvino[0] == (OPENVINO, {"device_type": "NPU", "precision": "FP32", "num_of_threads": 3})
    assert chain_of(EngineSettings(), [CPU], 2) == ((CPU, {}),)


def test_openvino_runs_in_the_precision_that_is_asked_for() -> None:
    """The hint is explicit: by default OpenVINO takes bf16 where the processor has it."""
    engine = create(EngineSettings(name="openvino", threads=1))
    assert engine._config["INFERENCE_PRECISION_HINT"] == "f32"  # type: ignore[attr-defined]
    assert "f32" in engine.description


@pytest.mark.parametrize(("precision", "capability"), [("bf16", "BF16"), ("f16", "FP16")])
def test_openvino_takes_no_precision_that_the_device_lacks(precision: str, capability: str) -> None:
    """It would take the hint and compute in something else: refused, or really computed so."""
    core = import_openvino().Core()
    settings = EngineSettings(name="openvino", threads=1, precision=precision)
    if capability in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        assert precision in create(settings).description
        return
    with pytest.raises(EngineError, match=f"does not compute in {precision}") as caught:
        create(settings)
    assert "engine.precision" in caught.value.action


def test_openvino_keeps_compiled_models_in_the_cache(tmp_path: Path) -> None:
    """The folder is made, and the second load gives the same numbers from it."""
    folder = tmp_path / "state" / "cache"
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph([helper.make_node("Sigmoid", ["x"], ["y"])], "one", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    feed = {"x": np.array([[1.0, 2.0, 3.0, 4.0]], np.float32)}
    results = []
    for _ in range(2):
        engine = create(EngineSettings(name="openvino", threads=1, cache_dir=folder))
        results.append(engine.load(model).run(feed, ["y"])["y"])
    assert list(folder.iterdir())
    np.testing.assert_array_equal(results[0], results[1])


def test_a_cache_folder_of_no_use_is_refused_by_name(tmp_path: Path) -> None:
    """Before a model is blamed for it."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EngineError, match="model cache") as caught:
        create(EngineSettings(name="openvino", cache_dir=tmp_path / "file" / "cache"))
    assert "engine.cache_dir" in caught.value.action


def test_the_inventory_says_what_can_be_used() -> None:
    """Both engines are listed with version and devices; a usable one needs no explanation."""
    reports = {report.name: report for report in available_engines()}
    assert set(reports) == {"onnxruntime", "openvino"}
    for report in reports.values():
        assert report.usable
        assert report.version
        assert not report.detail
    assert CPU in reports["onnxruntime"].devices
    assert "CPU" in reports["openvino"].devices


def _python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_no_telemetry_is_ever_loaded() -> None:
    """Importing OpenVINO would report itself over the network; our import loads its empty stub instead."""
    loaded = _python(
        "import sys\n"
        "from edge_runtime.config.engine import EngineSettings\n"
        "from edge_runtime.engine import create\n"
        "create(EngineSettings(name='openvino', threads=1))\n"
        "print('openvino' in sys.modules, sorted(m for m in sys.modules if m.startswith('openvino_telemetry')))\n"
    )
    assert loaded.split("\n")[0] == "True []"


def test_naming_one_engine_does_not_load_the_other() -> None:
    """Start-up time and memory on a small device."""
    loaded = _python(
        "import sys\n"
        "from edge_runtime.config.engine import EngineSettings\n"
        "from edge_runtime.engine import create\n"
        "create(EngineSettings(name='onnxruntime', threads=1))\n"
        "print('openvino' in sys.modules)\n"
    )
    assert loaded.strip() == "False"


@pytest.mark.parametrize("module", ["openvino", "onnxruntime"])
def test_an_engine_that_is_not_installed_is_reported_with_its_package(module: str) -> None:
    """As `doctor` shows it; asking for that engine is the same error."""
    said = _python(
        "import sys\n"
        f"sys.modules[{module!r}] = None\n"
        "from edge_runtime.config.engine import EngineSettings\n"
        "from edge_runtime.domain.errors import EngineError\n"
        "from edge_runtime.engine import create\n"
        "from edge_runtime.engine.inventory import available_engines\n"
        f"report = [r for r in available_engines() if r.name == {module!r}][0]\n"
        "print(report.usable, 'pip install' in report.detail)\n"
        "try:\n"
        f"    create(EngineSettings(name={module!r}))\n"
        "except EngineError as error:\n"
        "    print('pip install' in error.action)\n"
    )
    assert said.split("\n")[:2] == ["False True", "True"]
