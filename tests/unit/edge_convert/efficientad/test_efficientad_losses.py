"""The losses and changes of pictures are the paper's."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from efficientad_parts import SIDE_PX, make_teacher  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from edge_convert.efficientad.augment import change_light  # noqa: E402
from edge_convert.efficientad.losses import hard_feature_loss, total_loss  # noqa: E402
from edge_convert.efficientad.model import assemble  # noqa: E402
from edge_convert.efficientad.optimise import Schedule, make_optimiser, set_rate  # noqa: E402


@settings(deadline=None, max_examples=60)
@given(count=st.integers(2, 3000), quantile=st.floats(0, 1), seed=st.integers(0, 99))
def test_hard_loss_is_the_mean_of_what_lies_at_or_above_the_quantile(count, quantile, seed):
    """Section 3.2 word by word, for every size and quantile."""
    difference = np.random.default_rng(seed).normal(size=count)
    squares = difference**2
    ranked = np.sort(squares)
    expected = ranked[int(np.ceil(quantile * (count - 1))) :].mean()
    found = hard_feature_loss(torch.from_numpy(difference), torch.zeros(count, dtype=torch.float64), quantile)
    assert float(found) == pytest.approx(expected)


def test_only_what_a_student_says_about_unrelated_pictures_is_punished():
    """The penalty is the mean square of the first half of the student's channels on them: 0 where it is silent."""
    model = assemble(make_teacher(), SIDE_PX, SIDE_PX, 0)
    model.evaluate()  # dropout would hide the difference
    images = torch.rand(4, 1, 3, SIDE_PX, SIDE_PX)

    def loss(unrelated):
        with torch.no_grad():
            return float(total_loss(model, images[0], unrelated, images[1], (0, 0, 8, 8)))

    assert loss(images[2]) != loss(images[3])
    with torch.no_grad():
        said = [float((model.student(images[k])[:, : model.channels] ** 2).mean()) for k in (2, 3)]
        assert loss(images[2]) - loss(images[3]) == pytest.approx(said[0] - said[1], rel=1e-3)
        model.student.conv4.weight[: model.channels] = 0
        model.student.conv4.bias[: model.channels] = 0
    assert loss(images[2]) == loss(images[3])


def test_the_teacher_learns_nothing():
    """Gradients reach student and autoencoder, never the teacher."""
    model = assemble(make_teacher(), SIDE_PX, SIDE_PX, 0)
    images = torch.rand(3, 2, 3, SIDE_PX, SIDE_PX)
    total_loss(model, images[0], images[1], images[2], (2, 3, 4, 5)).backward()
    assert all(value.grad is None for value in model.teacher.parameters())
    assert all(value.grad is not None for value in model.student.parameters())
    assert all(value.grad is not None for value in model.autoencoder.parameters())


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000))
def test_light_changes_by_at_most_a_fifth_and_stays_a_picture(seed):
    """One of three changes by a factor from 0.8 to 1.2: no pixel moves further than a fifth of the range."""
    rng = np.random.default_rng(seed)
    unit = torch.from_numpy(rng.random((3, 8, 8), dtype=np.float32))
    changed = change_light(unit, rng)
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1
    assert 0 < float((changed - unit).abs().max()) <= 0.2 + 1e-6


def test_the_rate_drops_to_a_tenth_at_95_percent():
    """A step's rate depends on its number alone."""
    schedule = Schedule(steps=100, batch=1)
    optimiser = make_optimiser([torch.nn.Parameter(torch.zeros(1))], schedule)
    rates = []
    for step in (0, 94, 95, 99, 10):
        set_rate(optimiser, schedule, step)
        rates.append(optimiser.param_groups[0]["lr"])
    assert rates == pytest.approx([1e-4, 1e-4, 1e-5, 1e-5, 1e-4])
