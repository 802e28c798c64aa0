from __future__ import annotations

import numpy as np

from edge_convert.importing.answers import detection_of
from edge_runtime.domain.model_bundle import ColourOrder, InputSpec, Layout, Resize
from edge_runtime.vision.residual import Criterion, ResidualForm, criterion_value, entropy_histogram


def test_the_entropy_of_a_residual_is_taken_over_the_range_of_the_models_input() -> None:
    """An input of 0…255 has residuals far beyond −1…1: in one bin of that range they would have no entropy at all."""
    spec = InputSpec("x", 8, 8, Resize.AREA, ColourOrder.MONO, Layout.NCHW, "float32", scale=255.0)
    draw = np.random.default_rng(1)
    tensor = draw.uniform(0, 255, (1, 1, 8, 8)).astype(np.float32)
    drawn = draw.uniform(0, 255, (1, 1, 8, 8)).astype(np.float32)
    found = detection_of({"reconstruction": drawn}, tensor, spec, Criterion.ENTROPY).score
    residual = (tensor - drawn)[0].transpose(1, 2, 0)
    histogram = entropy_histogram(spec, ResidualForm.SIGNED)
    assert (histogram.low, histogram.high) == (-255.0, 255.0)
    assert found == criterion_value(residual, Criterion.ENTROPY, histogram)
    assert found != criterion_value(residual, Criterion.ENTROPY)
