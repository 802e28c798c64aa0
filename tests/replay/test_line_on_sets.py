from __future__ import annotations

import pytest
from line_on_sets import run_set
from line_process import REPOSITORY

from edge_convert.precision.probe_parity import Parity

SHARED = REPOSITORY.parent / "shared"
BACKBONE = SHARED / "weights" / "resnet18_imagenet_layers1-3.onnx"


@pytest.mark.needs_shared
@pytest.mark.needs_mosquitto
@pytest.mark.timeout(900)
def test_the_line_gives_the_converters_scores_on_real_images(tmp_path) -> None:
    """Taught in INT8 on 28 good hazelnuts: one message per image, scores bit for bit those of eval.

    Every coloured one scores above every good one, and teaching keeps parity within 4 GB.
    """
    if not BACKBONE.is_file():
        pytest.skip(f"{SHARED} is not here: real images and backbones for evaluation")
    result = run_set(SHARED, BACKBONE, "hazelnut_toy", tmp_path, "--holdout", "0.3")
    assert result.images == result.distinct == 23
    assert result.scores_equal
    assert result.auroc_line == result.auroc_eval
    assert result.auroc_line == result.floor == 1.0
    assert Parity(**result.taught["parity"]).holds
    assert result.taught["peak_rss_mb"] < 4_096
