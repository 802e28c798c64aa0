"""Models that no framework knows: an autoencoder that gives its residual's map, a VAE that gives its reconstruction.

    cd tools
    python -m model_families.export_plain --family autoencoder --fit data/train --images data/test --out DIR

They stand for the plain graphs that people have: their preprocessing (for the autoencoder BGR, OpenCV's linear resize,
mean and deviation of its own) is written nowhere in the file, so the import is told by flags, which `flags.txt` beside
the model holds. Needs torch, NumPy, Pillow and OpenCV.
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
import torch
from PIL import Image
from torch import nn

from model_families.record_reference import find_images, record

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

_SIDE_PX: Final = 192
_MEAN: Final = (0.40, 0.45, 0.50)
_STD: Final = (0.25, 0.20, 0.30)
_STEPS: Final = 120
_SEED: Final = 7
_LATENT: Final = 64
_BETA: Final = 1e-3


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


class Variational(nn.Module):
    """VAE: image in, its reconstruction from the latent distribution's mean out."""

    def __init__(self) -> None:
        super().__init__()
        self.side = _SIDE_PX // 16
        widths = (3, 16, 32, 64, 64)
        down = [
            part
            for before, after in itertools.pairwise(widths)
            for part in (nn.Conv2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.ReLU())
        ]
        up = [
            part
            for before, after in itertools.pairwise(widths[::-1])
            for part in (nn.ConvTranspose2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.ReLU())
        ]
        self.encoder = nn.Sequential(*down, nn.Flatten())
        self.moments = nn.Linear(widths[-1] * self.side**2, 2 * _LATENT)
        self.spread_out = nn.Sequential(
            nn.Linear(_LATENT, widths[-1] * self.side**2), nn.Unflatten(1, (widths[-1], self.side, self.side))
        )
        self.decoder = nn.Sequential(*up[:-2], nn.Sigmoid())

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """N×3×H×W in 0…1, to the same."""
        mean, _ = self.moments(self.encoder(image)).chunk(2, dim=1)
        drawn: torch.Tensor = self.decoder(self.spread_out(mean))
        return drawn

    def loss(self, image: torch.Tensor) -> torch.Tensor:
        """Squared error of a drawn sample, and the divergence from the normal distribution."""
        mean, log_variance = self.moments(self.encoder(image)).chunk(2, dim=1)
        sample = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        return (self.decoder(self.spread_out(sample)) - image).square().mean() + _BETA * divergence


@dataclass(frozen=True, slots=True)
class Plain:
    """One kind of model."""

    title: str
    build: Callable[[], nn.Module]
    prepare: Callable[[npt.NDArray[np.uint8]], torch.Tensor]
    loss: Callable[[Any, torch.Tensor], torch.Tensor]
    answer: Callable[[torch.Tensor, torch.Tensor], tuple[float, npt.NDArray[np.float32]]]
    """From the prepared image and the graph's output to score and map."""
    output: str
    flags: tuple[str, ...]


def _normalised(pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Linear resize without antialiasing, BGR, normalised."""
    sized = cv2.resize(pixels, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_LINEAR)
    return _tensor((sized[:, :, ::-1].astype(np.float32) / 255.0 - np.float32(_MEAN)) / np.float32(_STD))


def _averaged(pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Means over areas, RGB in 0…1."""
    sized = cv2.resize(pixels, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
    return _tensor(sized.astype(np.float32) / 255.0)


def _tensor(values: npt.NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))[None]


def _largest(_: torch.Tensor, output: torch.Tensor) -> tuple[float, npt.NDArray[np.float32]]:
    plane = output[0, 0].numpy()
    return float(plane.max()), plane


def _residual(image: torch.Tensor, output: torch.Tensor) -> tuple[float, npt.NDArray[np.float32]]:
    residual = (image - output)[0].numpy()
    return float(np.square(residual, dtype=np.float64).mean()), np.abs(residual).mean(axis=0)


PLAIN: Final = {
    "autoencoder": Plain(
        "Autoencoder (plain graph, told by flags)",
        Residual,
        _normalised,
        lambda model, images: model(images).mean(),
        _largest,
        "heat",
        (
            *("--input-size", f"{_SIDE_PX}x{_SIDE_PX}", "--colour", "bgr", "--resize", "linear"),
            *("--mean", ",".join(map(str, _MEAN)), "--std", ",".join(map(str, _STD))),
        ),
    ),
    "vae": Plain(
        "VAE (plain graph that gives its reconstruction)",
        Variational,
        _averaged,
        lambda model, images: model.loss(images),
        _residual,
        "drawn",
        ("--output", "reconstruction=drawn", "--criterion", "mse", "--resize", "area", "--scale", "1"),
    ),
}


def fitted(plain: Plain, folder: Path) -> nn.Module:
    """A network trained for a minute on good parts."""
    torch.manual_seed(_SEED)
    images = torch.cat([plain.prepare(np.asarray(Image.open(file).convert("RGB"))) for file in find_images(folder)])
    model = plain.build().train()
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        plain.loss(model, images[torch.randperm(len(images))[:4]]).backward()
        optimizer.step()
    return model.eval()


def main() -> None:
    """Train, record, export."""
    parser = argparse.ArgumentParser(description="A plain graph with its reference.")
    parser.add_argument("--family", choices=sorted(PLAIN), default="autoencoder")
    parser.add_argument("--fit", type=Path, required=True, help="folder with `good`: images to fit on")
    parser.add_argument("--images", type=Path, required=True, help="folder with `good` and defects: the reference")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    plain = PLAIN[arguments.family]
    model = fitted(plain, arguments.fit / "good")

    @torch.no_grad()
    def predict(pixels: npt.NDArray[np.uint8]) -> tuple[float, npt.NDArray[np.float32]]:
        image = plain.prepare(pixels)
        return plain.answer(image, model(image))

    arguments.out.mkdir(parents=True, exist_ok=True)
    source = f"torch {torch.__version__.split('+')[0]}, float32"
    record(predict, arguments.images, arguments.out / "reference", source)
    torch.onnx.export(
        model,
        (torch.zeros(1, 3, _SIDE_PX, _SIDE_PX),),
        arguments.out / "model.onnx",
        input_names=["x"],
        output_names=[plain.output],
        opset_version=18,
        dynamo=True,
        external_data=False,
    )
    report = {"family": arguments.family, "title": plain.title, "weights": "none needed"}
    (arguments.out / "export.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (arguments.out / "flags.txt").write_text("\n".join(plain.flags) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
