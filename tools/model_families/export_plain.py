"""A model that no framework knows: a convolutional autoencoder whose graph gives the residual's map and nothing else.

    cd tools
    python -m model_families.export_plain --fit data/train --images data/test --out DIR

It stands for the plain graphs that people have: its preprocessing (BGR, OpenCV's linear resize, mean and deviation of
its own) is written nowhere in the file, so the import is told by flags, which `flags.txt` beside the model holds.
Needs torch, NumPy, Pillow and OpenCV.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import torch
from PIL import Image
from torch import nn

from model_families.record_reference import find_images, record

if TYPE_CHECKING:
    import numpy.typing as npt

_SIDE_PX: Final = 192
_MEAN: Final = (0.40, 0.45, 0.50)
_STD: Final = (0.25, 0.20, 0.30)
_STEPS: Final = 120
_SEED: Final = 7
FLAGS: Final = (
    *("--input-size", f"{_SIDE_PX}x{_SIDE_PX}", "--colour", "bgr", "--resize", "linear"),
    *("--mean", ",".join(map(str, _MEAN)), "--std", ",".join(map(str, _STD))),
)


class Residual(nn.Module):
    """Autoencoder with the comparison inside: image in, squared residual smoothed over 9×9 pixels out."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 64)
        down, up = [], []
        for before, after in itertools.pairwise(widths):
            down += [nn.Conv2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
            up = [nn.ConvTranspose2d(after, before, 4, 2, 1), nn.BatchNorm2d(before), nn.ReLU(), *up]
        self.network = nn.Sequential(*down, nn.Conv2d(64, 24, 1), nn.ReLU(), nn.Conv2d(24, 64, 1), *up[:-2])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """N×3×H×W, normalised, to N×1×H×W."""
        squared = (self.network(image) - image).square().mean(dim=1, keepdim=True)
        return nn.functional.avg_pool2d(squared, 9, stride=1, padding=4)


def prepared(pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
    """The trainer's own preprocessing: linear resize without antialiasing, BGR, normalised."""
    sized = cv2.resize(pixels, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_LINEAR)
    values = (sized[:, :, ::-1].astype(np.float32) / 255.0 - np.float32(_MEAN)) / np.float32(_STD)
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))[None]


def fitted(folder: Path) -> Residual:
    """A network trained for a minute on good parts."""
    torch.manual_seed(_SEED)
    images = torch.cat([prepared(np.asarray(Image.open(file).convert("RGB"))) for file in find_images(folder)])
    model = Residual().train()
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        model(images[torch.randperm(len(images))[:4]]).mean().backward()
        optimizer.step()
    return model.eval()


def main() -> None:
    """Train, record, export."""
    parser = argparse.ArgumentParser(description="A plain autoencoder graph with its reference.")
    parser.add_argument("--fit", type=Path, required=True, help="folder with `good`: images to fit on")
    parser.add_argument("--images", type=Path, required=True, help="folder with `good` and defects: the reference")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = fitted(arguments.fit / "good")

    @torch.no_grad()
    def predict(pixels: npt.NDArray[np.uint8]) -> tuple[float, npt.NDArray[np.float32]]:
        plane = model(prepared(pixels))[0, 0].numpy()
        return float(plane.max()), plane

    arguments.out.mkdir(parents=True, exist_ok=True)
    source = f"torch {torch.__version__.split('+')[0]}, float32"
    record(predict, arguments.images, arguments.out / "reference", source)
    probe = torch.zeros(1, 3, _SIDE_PX, _SIDE_PX)
    torch.onnx.export(
        model,
        (probe,),
        arguments.out / "model.onnx",
        input_names=["x"],
        output_names=["heat"],
        opset_version=18,
        dynamo=True,
        external_data=False,
    )
    report = {"family": "autoencoder", "title": "Autoencoder (plain graph, told by flags)", "weights": "none needed"}
    (arguments.out / "export.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (arguments.out / "flags.txt").write_text("\n".join(FLAGS) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
