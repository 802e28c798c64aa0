"""Let anomalib build its models without the hubs that it downloads weights from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_BATCH_NORM_EPSILON = 1e-5
_CODE_IMAGES = 4


def without_downloads(resnet18: Path | None = None) -> None:
    """Make every backbone that is built from now on random, but seeded; call it before a model is built.

    Args:
        resnet18: state dict (.pth) of a ResNet-18 up to layer3 with its batch norm folded into biases; loaded into
            every ResNet-18 that timm is asked for with pretrained weights. Without it that one is random too.
    """
    import open_clip  # noqa: PLC0415 — patched only where models are built
    import timm  # noqa: PLC0415 — likewise
    import torchvision.models  # noqa: PLC0415 — likewise

    weights = None if resnet18 is None else torch.load(resnet18, map_location="cpu", weights_only=True)
    timm.create_model = _untrained(timm.create_model, weights)
    open_clip.create_model_and_transforms = _without(open_clip.create_model_and_transforms, "pretrained")
    for name in ("efficientnet_b5", "wide_resnet50_2", "resnet18"):
        setattr(torchvision.models, name, _without(getattr(torchvision.models, name), "weights", "pretrained"))


def _untrained(create: Callable[..., Any], resnet18: Mapping[str, torch.Tensor] | None) -> Callable[..., Any]:
    def create_model(name: str, *arguments: Any, **options: Any) -> Any:
        wanted = options.pop("pretrained", False)
        options.pop("pretrained_cfg", None)
        model = create(name, *arguments, pretrained=False, **options)
        if wanted and name == "resnet18" and resnet18 is not None:
            load_folded(model, resnet18)
        return model

    return create_model


def _without(create: Callable[..., Any], *options: str) -> Callable[..., Any]:
    def built(*arguments: Any, **given: Any) -> Any:
        for option in options:
            if option in given:
                given[option] = None
        return create(*arguments, **given)

    return built


@torch.no_grad()
def fill_codebooks(latent: Any, folder: Path) -> None:
    """Draw the codes of DSR's untrained quantizers from what its own encoder makes of these images.

    Random codes lie so far from an untrained encoder's features that one code stands for all of them: every image would
    become the same, and scores would differ by rounding alone.
    """
    images = [Image.open(file).convert("RGB").resize((256, 256)) for file in sorted(folder.iterdir())[:_CODE_IMAGES]]
    pixels = torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in images]) / 255.0
    fine = latent._encoder_b(pixels)  # noqa: SLF001 — its forward gives quantized features only
    coarse = latent._pre_vq_conv_top(latent._encoder_t(fine))  # noqa: SLF001 — likewise
    _draw_codes(latent.vq_vae_top, coarse)
    upsampled = latent.upsample_t(latent.vq_vae_top(coarse))
    _draw_codes(latent.vq_vae_bot, latent._pre_vq_conv_bot(torch.cat((fine, upsampled), dim=1)))  # noqa: SLF001


def _draw_codes(quantizer: Any, features: torch.Tensor) -> None:
    codes = quantizer.embedding.weight
    vectors = features.permute(0, 2, 3, 1).reshape(-1, codes.shape[1])
    codes.copy_(vectors[torch.randperm(len(vectors))[: len(codes)]])


def load_folded(model: torch.nn.Module, folded: Mapping[str, torch.Tensor]) -> None:
    """Put convolutions with folded batch norm into a network that still has its batch norms.

    A batch norm with mean 0, variance 1 and scale √(1 + ε) passes its input on, plus the folded bias.
    """
    state = model.state_dict()
    for name, value in folded.items():
        stem, kind = name.rsplit(".", 1)
        if kind == "weight":
            state[name] = value
            continue
        norm = _norm_of(stem)
        state[f"{norm}.bias"] = value
        state[f"{norm}.weight"] = torch.full_like(value, math.sqrt(1.0 + _BATCH_NORM_EPSILON))
        state[f"{norm}.running_mean"] = torch.zeros_like(value)
        state[f"{norm}.running_var"] = torch.ones_like(value)
    model.load_state_dict({name: value for name, value in state.items() if name in model.state_dict()})


def _norm_of(convolution: str) -> str:
    if convolution.endswith("downsample.0"):
        return convolution.removesuffix("0") + "1"
    return convolution.replace("conv", "bn")
