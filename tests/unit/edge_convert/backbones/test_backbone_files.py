from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from edge_convert.backbones.bring import bring
from edge_convert.backbones.networks import build
from edge_convert.backbones.torch_file import read_tensors
from edge_runtime.domain.errors import ConfigError

_WEIGHTS = Path(__file__).parents[5] / "shared" / "weights"


class _Payload:
    """Runs a command when it is unpickled by a trusting reader."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self._mark,)


def _zipped(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
    return path


def _resnet_tensors(*, bottleneck: bool) -> dict[str, np.ndarray]:
    """A narrow ResNet with one block a stage, folded."""
    draw = np.random.default_rng(3)
    tensors = {"conv1.weight": draw.normal(0, 0.1, (8, 3, 7, 7)), "conv1.bias": draw.normal(0, 0.1, 8)}
    inputs = 8
    for stage, width in enumerate((8, 12, 16), start=1):
        outputs = width * 2 if bottleneck else width
        shapes = (
            [(width, inputs, 1), (width, width, 3), (outputs, width, 1)]
            if bottleneck
            else [(width, inputs, 3), (width, width, 3)]
        )
        for number, (out, source, side) in enumerate(shapes, start=1):
            tensors[f"layer{stage}.0.conv{number}.weight"] = draw.normal(0, 0.1, (out, source, side, side))
            tensors[f"layer{stage}.0.conv{number}.bias"] = draw.normal(0, 0.1, out)
        tensors[f"layer{stage}.0.downsample.0.weight"] = draw.normal(0, 0.1, (outputs, inputs, 1, 1))
        tensors[f"layer{stage}.0.downsample.0.bias"] = np.zeros(outputs)
        inputs = outputs
    return {name: value.astype(np.float32) for name, value in tensors.items()}


@pytest.mark.parametrize("bottleneck", [False, True])
def test_a_resnet_gets_one_output_per_stage_at_strides_4_8_16(*, bottleneck: bool) -> None:
    """Both kinds of blocks, without a network's name being said."""
    session = onnxruntime.InferenceSession(build(_resnet_tensors(bottleneck=bottleneck), {}, tf_padding=False))
    found = session.run(None, {"input": np.zeros((1, 3, 64, 96), np.float32)})
    factor = 2 if bottleneck else 1
    assert [value.shape for value in found] == [
        (1, 8 * factor, 16, 24),
        (1, 12 * factor, 8, 12),
        (1, 16 * factor, 4, 6),
    ]


def test_a_batch_norm_is_folded_into_its_convolution() -> None:
    """The folded graph computes what convolution and batch norm compute one after the other."""
    tensors = _resnet_tensors(bottleneck=False)
    draw = np.random.default_rng(4)
    plain = build(tensors, {}, tf_padding=False)
    gamma, beta, mean, variance = (draw.uniform(0.5, 2, 8).astype(np.float32) for _ in range(4))
    tensors |= {
        "bn1.weight": gamma,
        "bn1.bias": beta,
        "bn1.running_mean": mean,
        "bn1.running_var": variance,
    }
    scale = gamma / np.sqrt(variance.astype(np.float64) + 1e-5)
    by_hand = dict(tensors)
    by_hand["conv1.weight"] = (tensors["conv1.weight"] * scale[:, None, None, None]).astype(np.float32)
    by_hand["conv1.bias"] = (beta + (tensors["conv1.bias"] - mean) * scale).astype(np.float32)
    for name in ("weight", "bias", "running_mean", "running_var"):
        del by_hand[f"bn1.{name}"]
    image = draw.normal(size=(1, 3, 32, 32)).astype(np.float32)
    folded, expected, without = (
        onnxruntime.InferenceSession(model).run(["layer3"], {"input": image})[0]
        for model in (build(tensors, {}, tf_padding=False), build(by_hand, {}, tf_padding=False), plain)
    )
    np.testing.assert_allclose(folded, expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(folded, without, rtol=1e-2)


@pytest.mark.parametrize("wrap", [False, True])
def test_a_checkpoint_that_runs_code_is_refused_and_runs_none(tmp_path: Path, *, wrap: bool) -> None:
    """In both layouts: the reader knows tensors and nothing else."""
    mark = tmp_path / "ran"
    evil = pickle.dumps({"weight": _Payload(mark)}, protocol=2)
    path = tmp_path / "evil.pth"
    if wrap:
        _zipped(path, evil)
    else:
        head = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
        path.write_bytes(head + evil)
    with pytest.raises(ConfigError, match="no tensor"):
        read_tensors(path)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"\x80\x02}q\x00.", b"hello"])
def test_what_is_no_checkpoint_is_told_so(tmp_path: Path, content: bytes) -> None:
    """Empty, cut, of another kind: one typed error, with what to do instead."""
    path = tmp_path / "backbone.pth"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="state dict"):
        read_tensors(path)


def test_an_archive_without_an_index_is_refused(tmp_path: Path) -> None:
    """A ZIP of something else."""
    with zipfile.ZipFile(tmp_path / "other.pth", "w") as archive:
        archive.writestr("readme.txt", "no weights here")
    with pytest.raises(ConfigError, match=r"no data\.pkl"):
        read_tensors(tmp_path / "other.pth")


def test_an_unknown_network_is_named_by_its_tensors() -> None:
    """The message shows what is in the file, and the way out."""
    with pytest.raises(ConfigError, match=r"encoder\.weight") as caught:
        build({"encoder.weight": np.zeros((2, 2), np.float32)}, {}, tf_padding=False)
    assert "ONNX" in caught.value.action


@pytest.mark.parametrize("legacy", [False, True])
def test_both_of_pytorchs_layouts_give_the_saved_tensors(tmp_path: Path, *, legacy: bool) -> None:
    """Written by PyTorch itself; transposed views and shared storages included."""
    torch = pytest.importorskip("torch", reason="needs the extra `train`")
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    state = {"a": base, "view": base.t()[1:3], "half": base.half(), "count": torch.tensor(7)}
    path = tmp_path / "state.pth"
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    found = read_tensors(path)
    assert {name: value.tolist() for name, value in found.items()} == {n: v.tolist() for n, v in state.items()}
    assert found["half"].dtype == np.float16


@pytest.mark.needs_shared
@pytest.mark.parametrize(
    ("checkpoint", "onnx_file", "tf_padding"),
    [
        ("resnet18_imagenet_layers1-3_bnfolded.pth", "resnet18_imagenet_layers1-3.onnx", False),
        ("mobilenet_v2_1.0_imagenet_int8dequant.pth", "mobilenet_v2_1.0_imagenet_features.onnx", True),
    ],
)
def test_a_real_checkpoint_gives_the_features_of_its_onnx_export(
    checkpoint: str, onnx_file: str, *, tf_padding: bool
) -> None:
    """Every feature map of the published export, to float32 rounding."""
    if not (_WEIGHTS / checkpoint).is_file():
        pytest.skip("needs the evaluation backbones in ../shared/weights")
    image = np.random.default_rng(0).normal(size=(1, 3, 96, 128)).astype(np.float32)
    ours = onnxruntime.InferenceSession(build(read_tensors(_WEIGHTS / checkpoint), {}, tf_padding=tf_padding))
    theirs = onnxruntime.InferenceSession((_WEIGHTS / onnx_file).read_bytes())
    found = {value.shape: value for value in ours.run(None, {"input": image})}
    for expected in theirs.run(None, {theirs.get_inputs()[0].name: image}):
        np.testing.assert_allclose(found[expected.shape], expected, rtol=1e-4, atol=1e-4)


def test_a_brought_file_says_where_it_comes_from_and_how_to_normalise(tmp_path: Path) -> None:
    """`teach` needs no --mean and --std for it."""
    source = tmp_path / "mine.onnx"
    source.write_bytes(build(_resnet_tensors(bottleneck=False), {}, tf_padding=False))
    brought = bring(source, tmp_path / "out.onnx", "file mine.onnx", (0.1, 0.2, 0.3), (0.5, 0.5, 0.5))
    session = onnxruntime.InferenceSession((tmp_path / "out.onnx").read_bytes())
    stated = session.get_modelmeta().custom_metadata_map
    assert stated["input_mean"] == "0.1, 0.2, 0.3"
    assert stated["source"] == "file mine.onnx"
    assert stated["source_sha256"] == brought.source_sha256
    assert brought.layers[1] == "layer2: 12 channels, stride 8"


def test_a_file_that_is_no_backbone_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither the output nor a temporary file."""
    source = tmp_path / "note.onnx"
    source.write_bytes(io.BytesIO(b"not a model").getvalue())
    with pytest.raises(ConfigError, match="neither an ONNX model"):
        bring(source, tmp_path / "out.onnx", "file")
    assert [path.name for path in tmp_path.iterdir()] == ["note.onnx"]


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A folder where the file is to be, as a full disk is: words, and no temporary file."""
    source = tmp_path / "mine.onnx"
    source.write_bytes(build(_resnet_tensors(bottleneck=False), {}, tf_padding=False))
    (tmp_path / "taken.onnx").mkdir()
    with pytest.raises(ConfigError, match="--out: cannot write"):
        bring(source, tmp_path / "taken.onnx", "file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.onnx", "taken.onnx"]
