"""What is solved for, instead of learnt, is the best answer, and the same every time."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from efficientad_parts import SIDE_PX, good_parts, make_teacher  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from edge_convert.efficientad.data import UnrelatedScenes  # noqa: E402
from edge_convert.efficientad.device import Device  # noqa: E402
from edge_convert.efficientad.exemplars import start_on_exemplars  # noqa: E402
from edge_convert.efficientad.model import assemble  # noqa: E402
from edge_convert.efficientad.networks import PdnSize, make_pdn  # noqa: E402
from edge_convert.efficientad.quantiles import measure_teacher  # noqa: E402
from edge_convert.efficientad.readout import Moments, inputs_of, last_of, put, solve, weights_of  # noqa: E402
from edge_convert.efficientad.solved import SILENCE, solve_student  # noqa: E402
from edge_convert.progress import Silent  # noqa: E402

_CPU = Device("cpu", bf16=False)


@settings(deadline=None, max_examples=6)
@given(
    size=st.sampled_from(PdnSize),
    height=st.integers(36, 60),
    width=st.integers(36, 60),
    seed=st.integers(0, 99),
)
def test_rows_times_weights_are_what_the_last_convolution_says(size, height, width, seed):
    """At every cell of any picture, for both networks: so a solution for rows is one for the convolution."""
    torch.manual_seed(seed)
    network = make_pdn(size, 3)
    image = torch.rand(1, 3, height, width)
    with torch.inference_mode():
        expected = network(image)[0].flatten(1).T
        rows = inputs_of(network, image, torch.arange(len(expected)))
        torch.testing.assert_close(rows @ weights_of(last_of(network)), expected, rtol=1e-3, atol=1e-4)


def test_solving_finds_the_weights_that_made_the_answers():
    """With more rows than inputs and hardly any ridge they come back; a strong ridge leaves the mean alone."""
    network = make_pdn(PdnSize.M, 5)
    draw = torch.Generator().manual_seed(1)
    moments = Moments(network, 5, "cpu")
    truth = torch.randn(6, 5, generator=draw)
    for _ in range(3):
        inputs = torch.cat([torch.randn(50, 5, generator=draw), torch.ones(50, 1)], dim=1)
        moments.add(inputs, inputs @ truth)
    torch.testing.assert_close(solve(moments.inputs, moments.answers, 1e-9), truth, rtol=1e-3, atol=1e-3)
    shrunk = solve(moments.inputs, moments.answers, 1e6)
    assert float(shrunk[:-1].abs().max()) < 1e-4
    torch.testing.assert_close(shrunk[-1], moments.answers[-1], rtol=1e-3, atol=1e-3)


def test_weights_go_into_a_convolution_and_come_out_again():
    """Each in its place."""
    last = last_of(make_pdn(PdnSize.S, 6))
    wanted = torch.randn(weights_of(last).shape)
    put(last, wanted)
    torch.testing.assert_close(weights_of(last), wanted)


@pytest.mark.parametrize("size", list(PdnSize))
def test_exemplars_give_every_filter_unit_deviation_and_stay_the_same(size):
    """On the pictures that they were taken from, layer after layer; the last layer stays as it was."""
    images = torch.rand(4, 3, 48, 48, generator=torch.Generator().manual_seed(3))
    networks = [make_pdn(size, 3) for _ in range(2)]
    last = weights_of(last_of(networks[0]))
    for network in networks:
        start_on_exemplars(network, images, np.random.default_rng(5))
    for name, values in networks[0].state_dict().items():
        if not name.startswith("conv6" if size is PdnSize.M else "conv4"):
            torch.testing.assert_close(values, networks[1].state_dict()[name], rtol=0, atol=0)
    torch.testing.assert_close(weights_of(last_of(networks[0])), last)
    with torch.inference_mode():
        first = networks[0].conv1(images)
    torch.testing.assert_close(first.std((0, 2, 3)), torch.ones(first.shape[1]), rtol=0.2, atol=0)


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    """A model whose student was solved for, good parts, and pictures of other things."""
    model = assemble(make_teacher(), SIDE_PX, SIDE_PX, 0)
    parts, unrelated = good_parts(tmp_path_factory.mktemp("good"), 12), UnrelatedScenes(SIDE_PX, SIDE_PX)
    measure_teacher(model, parts, 100, _CPU, Silent())
    solve_student(model, parts, unrelated, SILENCE[PdnSize.S], _CPU, 0, Silent())
    return model, parts, unrelated


def _errors(model, pictures):
    """Mean squared error of the student against teacher and autoencoder."""
    images = _CPU.normalised(_CPU.tensor(pictures))
    with torch.inference_mode():
        local, logical = model.raw_maps(images)
        return float(local.mean()), float(logical.mean())


def test_a_solved_student_says_what_the_teacher_says_about_good_parts_and_little_else(solved):
    """It misses good parts by a small share of the teacher's variance, and is far from it on other pictures."""
    model, parts, _ = solved
    good, imitation = _errors(model, [parts.picture(index) for index in range(len(parts))])
    other = UnrelatedScenes(SIDE_PX, SIDE_PX)
    strange, _ = _errors(model, [other.picture(9, number) for number in range(12)])
    assert good < 0.3
    assert strange > 3 * good
    assert imitation < 0.3


def test_a_solved_student_has_the_teachers_layers(solved):
    """All but the last, to the bit."""
    model, _, _ = solved
    own, teachers = model.student.state_dict(), model.teacher.state_dict()
    for name, values in teachers.items():
        assert name.startswith("conv4") or torch.equal(own[name], values)


def test_the_more_silence_is_asked_for_the_less_a_student_says_of_strange_things_and_of_good_parts(tmp_path):
    """What is suppressed for one is imitated for the other: the weight trades them."""
    model = assemble(make_teacher(size=PdnSize.XS), SIDE_PX, SIDE_PX, 0, autoencoder=False)
    parts, unrelated = good_parts(tmp_path, 6), UnrelatedScenes(SIDE_PX, SIDE_PX)
    measure_teacher(model, parts, 100, _CPU, Silent())
    good = _CPU.normalised(_CPU.tensor([parts.picture(index) for index in range(len(parts))]))
    strange = _CPU.normalised(_CPU.tensor([unrelated.picture(0, number) for number in range(12)]))
    found = []
    for silence in (0.01, 10.0):
        solve_student(model, parts, unrelated, silence, _CPU, 0, Silent())
        with torch.inference_mode():
            found.append((float((model.student(strange) ** 2).mean()), float(model.raw_maps(good)[0].mean())))
    (loud, near), (quiet, far) = found
    assert quiet < loud
    assert near < far
