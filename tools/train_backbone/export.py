"""Write a trained backbone as ONNX, batch norm folded into the convolutions, with its metadata."""

from __future__ import annotations

import argparse
import contextlib
import io
from pathlib import Path
from typing import Final

import onnx
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from train_backbone.generators import CLASS_COUNT, FAMILIES
from train_backbone.network import INPUT_MEAN, INPUT_STD, Backbone, BasicBlock, PretextModel
from train_backbone.scenes import MARK_KINDS

_OPSET: Final = 17
_OUTPUTS: Final = ("layer1", "layer2", "layer3")


def _folded(conv: nn.Module, norm: nn.Module) -> nn.Conv2d:
    """Return one convolution that does what `conv` and then `norm` do in eval mode."""
    if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
        message = f"cannot fold {type(norm).__name__} into {type(conv).__name__}"
        raise TypeError(message)
    return fuse_conv_bn_eval(conv, norm)


def fold(backbone: Backbone) -> Backbone:
    """Put every batch norm of a backbone into the convolution before it; return the same object, in eval mode."""
    backbone.eval()
    backbone.stem_conv, backbone.stem_bn = _folded(backbone.stem_conv, backbone.stem_bn), nn.Identity()
    for block in [module for module in backbone.modules() if isinstance(module, BasicBlock)]:
        block.conv1, block.bn1 = _folded(block.conv1, block.bn1), nn.Identity()
        block.conv2, block.bn2 = _folded(block.conv2, block.bn2), nn.Identity()
        if isinstance(block.shortcut, nn.Sequential):
            block.shortcut = _folded(*block.shortcut)
    return backbone


def load_backbone(checkpoint: Path) -> tuple[Backbone, str]:
    """Return the backbone of a checkpoint of `train` and one line on how it was trained."""
    state = torch.load(checkpoint, weights_only=True)
    model = PretextModel(CLASS_COUNT, len(FAMILIES), MARK_KINDS)
    model.load_state_dict(state["model"])
    line = (
        f"procedural images only, {CLASS_COUNT} texture classes, seed {state['seed']}, "
        f"{state['step']} of {state['steps']} steps, {state['cpu_seconds'] / 60:.1f} CPU minutes"
    )
    return model.backbone, line


def to_onnx(network: nn.Module, outputs: tuple[str, ...]) -> onnx.ModelProto:
    """Return a network of one image as ONNX with a free batch and size; `outputs` names its feature maps."""
    sample: Tensor = torch.zeros(1, 3, 256, 256)
    axes = {name: {0: "n", 2: f"{name}_h", 3: f"{name}_w"} for name in ("input", *outputs)}
    buffer = io.BytesIO()
    with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(
            network,
            (sample,),
            buffer,  # type: ignore[arg-type]
            input_names=["input"],
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,
        )
    return onnx.load_from_string(buffer.getvalue())


def export(checkpoint: Path, target: Path) -> None:
    """Write `target`, an fp32 ONNX file of `checkpoint` that passes ONNX's own checker."""
    backbone, training = load_backbone(checkpoint)
    model = to_onnx(fold(backbone), _OUTPUTS)
    metadata = {
        "name": target.stem,
        "input_mean": ",".join(str(value) for value in INPUT_MEAN),
        "input_std": ",".join(str(value) for value in INPUT_STD),
        "licence": "Apache-2.0",
        "training": training,
    }
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    target.write_bytes(model.SerializeToString())


def main() -> None:
    """Read the command line and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("target", type=Path, help="its stem becomes the name in the metadata")
    options = parser.parse_args()
    export(options.checkpoint, options.target)


if __name__ == "__main__":
    main()
