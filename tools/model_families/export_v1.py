"""Fit one family in anomalib 1.x, export it as 1.x does, and record its reference.

    cd tools
    python -m model_families.export_v1 --family padim --fit data/train --images data/test --out DIR

For an environment with anomalib 1.2. Its exports differ from 2.x: the graph gives the raw map (and score) without
names worth the name, and threshold and normalisation lie in `metadata.json` beside it. The reference is what 1.x's own
`TorchInferencer` says, normalised with that metadata; its maps are kept at the model's size.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import json
import shutil
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from model_families.families import family
from model_families.offline import without_downloads
from model_families.record_reference import record

if TYPE_CHECKING:
    import numpy.typing as npt

    from model_families.record_reference import Predict

_SEED = 7
_FAMILIES = ("padim", "patchcore", "stfpm")


def stand_in_for_imgaug() -> None:
    """Where imgaug is missing (it does not run on numpy 2), let anomalib 1.x import without its augmentations."""
    if importlib.util.find_spec("imgaug") is not None:
        return
    package, augmenters = types.ModuleType("imgaug"), types.ModuleType("imgaug.augmenters")
    augmenters.Sequential = object  # type: ignore[attr-defined]
    package.augmenters = augmenters  # type: ignore[attr-defined]
    sys.modules.update({"imgaug": package, "imgaug.augmenters": augmenters})


def adapt_to_todays_libraries() -> None:
    """Give 1.x what torch and torchvision have changed since: the exporter, pickled checkpoints, a method."""
    from anomalib.data.transforms import ExportableCenterCrop  # noqa: PLC0415 — the help needs no anomalib

    torch.onnx.export = functools.partial(torch.onnx.export, dynamo=False)
    torch.load = functools.partial(torch.load, weights_only=False)
    ExportableCenterCrop.transform = ExportableCenterCrop._transform  # noqa: SLF001 — the name torchvision asks for now


def fit_model(name: str, fit: Path, images: Path, scratch: Path) -> tuple[Any, Any]:
    """Fit with anomalib 1.x's engine.

    Returns:
        Engine and model.
    """
    from anomalib.data import Folder  # noqa: PLC0415 — the command line's help needs no anomalib
    from anomalib.engine import Engine  # noqa: PLC0415 — likewise
    from anomalib.models import Padim, Patchcore, Stfpm  # noqa: PLC0415 — likewise

    data = Folder(
        name="parts",
        root=images.parent,
        normal_dir=(fit / "good").resolve(),
        normal_test_dir=(images / "good").resolve(),
        abnormal_dir=[folder.resolve() for folder in sorted(images.iterdir()) if folder.name != "good"],
        train_batch_size=4,
        eval_batch_size=4,
        num_workers=0,
        task="classification",
        val_split_mode="same_as_test",
    )
    torch.manual_seed(_SEED)
    model = {"padim": Padim, "stfpm": Stfpm, "patchcore": functools.partial(Patchcore, backbone="resnet18")}[name]()
    engine = Engine(
        accelerator="cpu", devices=1, logger=False, default_root_dir=scratch, task="classification", max_epochs=1
    )
    engine.fit(model=model, datamodule=data)
    return engine, model


def inferencer_of(file: Path) -> Predict:
    """What 1.x's own inferencer says about RGB pixels, the map at the model's size."""
    from anomalib.deploy import TorchInferencer  # noqa: PLC0415 — as above

    inferencer = TorchInferencer(file, device="cpu")

    def predict(pixels: npt.NDArray[np.uint8]) -> tuple[float, npt.NDArray[Any] | None]:
        image = torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32) / 255.0)
        with torch.no_grad():
            raw = inferencer.forward(inferencer.pre_process(image))
        if isinstance(raw, dict):  # 1.x makes a float of an array of one, which today's numpy no longer does
            raw["pred_score"] = raw["pred_score"].squeeze()
        metadata = {key: value for key, value in inferencer.metadata.items() if key != "image_shape"}
        answer = inferencer.post_process(raw, metadata)
        return float(np.asarray(answer["pred_score"]).max()), np.asarray(answer["anomaly_map"])

    return predict


def export(name: str, fit: Path, images: Path, out: Path) -> None:
    """Fit, record, export."""
    import anomalib  # noqa: PLC0415 — as above

    scratch = out / "scratch"
    engine, model = fit_model(name, fit, images, scratch)
    torch_file = Path(engine.export(model=model, export_type="torch", export_root=scratch))
    source = f"anomalib {anomalib.__version__}, torch {torch.__version__.split('+')[0]}, float32"
    record(inferencer_of(torch_file), images, out / "reference", source)
    written = Path(engine.export(model=model, export_type="onnx", export_root=scratch))
    for file in written.parent.iterdir():
        shutil.move(file, out / file.name)
    shutil.rmtree(scratch, ignore_errors=True)
    recipe = family(name)
    report = {"family": name, "title": f"{recipe.title} (anomalib {anomalib.__version__})", "weights": recipe.weights}
    (out / "export.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Export one family as anomalib 1.x does."""
    parser = argparse.ArgumentParser(description="Fit, export and record one family in anomalib 1.x.")
    parser.add_argument("--family", required=True, choices=_FAMILIES)
    parser.add_argument("--fit", type=Path, required=True, help="folder with `good`: images to fit on")
    parser.add_argument("--images", type=Path, required=True, help="folder with `good` and defects: the reference")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resnet18", type=Path, help="weights for ResNet-18 backbones (.pth, batch norm folded)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    stand_in_for_imgaug()
    without_downloads(arguments.resnet18)
    adapt_to_todays_libraries()
    export(arguments.family, arguments.fit, arguments.images, arguments.out)


if __name__ == "__main__":
    main()
