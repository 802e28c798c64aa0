"""The scattering backbone: computed filters in plain ONNX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_convert.backbone import choose_layers, load_backbone
from train_backbone.scattering import BLOCKS, gabor, scattering, write

_SHIPPED = Path(__file__).resolve().parents[3] / "models" / "backbones" / "procedural_scattering_v2.onnx"


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    """The network, loaded once."""
    return onnxruntime.InferenceSession(scattering().SerializeToString(), providers=["CPUExecutionProvider"])


def _blocks(session: onnxruntime.InferenceSession, image: np.ndarray) -> dict[str, np.ndarray]:
    (features,) = session.run(None, {"input": np.asarray(image, np.float32)[None]})
    bounds = np.cumsum([0, *BLOCKS.values()])
    return {block: features[0, first:end] for block, first, end in zip(BLOCKS, bounds, bounds[1:], strict=False)}


def _grating(angle: float, wavelength: float = 8.0, size: int = 64) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / wavelength)
    return np.repeat(wave[None], 3, 0)


def test_the_shipped_file_is_what_the_code_writes(tmp_path: Path) -> None:
    """The filters are computed: the file in the repository holds them, and is small."""
    made = tmp_path / _SHIPPED.name
    write(made)
    image = np.random.default_rng(1).normal(size=(1, 3, 64, 96)).astype(np.float32)
    pair = [onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]) for path in (made, _SHIPPED)]
    ours, shipped = (session.run(None, {"input": image})[0] for session in pair)
    np.testing.assert_allclose(ours, shipped, rtol=1e-4, atol=1e-4)
    assert _SHIPPED.stat().st_size < 1e6


def test_teach_takes_the_shipped_file_as_it_is() -> None:
    """Without --layers and --mean: all 230 channels at stride 8, the file's own normalisation, no notice."""
    backbone = load_backbone(_SHIPPED, 96, 128)
    chosen = choose_layers(backbone, ())
    assert [(layer.name, layer.channels, layer.height, layer.width) for layer in chosen] == [
        ("scattering", 230, 12, 16)
    ]
    assert (backbone.mean, backbone.std) == ((0.5,) * 3, (0.25,) * 3)
    assert backbone.notices == ()


@settings(max_examples=25, deadline=None)
@given(height=st.integers(16, 90), width=st.integers(16, 90))
def test_every_size_has_its_cells(session: onnxruntime.InferenceSession, height: int, width: int) -> None:
    """Sides that are no whole number of cells are rounded up, and all kinds of features agree on the grid."""
    (features,) = session.run(None, {"input": np.zeros((1, 3, height, width), np.float32)})
    assert features.shape == (1, 230, -(-height // 8), -(-width // 8))
    assert np.isfinite(features).all()


@settings(max_examples=20, deadline=None)
@given(colour=st.tuples(*[st.floats(-2.0, 2.0)] * 3))
def test_a_flat_ground_has_a_colour_and_no_texture(
    session: onnxruntime.InferenceSession, colour: tuple[float, ...]
) -> None:
    """Only the block of colours tells one flat picture from another, at the border as well."""
    blocks = _blocks(session, np.broadcast_to(np.array(colour)[:, None, None], (3, 64, 64)))
    grey = _blocks(session, np.zeros((3, 64, 64)))
    for block in ("luma", "polarity", "chroma", "second"):
        np.testing.assert_allclose(blocks[block], grey[block], atol=2e-2)


@pytest.mark.parametrize("step", range(8))
def test_a_grating_is_told_by_its_direction_and_octave(session: onnxruntime.InferenceSession, step: int) -> None:
    """The strongest of the 4 octaves x 8 directions is the grating's own, and its phase does not matter."""
    picture = _grating(np.pi * step / 8)
    answers = _blocks(session, picture)["luma"][:, 2:-2, 2:-2]
    assert int(answers.mean((1, 2)).argmax()) == 8 + step  # wavelength 8 is the second octave's
    shifted = _blocks(session, np.roll(picture, 3, 2))["luma"][:, 2:-2, 2:-2]
    np.testing.assert_allclose(shifted[8 + step].mean(), answers[8 + step].mean(), rtol=0.05)


def test_bright_and_dark_lines_differ_in_polarity_alone(session: onnxruntime.InferenceSession) -> None:
    """A negative has the moduli of its picture, and the two polarities change places."""
    picture = np.zeros((3, 64, 64))
    picture[:, :, 30:32] = 1.0
    bright, dark = _blocks(session, picture), _blocks(session, -picture)
    np.testing.assert_allclose(bright["luma"], dark["luma"], atol=1e-4)
    first, second = np.split(bright["polarity"].reshape(4, 16, 8, 8), 2, axis=1)
    swapped = np.concatenate([second, first], 1).reshape(64, 8, 8)
    np.testing.assert_allclose(dark["polarity"], swapped, atol=1e-4)
    assert not np.allclose(first, second, atol=1e-2)


def test_filters_are_blind_to_a_flat_ground() -> None:
    """Even and odd filters sum to zero."""
    even, odd = gabor(8)
    np.testing.assert_allclose(even.sum((1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(odd.sum((1, 2)), 0, atol=1e-6)
