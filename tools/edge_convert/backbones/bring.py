"""Turning a checkpoint or an ONNX file into a backbone that `teach` and `distill` take as it is."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import onnx

from edge_convert.backbone import load_backbone
from edge_convert.backbones.networks import build
from edge_convert.backbones.torch_file import read_tensors
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_convert.backbone import Layer

_PROBE_PX: Final = 256
_CHECKPOINTS: Final = frozenset({".pth", ".pt", ".bin"})


@dataclass(frozen=True, slots=True)
class Brought:
    """What was written."""

    path: str
    source_sha256: str
    layers: tuple[str, ...]
    """Name, channels and stride of each feature map, at 256 × 256."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    notices: tuple[str, ...]


def bring(
    source: Path,
    out: Path,
    origin: str,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    *,
    tf_padding: bool = False,
) -> Brought:
    """Write the backbone as ONNX, with its normalisation and origin in the file's metadata.

    Args:
        source: an ONNX file whose outputs are feature maps, or a PyTorch state dict of a known network.
        out: file to write; appears only once it has been loaded and run.
        origin: where the weights come from, for the metadata.
        mean: normalisation of RGB in 0…1, where the file states none or a wrong one.
        std: the same.
        tf_padding: MobileNetV2 trained by TensorFlow.

    Raises:
        ConfigError: the file is neither, or its network is not known, or `out` cannot be written.
    """
    digest = hashlib.sha256(_read(source)).hexdigest()
    metadata = {"source": origin, "source_sha256": digest}
    if source.suffix.lower() in _CHECKPOINTS:
        content = build(read_tensors(source), metadata, tf_padding=tf_padding)
    else:
        content = _annotated(source, metadata)
    unproven = _open_beside(out)
    try:
        unproven.write_bytes(content)
        loaded = load_backbone(unproven, _PROBE_PX, _PROBE_PX, mean, std)
        unproven.write_bytes(_stated(content, loaded.mean, loaded.std))
        unproven.chmod(0o644)  # mkstemp's 0600 would hide it from other users
        unproven.replace(out)
    except OSError as error:
        raise ConfigError(
            f"--out: cannot write {out}: {error.strerror}", "Free space, or choose another file."
        ) from error
    finally:
        unproven.unlink(missing_ok=True)
    layers = tuple(_described(layer) for layer in loaded.layers)
    notices = tuple(notice.replace(unproven.name, source.name) for notice in loaded.notices)
    return Brought(str(out), digest, layers, loaded.mean, loaded.std, notices)


def _described(layer: Layer) -> str:
    return f"{layer.name}: {layer.channels} channels, stride {_PROBE_PX // layer.height}"


def _open_beside(out: Path) -> Path:
    """An empty file in the same folder, under a name that nobody else has."""
    try:
        descriptor, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.", suffix=".onnx")
    except OSError as error:
        raise ConfigError(
            f"--out: cannot write into {out.parent}: {error.strerror}", "Choose another folder."
        ) from error
    os.close(descriptor)
    return Path(name)


def _read(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except OSError as error:
        raise ConfigError(f"--file: {source} cannot be read: {error.strerror}", "Check the path.") from error


def _annotated(source: Path, metadata: Mapping[str, str]) -> bytes:
    try:
        model = onnx.load_model(source)
    except Exception as error:  # onnx and protobuf share no base class for "this file is not a model"
        raise ConfigError(
            f"{source} is neither an ONNX model nor a PyTorch checkpoint", "Name an .onnx, .pth or .pt file."
        ) from error
    stated = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, {**stated, **metadata})
    return bytes(model.SerializeToString())


def _stated(content: bytes, mean: Sequence[float], std: Sequence[float]) -> bytes:
    """With the normalisation that was found or chosen, so that nobody has to remember it."""
    model = onnx.load_model_from_string(content)
    known = {entry.key: entry.value for entry in model.metadata_props}
    known["input_mean"], known["input_std"] = (", ".join(f"{value:g}" for value in row) for row in (mean, std))
    onnx.helper.set_model_props(model, known)
    return bytes(model.SerializeToString())
