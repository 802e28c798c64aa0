"""Make anomalib's PatchCore with a bank of a given size, export it as anomalib does, and its backbone for `teach`.

    cd tools
    ANOMALIB-ENV/bin/python -m bench.make_anomalib --images DATA/train/good --bank 16384 --out DIR [--resnet18 FILE.pth]
    ANOMALIB-ENV/bin/python -m bench.make_anomalib --backbone wide_resnet50_2 --images … --bank 16384 --out DIR

`DIR` then has `model.xml` with `model.bin`, `model.onnx`, `backbone.onnx` (outputs layer2 and layer3) and `bank.npy`.
The bank is a seeded draw of all patches of the images: its size decides the time, not which patches it holds. Backbones
without a file have random, seeded weights: for timing alone.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model_families.offline import without_downloads

_SEED = 7
_LAYERS = ["layer2", "layer3"]


def build(backbone: str, size_px: int) -> Any:
    """An unfitted PatchCore whose pre-processing is anomalib's own for that size."""
    from anomalib.models import Patchcore  # noqa: PLC0415 — the command line's help needs no anomalib

    torch.manual_seed(_SEED)
    pre_processor = Patchcore.configure_pre_processor((size_px, size_px))
    return Patchcore(backbone=backbone, layers=_LAYERS, pre_processor=pre_processor, visualizer=False, evaluator=False)


@torch.no_grad()
def patches_of(model: Any, images: Path) -> torch.Tensor:
    """Every patch of every image."""
    from anomalib.data.utils import read_image  # noqa: PLC0415 — as above

    network = model.model.train()
    network.feature_extractor.eval()
    found = []
    for path in sorted(images.iterdir()):
        image = torch.from_numpy(read_image(path, as_tensor=False).transpose(2, 0, 1)[None]).float()
        found.append(network(model.pre_processor.transform(image / max(1.0, float(image.max())))))
    network.embedding_store.clear()
    network.eval()
    return torch.cat(found)


def main() -> None:
    """Make one model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--resnet18", type=Path, help="weights (.pth, batch norm folded)")
    parser.add_argument("--images", type=Path, required=True, help="folder with good images")
    parser.add_argument("--bank", type=int, default=16_384)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    without_downloads(options.resnet18)
    options.out.mkdir(parents=True, exist_ok=True)
    model = build(options.backbone, options.size).eval()
    patches = patches_of(model, options.images)
    drawn = torch.from_numpy(np.random.default_rng(_SEED).permutation(len(patches))[: options.bank])
    model.model.memory_bank = patches[drawn].clone()
    np.save(options.out / "bank.npy", model.model.memory_bank.numpy())
    export(model, options.out, options.size)
    sys.stdout.write(f"{len(drawn)} of {len(patches)} patches of {patches.shape[1]} features; wrote {options.out}\n")


def export(model: Any, out: Path, size_px: int) -> None:
    """Both of anomalib's formats, and the backbone."""
    scratch = out / "scratch"
    # By default 2.7 traces two images at once, and PatchCore's graph then takes exactly two: its own inferencer, which
    # gives one, could not run it. Any frame size, one image:
    axes = {"dynamic_axes": {"input": {2: "height", 3: "width"}}}
    for written in (model.to_openvino(scratch, onnx_kwargs=axes), model.to_onnx(scratch, **axes)):
        for file in Path(written).parent.iterdir():
            shutil.move(file, out / file.name)
    shutil.rmtree(scratch, ignore_errors=True)
    extractor = model.model.feature_extractor
    extractor.eval()
    torch.onnx.export(
        _Ordered(extractor),
        (torch.zeros(1, 3, size_px, size_px),),
        out / "backbone.onnx",
        input_names=["input"],
        output_names=_LAYERS,
        dynamic_axes={"input": {0: "n", 2: "h", 3: "w"}},
        opset_version=17,
        dynamo=False,
    )


class _Ordered(torch.nn.Module):
    """The layers in order instead of by name."""

    def __init__(self, extractor: Any) -> None:
        super().__init__()
        self.extractor = extractor

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = self.extractor(images)
        return tuple(found[name] for name in _LAYERS)


if __name__ == "__main__":
    main()
