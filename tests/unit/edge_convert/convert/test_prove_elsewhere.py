from __future__ import annotations

from typing import TYPE_CHECKING

import tiny_anomaly

from edge_convert.convert.candidates import detector_of
from edge_convert.convert.finish import ANY_ENGINE, prove_elsewhere
from edge_convert.convert.probes import Probe, Probes, answer_of
from edge_convert.convert.proof import Work, prove
from edge_convert.convert.source import ConvertOptions
from edge_convert.images import survey
from edge_convert.precision.choice import Candidate
from edge_convert.progress import Silent
from edge_runtime import engine
from edge_runtime.config.engine import EngineSettings
from edge_runtime.decision.parity import good_parts
from edge_runtime.domain.model_bundle import ParityLimits

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.domain.model_bundle import Requires

MODEL = bytes(tiny_anomaly.model().SerializeToString())
OPENVINO, ONNXRUNTIME = (EngineSettings(name=name, threads=1) for name in ("openvino", "onnxruntime"))


def elsewhere(folder: Path, spoken_by: EngineSettings, limits: ParityLimits) -> tuple[Requires, list[str], str]:
    """Where a model that OpenVINO runs with bf16 may run, if this engine's float32 is what the source says."""
    images = survey(tiny_anomaly.write_parts(folder / "good", 8))
    source, options = tiny_anomaly.source(), ConvertOptions(folder / "x.bundle", "x", "1", OPENVINO)
    speaker = detector_of(source, MODEL, options, ANY_ENGINE, spoken_by)
    answers = [answer_of(speaker.inspect((images.load(index),))) for index in range(8)]
    items = tuple(Probe(f"{at}", images.load(at), False, answer, None) for at, answer in enumerate(answers))
    probes = Probes(items, good_parts([answer.score for answer in answers]), planted_by_source=True)
    work = Work(
        source, tiny_anomaly.NumpyReference(), images, options, limits, Silent(), engine.create(OPENVINO).description
    )
    candidate = Candidate("int8", "ort-qdq", MODEL, floats="bf16")
    agreeing, requires, warnings, measured = prove_elsewhere(work, probes, candidate, prove(work, probes, speaker))
    assert len(agreeing) == len(measured)
    return requires, [figures.engine.split()[0] for figures in measured], "; ".join(warnings)


def test_int8_with_bf16_runs_wherever_its_float32_holds(tmp_path: Path) -> None:
    """Both engines prove it in float32: it is bound to none."""
    requires, proved, warnings = elsewhere(tmp_path, OPENVINO, ParityLimits())
    assert requires.engines == ()
    assert sorted(proved) == ["onnxruntime", "openvino"]
    assert not warnings


def test_int8_that_needs_bf16_is_for_the_one_engine_that_has_it(tmp_path: Path) -> None:
    """In float32 it departs on OpenVINO: that onnxruntime holds is no use, the bundle asks every engine for bf16."""
    requires, proved, warnings = elsewhere(tmp_path, ONNXRUNTIME, ParityLimits(good_drift=1e-12))
    assert requires.engines == ("openvino",)
    assert proved == []
    assert "on openvino in float32 it departs" in warnings
