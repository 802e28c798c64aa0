from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from brightest import SPEC, brightest
from bundle_parts import make_draft

from edge_runtime.app.combine import open_members
from edge_runtime.app.models import open_file
from edge_runtime.bundles.writer import write_bundle
from edge_runtime.config.line import LineConfig
from edge_runtime.domain.errors import BundleError
from edge_runtime.domain.model_bundle import Calibration, DetectorKind, GoldenImage
from edge_runtime.domain.verdict import Limits
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, review: float) -> Path:
    """A bundle that scores the brightest pixel; its golden image 0.2."""
    limits = Limits(review, 1.0)
    fields: dict[str, object] = {"input_spec": SPEC, "graphs": {"model": "m.onnx"}, "outputs": {"score": "score"}}
    fields |= {"name": path.stem, "kind": DetectorKind.GENERIC, "parameters": {}}
    fields |= {"calibration": Calibration(limits, (0.1, 0.1, 0.1), 0.0, (0.2, 0.3), ())}
    fields |= {"golden": (GoldenImage("g.png", 0.2, 0.001, "PASS" if review > 0.2 else "REVIEW"),)}
    picture = encode_png(np.full((8, 8), 51, np.uint8))
    write_bundle(path, make_draft(**fields), {"m.onnx": brightest(), "g.png": picture})
    return path


def opened(folder: Path, reviews: tuple[float, float], *, own_limits=None, member_limits=None) -> int:
    """How many further models a cascade has, whose first two doubts are given in percent."""
    member = {"bundle": write(folder / "second.bundle", reviews[1]), "doubt_to_percent": 150}
    last = {"bundle": write(folder / "third.bundle", 0.5)}
    member |= {} if member_limits is None else {"limits": member_limits}
    combine = {"rule": "cascade", "doubt_from_percent": 85, "members": (member, last)}
    recipe = {"combine": combine} | ({} if own_limits is None else {"limits": own_limits})
    config = LineConfig.model_validate(
        {
            "device": {"name": "line", "state_dir": folder},
            "bundle": {"path": write(folder / "first.bundle", reviews[0])},
            "camera": {"kind": "sim"},
            "engine": {"name": "onnxruntime", "threads": 1},
            "recipe": recipe,
        }
    )
    with open_file(config) as own:
        members = open_members(config, own)
    for one in members:
        one.inspector.close()
    return len(members)


SOUND = {"review": 0.4, "reject": 0.9}
ZERO = {"review": 0.0, "reject": 0.9}


@pytest.mark.parametrize("which", ["own", "member"])
def test_percentages_are_of_the_limits_in_force(tmp_path: Path, which: str) -> None:
    """Not of those that the configuration has replaced: neither refused for them, nor let in for them."""
    place = {"own": 0, "member": 1}[which]
    without_scale = tuple(0.0 if number == place else 0.5 for number in range(2))
    assert opened(tmp_path, without_scale, **{f"{which}_limits": SOUND}) == 2
    with pytest.raises(BundleError, match="review limit is 0"):
        opened(tmp_path, without_scale)
    with pytest.raises(BundleError, match="review limit is 0"):
        opened(tmp_path, (0.5, 0.5), **{f"{which}_limits": ZERO})
