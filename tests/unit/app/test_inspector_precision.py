from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from altered_engine import Masked
from brightest import write_brightest

from edge_runtime import engine as engines
from edge_runtime.app.inspection import BF16_WHERE_IT_IS, load_inspector
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import BundleError, EngineError

if TYPE_CHECKING:
    from pathlib import Path


ORT = EngineSettings(name="onnxruntime", threads=1)
OPENVINO = EngineSettings(name="openvino", threads=1)


def computes_in(precision: str) -> bool:
    """Whether this machine's OpenVINO can be told so."""
    try:
        engines.create(OPENVINO.model_copy(update={"precision": precision}))
    except EngineError:
        return False
    return True


def test_a_bundle_made_for_bf16_runs_in_bf16(tmp_path: Path) -> None:
    """The manifest's word is obeyed where the configuration says nothing, and shown; a stated setting wins."""
    bundle = write_brightest(tmp_path / "p.bundle", golden_px=None, precision="bf16")
    if not computes_in("bf16"):
        pytest.skip("this processor does not compute in bf16")
    with load_inspector(bundle, OPENVINO, "development") as inspector:
        assert "bf16" in inspector.engine_description
    stated = OPENVINO.model_copy(update={"precision": "f32"})
    with load_inspector(bundle, stated, "development") as inspector:
        assert "f32" in inspector.engine_description


def test_a_bundle_made_for_bf16_is_refused_where_there_is_none(tmp_path: Path) -> None:
    """On onnxruntime it would silently be another model: refused, with what would run it."""
    with pytest.raises(BundleError, match="made to compute in bf16") as caught:
        load_inspector(write_brightest(tmp_path / "p.bundle", golden_px=None, precision="bf16"), ORT, "development")
    assert "openvino" in caught.value.action


def test_a_precision_that_this_runtime_does_not_know_is_refused(tmp_path: Path) -> None:
    """Never guessed."""
    with pytest.raises(BundleError, match="'fp4'"):
        load_inspector(write_brightest(tmp_path / "p.bundle", golden_px=None, precision="fp4"), ORT, "development")


def test_no_word_is_float32(tmp_path: Path) -> None:
    """As all bundles were before."""
    with load_inspector(write_brightest(tmp_path / "p.bundle", golden_px=None), ORT, "development") as inspector:
        assert "f32" in inspector.engine_description


def test_a_bundle_that_was_proved_in_both_runs_in_what_there_is(tmp_path: Path) -> None:
    """bf16 where the engine has it, else float32, and a stated setting wins."""
    bundle = write_brightest(tmp_path / "p.bundle", golden_px=None, precision=BF16_WHERE_IT_IS)
    with load_inspector(bundle, ORT, "development") as inspector:
        assert "f32" in inspector.engine_description
    with load_inspector(bundle, OPENVINO, "development") as inspector:
        assert ("bf16" if computes_in("bf16") else "f32") in inspector.engine_description
    with load_inspector(bundle, OPENVINO.model_copy(update={"precision": "f32"}), "development") as inspector:
        assert "f32" in inspector.engine_description


def test_a_processor_that_only_says_that_it_has_bf16_computes_in_float32(tmp_path: Path) -> None:
    """Where both were proved; a bundle for bf16 alone is refused."""
    if not computes_in("bf16"):
        pytest.skip("this processor does not compute in bf16")
    with load_inspector(
        write_brightest(tmp_path / "p.bundle", golden_px=None, precision=BF16_WHERE_IT_IS),
        OPENVINO,
        "development",
        Masked,
    ) as one:
        assert "f32" in one.engine_description
    with pytest.raises(EngineError, match="no such instruction"):
        load_inspector(
            write_brightest(tmp_path / "q.bundle", golden_px=None, precision="bf16"), OPENVINO, "development", Masked
        )
