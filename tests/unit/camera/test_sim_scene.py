from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.camera.sim_defects import DefectKind
from edge_runtime.camera.sim_scene import DRIFT_PERIOD_PARTS, defect_of, render_good_parts, render_part


def _change(seed: int, sequence: int) -> np.ndarray:
    """Largest difference over the channels between a part and its defective twin."""
    good = render_part(seed, sequence, defective=False)
    bad = render_part(seed, sequence, defective=True)
    return np.abs(good.astype(np.int16) - bad).max(axis=2)


@given(
    seed=st.integers(-(2**63), 2**64),
    sequence=st.integers(1, 2**32 - 1),
    defective=st.booleans(),
    size=st.sampled_from([(32, 32), (320, 240), (33, 71), (96, 64)]),
)
@settings(max_examples=40, deadline=None)
def test_a_frame_is_a_function_of_its_arguments(seed, sequence, defective, size):
    """The same part looks the same to whoever asks, at any size, and nobody can write into it."""
    width, height = size
    frame = render_part(seed, sequence, defective=defective, width_px=width, height_px=height)
    again = render_part(seed, sequence, defective=defective, width_px=width, height_px=height)
    assert (frame.shape, frame.dtype) == ((height, width, 3), np.dtype(np.uint8))
    assert not frame.flags.writeable
    assert frame.flags.c_contiguous
    assert np.array_equal(frame, again)


def test_parts_and_seeds_differ():
    """No two parts are alike, nor the same part on belts with different seeds."""
    frames = [render_part(seed, n, defective=False, width_px=64, height_px=64) for seed in (1, 2) for n in (1, 2, 3)]
    assert len({frame.tobytes() for frame in frames}) == 6


def test_every_kind_of_defect_occurs():
    """The belt shows all kinds of defects, each often enough to be met in a short demo."""
    kinds = Counter(defect_of(7, sequence).kind for sequence in range(1, 501))
    assert set(kinds) == set(DefectKind)
    assert min(kinds.values()) > 50


@pytest.mark.parametrize("kind", list(DefectKind))
def test_a_defect_is_local_and_visible(kind):
    """A defect changes a small part of the picture clearly and leaves every other pixel exactly as it was."""
    for sequence in (n for n in range(1, 150) if defect_of(7, n).kind is kind):
        change = _change(7, sequence)
        assert 30 <= (change > 12).sum() <= 0.10 * change.size, f"part {sequence}"
        assert change.max() >= 30, f"part {sequence}"
        assert (change == 0).mean() > 0.80, f"part {sequence}"


def test_defects_have_many_sizes():
    """From defects that are easily missed to coarse ones: a threshold has something to decide."""
    areas = sorted(int((_change(7, n) > 12).sum()) for n in range(1, 120))
    assert areas[-10] > 5 * areas[10]


def test_the_illumination_drifts_slowly_by_the_stated_amount():
    """Brightness follows one slow cycle of the relative amplitude that was asked for."""
    levels = np.array([
        render_part(1, n, defective=False, width_px=96, height_px=64, illumination_drift=0.2).mean()
        for n in range(1, DRIFT_PERIOD_PARTS + 1, 20)
    ])  # fmt: skip
    swing = (levels.max() - levels.min()) / levels.mean() / 2
    assert 0.15 < swing < 0.22
    assert np.abs(np.diff(levels)).max() / levels.mean() < 0.09


def test_good_parts_for_teaching_cover_the_drift_and_never_pass_on_the_belt():
    """Teaching sees the whole cycle of the light, and no frame that is inspected later."""
    taught = list(render_good_parts(20, 5, width_px=96, height_px=64, illumination_drift=0.2))
    belt = {render_part(5, n, defective=False, width_px=96, height_px=64).tobytes() for n in range(1, 60)}
    assert len({frame.tobytes() for frame in taught}) == 20
    assert not belt & {frame.tobytes() for frame in taught}
    levels = [frame.mean() for frame in taught]
    assert (max(levels) - min(levels)) / np.mean(levels) > 0.3
