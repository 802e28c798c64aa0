"""Tiles and masks: what the networks learn from, and what counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from efficientad_parts import SIDE_PX, good_parts, make_teacher, write_teacher_file  # noqa: E402
from tiny_backbone import draw_part, write_parts  # noqa: E402

from edge_convert.convert.source import ConvertOptions  # noqa: E402
from edge_convert.efficientad.device import Device  # noqa: E402
from edge_convert.efficientad.losses import autoencoder_loss, total_loss  # noqa: E402
from edge_convert.efficientad.model import assemble  # noqa: E402
from edge_convert.efficientad.networks import PdnSize  # noqa: E402
from edge_convert.efficientad.optimise import Schedule  # noqa: E402
from edge_convert.efficientad.options import EfficientAdOptions  # noqa: E402
from edge_convert.efficientad.parts import as_inspected  # noqa: E402
from edge_convert.efficientad.quantiles import measure_quantiles  # noqa: E402
from edge_convert.efficientad.run import train_efficientad  # noqa: E402
from edge_convert.images import load_image  # noqa: E402
from edge_convert.progress import Silent  # noqa: E402
from edge_convert.teaching.area import AreaOptions  # noqa: E402
from edge_runtime.app.inspection import load_inspector  # noqa: E402
from edge_runtime.config.engine import EngineSettings  # noqa: E402
from edge_runtime.domain.errors import ConfigError  # noqa: E402
from edge_runtime.domain.model_bundle import ColourOrder, InputSpec, Layout, Resize, Tiles  # noqa: E402
from edge_runtime.ops.clock import SystemClock  # noqa: E402
from edge_runtime.vision.encode import encode_png  # noqa: E402

_ENGINE = EngineSettings(name="onnxruntime", threads=1)
_FRAME_PX = (96, 128)


def _left_half() -> np.ndarray:
    mask = np.zeros(_FRAME_PX, np.bool_)
    mask[:, :64] = True
    return mask


def test_every_tile_of_every_part_is_a_picture_to_learn_from(tmp_path):
    """Two by two tiles without overlap are the quarters of the frame, each resized by itself."""
    parts = good_parts(tmp_path / "good", 3, tiles=Tiles(2, 2, 0.0))
    assert len(parts) == 12
    frame = load_image(tmp_path / "good" / "part-001.png")
    spec = InputSpec("image", SIDE_PX, SIDE_PX, Resize.AREA, ColourOrder.RGB, Layout.NHWC, "uint8")
    quarters = [frame[:48, :64], frame[:48, 64:], frame[48:, :64], frame[48:, 64:]]
    for place, quarter in enumerate(quarters):
        np.testing.assert_array_equal(parts.picture(4 + place), as_inspected(quarter, spec))


def test_a_tile_of_which_nothing_is_inspected_is_not_learnt(tmp_path):
    """Behind a mask over the right half only the left tiles are pictures, and all of them counts."""
    parts = good_parts(tmp_path / "good", 3, mask=_left_half(), tiles=Tiles(1, 2, 0.0))
    assert len(parts) == 3
    assert parts.cells(0) is None
    assert parts.pixels(2) is None


def test_cells_and_pixels_behind_a_mask_do_not_count(tmp_path):
    """Of a picture of 64 pixels the left half: of its eight inner columns of cells the first four, and 32 of pixels."""
    parts = good_parts(tmp_path / "good", 2, mask=_left_half())
    cells, pixels = parts.cells(1), parts.pixels(1)
    assert cells.shape == (8, 8)
    assert pixels.shape == (64, 64)
    assert cells[:, :4].all()
    assert not cells[:, 4:].any()
    assert pixels[:, :32].all()
    assert not pixels[:, 32:].any()


def test_what_the_networks_say_behind_a_mask_costs_nothing():
    """Losses do not change with what the autoencoder says there, and do with what it says elsewhere."""
    model = assemble(make_teacher(), SIDE_PX, SIDE_PX, 0)
    model.evaluate()
    images = torch.rand(3, 2, 3, SIDE_PX, SIDE_PX)
    counted = torch.zeros(2, 8, 8, dtype=torch.bool)
    counted[0, :, :4] = True
    rebuilt = model.autoencoder(images[2]).detach()
    behind, before = rebuilt.clone(), rebuilt.clone()
    behind[0, :, :, 4:] += 5
    behind[1] += 5
    before[0, :, :, 0] += 5

    def losses(answer):
        model.autoencoder = lambda _: answer
        window = (0, 0, 8, 8)
        with torch.no_grad():
            return [
                float(total_loss(model, images[0], images[1], images[2], window, counted)),
                float(autoencoder_loss(model, images[2], window, counted)),
            ]

    assert losses(behind) == losses(rebuilt)
    assert all(one != other for one, other in zip(losses(before), losses(rebuilt), strict=True))


def test_quantiles_are_those_of_the_inspected_pixels(tmp_path):
    """What a map holds behind the mask moves none of them."""
    parts = good_parts(tmp_path / "good", 2, mask=_left_half())
    plane = torch.rand(1, 1, SIDE_PX, SIDE_PX)
    other = plane.clone()
    other[..., 32:] = 100

    class _Fixed:
        def __init__(self, values) -> None:
            self._values = values

        def evaluate(self):
            """Nothing to switch off."""

        def raw_maps(self, _):
            return self._values, self._values

    found = []
    for values in (plane, other):
        fixed = _Fixed(values)
        measure_quantiles(fixed, parts, 10, Device("cpu", bf16=False), Silent())
        found.append(fixed.student_quantiles)
    assert found[0] == found[1]
    assert found[0].upper < 1


@pytest.fixture
def options(tmp_path) -> EfficientAdOptions:
    """Frames in two tiles, of which a mask leaves the left three quarters."""
    mask = np.full(_FRAME_PX, 255, np.uint8)
    mask[:, 96:] = 0
    (tmp_path / "mask.png").write_bytes(encode_png(mask))
    return EfficientAdOptions(
        images=write_parts(tmp_path / "good", 20),
        teacher=write_teacher_file(tmp_path / "teacher.npz", PdnSize.XS),
        convert=ConvertOptions(tmp_path / "x.bundle", "tiny", "1", _ENGINE, precision="fp32", golden=1),
        checkpoint=tmp_path / "x.checkpoint",
        size=PdnSize.XS,  # solved for in a fraction of S's time
        student="solved",
        schedule=Schedule(steps=0, batch=1),
        height_px=64,
        width_px=64,
        area=AreaOptions("1x2", 0.1, tmp_path / "mask.png"),
        device="cpu",
        threads=1,
    )


def test_a_bundle_of_tiles_and_mask_equals_pytorch_piece_by_piece(options):
    """Parity is that of rounding, the bundle cuts its frames, and what happens behind the mask moves no map there."""
    report = train_efficientad(options, Silent(), SystemClock())
    figures = report.conversion.plain_figures
    assert report.conversion.reference.endswith("piece by piece")
    assert figures.good_drift < 1e-3
    assert figures.map_correlation > 0.9999
    with load_inspector(options.convert.out, _ENGINE, "development") as inspector:
        assert inspector.bundle.input_spec.tiles == Tiles(1, 2, 0.1)
        found = inspector.detector.inspect((draw_part(77),))
    assert found.anomaly_map.shape[1] > found.anomaly_map.shape[0]
    assert not found.anomaly_map[:, -10:].any()


def test_an_impossible_grid_is_refused_before_anything_is_read(options):
    """The message names the option."""
    with pytest.raises(ConfigError, match="--tiles"):
        train_efficientad(replace(options, area=AreaOptions("99x1")), Silent(), SystemClock())
