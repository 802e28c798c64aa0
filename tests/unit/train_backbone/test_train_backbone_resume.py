"""Training goes on after a break as if there had been none; needs PyTorch."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from train_backbone import train as training  # noqa: E402
from train_backbone.scenes import Batch, SceneSource  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

_STEPS = 3


@pytest.fixture(scope="module")
def batches() -> list[Batch]:
    """The first steps' pictures, few and small, drawn once."""
    source = SceneSource(5)
    return [source.batch(step, 4, 64) for step in range(_STEPS)]


@pytest.fixture
def plan(tmp_path: Path) -> training.Plan:
    """A run of three steps with a CPU limit far off."""
    torch.set_num_threads(1)
    return training.Plan(seed=5, steps=_STEPS, cpu_seconds=60.0, out=tmp_path / "whole.pt")


def _learn(trainer: training.Trainer, batches: list[Batch]) -> None:
    for batch in batches[trainer.step :]:
        trainer.learn(batch)


def test_a_resumed_run_ends_like_an_uninterrupted_one(plan: training.Plan, batches: list[Batch]) -> None:
    """Every weight is equal to the bit after a stop at the second step, and the CPU time counts both legs."""
    whole = training.Trainer(plan)
    _learn(whole, batches)
    whole.save()
    broken = dataclasses.replace(plan, out=plan.out.with_name("broken.pt"))
    first = training.Trainer(broken)
    _learn(first, batches[:2])
    first.save()
    second = training.Trainer(broken)
    second.load(broken.out)
    _learn(second, batches)
    second.save()
    states = [torch.load(run.out, weights_only=True) for run in (plan, broken)]
    assert [state["step"] for state in states] == [_STEPS, _STEPS]
    assert all(torch.equal(value, states[1]["model"][name]) for name, value in states[0]["model"].items())
    assert states[1]["cpu_seconds"] > first.cpu_used - 1 > 0


def test_a_step_shows_the_same_whatever_came_before(batches: list[Batch]) -> None:
    """A run that goes on at a later step sees the pictures of an uninterrupted one."""
    late = SceneSource(5).batch(_STEPS - 1, 4, 64)
    assert np.array_equal(late.images, batches[-1].images)
    assert np.array_equal(late.classes, batches[-1].classes)


def test_a_checkpoint_of_another_run_is_refused(plan: training.Plan) -> None:
    """Another seed or length is told with the checkpoint's own figures."""
    training.Trainer(plan).save()
    for change in ({"seed": 6}, {"steps": 40}):
        other = training.Trainer(dataclasses.replace(plan, **change))
        with pytest.raises(ValueError, match="seed 5 and 3 steps"):
            other.load(plan.out)
