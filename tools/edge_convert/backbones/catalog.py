"""Backbones that can be fetched by name: from where, and by which hash they are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge_runtime.domain.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Source:
    """One file at its library's official place."""

    url: str
    sha256: str
    about: str


_TORCHVISION: Final = "https://download.pytorch.org/models/"

CATALOG: Final = {
    "resnet18": Source(
        f"{_TORCHVISION}resnet18-f37072fd.pth",
        "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
        "torchvision ResNet18_Weights.IMAGENET1K_V1, BSD-3-Clause; ImageNet's own terms apply to its images",
    ),
    "resnet34": Source(
        f"{_TORCHVISION}resnet34-b627a593.pth",
        "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f",
        "torchvision ResNet34_Weights.IMAGENET1K_V1, BSD-3-Clause; ImageNet's own terms apply to its images",
    ),
    "resnet50": Source(
        f"{_TORCHVISION}resnet50-0676ba61.pth",
        "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
        "torchvision ResNet50_Weights.IMAGENET1K_V1, BSD-3-Clause; ImageNet's own terms apply to its images",
    ),
    "wide_resnet50_2": Source(
        f"{_TORCHVISION}wide_resnet50_2-95faca4d.pth",
        "95faca4d11227dddf8633dbb5ff6c8a9003c1aa5b8945c73834b8007b10950b8",
        "torchvision Wide_ResNet50_2_Weights.IMAGENET1K_V1, BSD-3-Clause; ImageNet's own terms apply to its images",
    ),
}
"""The hashes begin with the eight digits that torchvision puts into the file name and checks itself."""


def find(name: str) -> Source:
    """The entry.

    Raises:
        ConfigError: unknown; names those that are known.
    """
    found = CATALOG.get(name)
    if found is None:
        raise ConfigError(
            f"no backbone is known by the name {name!r}",
            f"Choose one of {', '.join(CATALOG)}, or bring a file: edge-convert backbone --file FILE.",
        )
    return found
