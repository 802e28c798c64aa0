"""The anomalib families: how each is built so that it can be fitted in a minute on a CPU, and what that leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LAYERS_23: Final = ["layer2", "layer3"]


@dataclass(frozen=True, slots=True)
class Family:
    """One recipe."""

    name: str
    title: str
    build: Callable[[Path], Any]
    """From the folder with the training images' folder (`…/good`) to an unfitted `AnomalibModule`."""
    steps: int = 1
    """Training steps; 1 for families that only collect features."""
    weights: str = "ImageNet ResNet-18"
    """What its backbone is."""
    batch: int = 4
    patches: tuple[str, ...] = ()
    """Methods of the module that download weights, made to do nothing."""


def _models() -> Any:
    import anomalib.models  # noqa: PLC0415 — the table of families is readable without anomalib

    return anomalib.models


def _patchcore(_: Path) -> Any:
    return _models().Patchcore(backbone="resnet18", coreset_sampling_ratio=0.1)


def _padim(_: Path) -> Any:
    return _models().Padim()


def _stfpm(_: Path) -> Any:
    return _models().Stfpm()


def _efficient_ad(fit: Path) -> Any:
    return _models().EfficientAd(imagenet_dir=fit)


def _fastflow(_: Path) -> Any:
    return _models().Fastflow()


def _reverse_distillation(_: Path) -> Any:
    return _models().ReverseDistillation(backbone="resnet18")


def _draem(fit: Path) -> Any:
    draem = _models().Draem
    model = draem(dtd_dir=fit, pre_processor=draem.configure_pre_processor((128, 128)))
    model.augmenter.anomaly_source_paths.clear()  # it then draws its own noise, in place of photographed textures
    return model


def _ganomaly(_: Path) -> Any:
    ganomaly = _models().Ganomaly
    return ganomaly(batch_size=2, n_features=32, pre_processor=ganomaly.configure_pre_processor((128, 128)))


def _cfa(_: Path) -> Any:
    return _models().Cfa(backbone="resnet18")


def _cflow(_: Path) -> Any:
    return _models().Cflow(backbone="resnet18", layers=_LAYERS_23, fiber_batch_size=1024)


def _csflow(fit: Path) -> Any:
    from model_families.offline import settle_norms  # noqa: PLC0415 — needs torch

    model = _models().Csflow(cross_conv_hidden_channels=256)
    settle_norms(model.model.feature_extractor, fit / "good")
    return model


def _uflow(_: Path) -> Any:
    return _models().Uflow(backbone="resnet18")


def _dfkde(_: Path) -> Any:
    return _models().Dfkde(layers=["layer3"], n_pca_components=8)


def _dfm(_: Path) -> Any:
    return _models().Dfm(backbone="resnet18")


def _fre(_: Path) -> Any:
    return _models().Fre(backbone="resnet18", input_dim=256 * 8 * 8)


def _dsr(fit: Path) -> Any:
    from model_families.offline import fill_codebooks  # noqa: PLC0415 — needs torch

    dsr = _models().Dsr
    model = dsr(pre_processor=dsr.configure_pre_processor((128, 128)))
    fill_codebooks(model.model.discrete_latent_model, fit / "good")
    return model


def _supersimplenet(_: Path) -> Any:
    return _models().Supersimplenet(backbone="resnet18", layers=_LAYERS_23)


def _uninet(_: Path) -> Any:
    return _models().UniNet()


def _dinomaly(_: Path) -> Any:
    return _models().Dinomaly(encoder_name="vit_small_patch14_reg4_dinov2")


def _winclip(_: Path) -> Any:
    return _models().WinClip(class_name="hazelnut", scales=(2,))  # a second scale doubles what a CPU has to do


FAMILIES: Final[tuple[Family, ...]] = (
    Family("patchcore", "PatchCore", _patchcore),
    Family("padim", "PaDiM", _padim),
    Family("stfpm", "STFPM", _stfpm, steps=12),
    Family(
        "efficient_ad",
        "EfficientAD-S",
        _efficient_ad,
        steps=20,
        weights="random teacher",
        batch=1,
        patches=("prepare_pretrained_model",),
    ),
    Family("fastflow", "FastFlow", _fastflow, steps=12),
    Family("reverse_distillation", "Reverse Distillation", _reverse_distillation, steps=12),
    Family("draem", "DRAEM (128×128)", _draem, steps=6, weights="none needed", batch=2),
    Family("ganomaly", "GANomaly (128×128)", _ganomaly, steps=12, weights="none needed", batch=2),
    Family("cfa", "CFA", _cfa, steps=8),
    Family("cflow", "CFlow", _cflow, steps=4),
    Family("csflow", "CS-Flow", _csflow, steps=4, weights="random EfficientNet-B5", batch=2),
    Family("uflow", "U-Flow", _uflow, steps=6, batch=2),
    Family("dfkde", "DFKDE", _dfkde),
    Family("dfm", "DFM", _dfm),
    Family("fre", "FRE", _fre, steps=20),
    Family("dsr", "DSR (128×128)", _dsr, steps=6, weights="random", batch=2, patches=("prepare_pretrained_model",)),
    Family("supersimplenet", "SuperSimpleNet", _supersimplenet, steps=10),
    Family("uninet", "UniNet", _uninet, steps=4, weights="random Wide ResNet-50", batch=2),
    Family("dinomaly", "Dinomaly", _dinomaly, steps=4, weights="random ViT-S/14", batch=2),
    Family("winclip", "WinCLIP (windows of one size)", _winclip, steps=0, weights="random CLIP ViT-B/16+"),
)


def family(name: str) -> Family:
    """The recipe of that name.

    Raises:
        KeyError: there is none.
    """
    return {recipe.name: recipe for recipe in FAMILIES}[name]
