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
_IMAGES = 4
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


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
def settle_norms(network: torch.nn.Module, folder: Path) -> None:
    """Set an untrained network's batch norms to what these images make of its layers; weights stay as they are.

    Behind a deep network whose norms still have mean 0 and variance 1 nothing of the image is left: every image gets
    the same score, and a recording of that tells nothing.

    Args:
        network: N×3×256×256 in, normalised as for ImageNet; left in evaluation mode.
        folder: images.
    """
    settled: set[torch.nn.Module] = set()

    def settle(norm: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        if norm not in settled:  # a network of several scales goes by the largest, which comes first
            norm.running_mean.copy_(inputs[0].mean(dim=(0, 2, 3)))
            norm.running_var.fill_(inputs[0].var(dim=(0, 2, 3)).mean())  # a channel's own may be next to nothing
            settled.add(norm)

    norms = [part for part in network.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(settle) for norm in norms]
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in _IMAGENET)
    network.eval()
    network((_pixels(folder) - mean) / std)
    for hook in hooks:
        hook.remove()


@torch.no_grad()
def fill_codebooks(latent: Any, folder: Path) -> None:
    """Draw the codes of DSR's untrained quantizers from what its own encoder makes of these images.

    Random codes lie so far from an untrained encoder's features that one code stands for all of them: every image would
    become the same, and scores would differ by rounding alone. The features are brought to mean 0 and variance 1 first:
    an untrained encoder's differ by a thousandth of their length, and which code is nearest would be rounding, too.
    """
    pixels = _pixels(folder)
    fine = latent._encoder_b(pixels)  # noqa: SLF001 — its forward gives quantized features only
    coarse = latent._encoder_t(fine)  # noqa: SLF001 — likewise
    _draw_codes(latent.vq_vae_top, _settled(latent._pre_vq_conv_top, coarse))  # noqa: SLF001 — likewise
    upsampled = latent.upsample_t(latent.vq_vae_top(latent._pre_vq_conv_top(coarse)))  # noqa: SLF001 — likewise
    joined = torch.cat((fine, upsampled), dim=1)
    _draw_codes(latent.vq_vae_bot, _settled(latent._pre_vq_conv_bot, joined))  # noqa: SLF001 — likewise


def _pixels(folder: Path) -> torch.Tensor:
    """A few images, N×3×256×256 in 0…1."""
    images = [Image.open(file).convert("RGB").resize((256, 256)) for file in sorted(folder.iterdir())[:_IMAGES]]
    return torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in images]) / 255.0


def _settled(convolution: torch.nn.Conv2d, features: torch.Tensor) -> torch.Tensor:
    """Scale the convolution so that each of its channels has mean 0 and variance 1 on these; what it then gives."""
    given = convolution(features)
    mean, std = given.mean(dim=(0, 2, 3)), given.std(dim=(0, 2, 3))
    convolution.weight.div_(std[:, None, None, None])
    convolution.bias.sub_(mean).div_(std)
    return convolution(features)


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
