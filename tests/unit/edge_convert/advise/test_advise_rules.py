from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from edge_convert.advise.knowledge import DEVICES, MODELS
from edge_convert.advise.rules import Needs, advise, tiles_needed
from edge_convert.cli import app

_EASY = Needs(accuracy="balanced", cycle_ms=1_000, memory_mb=0, good=400, bad=80, products=1)


def _needs(**changes: object) -> Needs:
    return dataclasses.replace(_EASY, **changes)  # type: ignore[arg-type]


@given(
    accuracy=st.sampled_from(["highest", "balanced", "fast"]),
    cycle_ms=st.floats(1, 5_000),
    memory_mb=st.integers(0, 16_000),
    good=st.integers(0, 1_000),
    products=st.integers(1, 40),
    logical=st.booleans(),
    device=st.sampled_from(sorted(DEVICES)),
)
def test_nothing_is_recommended_that_breaks_a_need(
    *, accuracy: str, cycle_ms: float, memory_mb: int, good: int, products: int, logical: bool, device: str
) -> None:
    """Whatever is asked: every option keeps time, memory and images; everything else is refused with a reason."""
    needs = _needs(
        accuracy=accuracy, cycle_ms=cycle_ms, memory_mb=memory_mb, good=good, products=products, logical=logical
    )
    place = DEVICES[device]
    advice = advise(needs, place)
    assert len(advice.options) + len(advice.refused) == len(MODELS)
    for option in advice.options:
        assert option.inspection_ms < cycle_ms
        assert option.model.memory_mb * products < (memory_mb or place.memory_mb)
        assert option.model.lowest_good <= good
        assert option.model.logical or not logical
    assert all(option.against for option in advice.refused)


def test_what_matters_decides_between_those_that_fit() -> None:
    """With all the time in the world the most accurate comes first, or the fastest, as asked."""
    device = DEVICES["line-pc"]
    highest = advise(_needs(accuracy="highest", gpu=True), device).options
    fast = advise(_needs(accuracy="fast"), device).options
    assert highest[0].model.accuracy == max(option.model.accuracy for option in highest)
    assert fast[0].inspection_ms == min(option.inspection_ms for option in fast)


def test_a_missing_component_needs_a_model_that_sees_the_whole() -> None:
    """PatchCore is refused for logical defects, with the reason."""
    advice = advise(_needs(logical=True, gpu=True), DEVICES["line-pc"])
    assert advice.options
    assert all("EfficientAD" in option.model.name for option in advice.options)
    assert any("misplaced component" in text for option in advice.refused for text in option.against)


def test_the_command_for_missing_components_trains_the_autoencoder_that_sees_them() -> None:
    """`train efficientad` leaves the autoencoder out unless steps are asked for, as `--student learnt` does."""
    options = advise(_needs(logical=True, gpu=True), DEVICES["line-pc"]).options
    assert options
    assert all("--student learnt" in option.model.make or "--steps" in option.model.make for option in options)


def test_the_small_efficientad_needs_no_gpu_and_is_not_for_missing_components() -> None:
    """It fits where S is too slow; it has no autoencoder, and is refused where only that would see the defect."""
    quick = _needs(cycle_ms=60)
    options = {option.model.name for option in advise(quick, DEVICES["line-pc"]).options}
    assert "EfficientAD-XS" in options
    assert "EfficientAD-S" not in options
    refused = {option.model.name for option in advise(_needs(logical=True), DEVICES["line-pc"]).refused}
    assert "EfficientAD-XS" in refused


def test_the_time_of_int8_is_promised_only_where_int8_mostly_keeps_parity() -> None:
    """XS is mostly left in float32: a cycle that only its INT8 would keep is refused, and its own input needs tiles."""
    crowded = _needs(accuracy="fast", products=20, memory_mb=1_500, cycle_ms=100)
    advice = advise(crowded, DEVICES["line-pc"])
    assert [option.model.name for option in advice.options] == ["EfficientAD-XS"]
    assert "in float32" in advice.reasons[0]
    assert not advise(dataclasses.replace(crowded, cycle_ms=20), DEVICES["line-pc"]).options
    tiles = {
        option.model.name: option.tiles
        for option in advise(_needs(frame_px=256, defect_px=3), DEVICES["line-pc"]).options
    }
    assert (tiles["EfficientAD-XS"], tiles["PatchCore with a ResNet-18"]) == (4, 1)


def test_few_images_and_few_defects_are_told_what_they_prove() -> None:
    """The numbers behind the notes are Wilks' tolerance limits."""
    notes = " ".join(advise(_needs(good=50, bad=0), DEVICES["line-pc"]).notes)
    assert "299" in notes
    assert "miss rate is unknown" in notes
    assert not any("cannot prove" in note for note in advise(_EASY, DEVICES["line-pc"]).notes)


@pytest.mark.parametrize(("frame_px", "defect_px", "tiles"), [(0, 0, 1), (256, 2, 1), (3840, 12, 25), (1920, 60, 1)])
def test_tiles_keep_the_smallest_defect_visible(frame_px: int, defect_px: int, tiles: int) -> None:
    """Four pixels of it remain in a 256-pixel input; a large defect needs none."""
    assert tiles_needed(_needs(frame_px=frame_px, defect_px=defect_px), 256) == tiles


def test_a_defect_that_no_number_of_tiles_shows_is_nobodys() -> None:
    """The promised time is of as many tiles as the defect needs; beyond what `--tiles` takes there is no advice."""
    patient = _needs(cycle_ms=1e9, frame_px=4096, defect_px=1)
    assert tiles_needed(patient, 256) == 64 * 64
    advice = advise(patient, DEVICES["line-pc"])
    assert not advice.options
    assert all("tiles" in option.against[0] for option in advice.refused)


def test_tiles_cost_time() -> None:
    """What fits as a whole frame may not fit in 25 tiles, and the advice says which is the trouble."""
    device = DEVICES["line-pc"]
    whole, tiled = (
        advise(_needs(cycle_ms=100), device),
        advise(_needs(cycle_ms=100, frame_px=3840, defect_px=12), device),
    )
    assert whole.options
    assert not tiled.options
    assert any("take --tiles 5x5" in note for note in tiled.notes)


def test_the_command_answers_from_flags_alone() -> None:
    """JSON for programs; exit code 1 where nothing fits."""
    flags = ["advise", "--device", "line-pc", "--accuracy", "fast", "--memory-mb", "0", "--good", "80", "--bad", "3"]
    fits = CliRunner().invoke(app, [*flags, "--products", "1", "--cycle-ms", "100", "--json"])
    assert fits.exit_code == 0, fits.output
    assert json.loads(fits.output)["options"][0]["model"]["make"].startswith("edge-convert")
    none = CliRunner().invoke(app, [*flags, "--products", "1", "--cycle-ms", "2"])
    assert none.exit_code == 1
    assert "No model meets all of it" in none.output


def test_a_missing_answer_without_a_terminal_names_its_flag() -> None:
    """No prompt in a script."""
    result = CliRunner().invoke(app, ["advise", "--device", "line-pc"])
    assert result.exit_code == 2
    assert "--cycle-ms is missing" in result.output


def test_an_unknown_device_lists_the_known() -> None:
    """A typo is told."""
    result = CliRunner().invoke(app, ["advise", "--device", "toaster"])
    assert result.exit_code == 2
    assert "raspberry-pi" in result.output
