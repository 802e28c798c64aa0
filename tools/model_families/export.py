"""Fit one anomalib family for a minute, export it as anomalib does, and record its reference.

    cd tools
    python -m model_families.export --family padim --fit data/train --images data/test --out DIR

`--fit` holds a folder `good`, `--images` a folder `good` (parts not in `--fit`) and one folder per kind of defect.
`DIR` then has `model.onnx` (or `model.xml` with `model.bin`), `reference/` and `export.json`, which says what was
built, how long it took, and for a family that cannot be exported, the error.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch

from model_families.families import FAMILIES, Family, family
from model_families.offline import without_downloads
from model_families.record_reference import record_anomalib

_SEED = 7


def build(recipe: Family, fit: Path) -> Any:
    """An unfitted model of the family, with nothing left in it that downloads."""
    torch.manual_seed(_SEED)
    model = recipe.build(fit)
    model.visualizer = None
    model.evaluator = None  # its pixel metrics ask for masks
    for method in recipe.patches:
        setattr(model, method, lambda *_: None)
    if hasattr(model.model, "load_pretrained_discrete_model_weights"):
        model.model.load_pretrained_discrete_model_weights = lambda *_: None
    return model


def fit_model(model: Any, recipe: Family, fit: Path, images: Path, masks: Path | None, scratch: Path) -> Any:
    """Fit with anomalib's engine, whose validation draws the thresholds and the normalisation.

    Without masks it has no threshold for maps and takes the score's, under which maps of another scale are 0 all over.

    Returns:
        The engine, which exports.
    """
    from anomalib.data import Folder  # noqa: PLC0415 — the command line's help needs no anomalib
    from anomalib.engine import Engine  # noqa: PLC0415 — likewise

    kinds = [folder.name for folder in sorted(images.iterdir()) if folder.name != "good"]
    data = Folder(
        name="parts",
        root=images.parent,
        normal_dir=(fit / "good").resolve(),
        normal_test_dir=(images / "good").resolve(),
        abnormal_dir=[(images / kind).resolve() for kind in kinds],
        mask_dir=None if masks is None else [(masks / kind).resolve() for kind in kinds],
        train_batch_size=recipe.batch,
        eval_batch_size=1,
        num_workers=0,
        val_split_mode="same_as_test",
    )
    limits = {"max_epochs": 1} if recipe.steps <= 1 else {"max_steps": recipe.steps, "max_epochs": -1}
    limits["check_val_every_n_epoch"] = max(1, recipe.steps)  # once, below
    engine = Engine(accelerator="cpu", devices=1, logger=False, default_root_dir=scratch, **limits)
    if recipe.steps:
        engine.fit(model=model, datamodule=data)
    engine.validate(model=model, datamodule=data)
    return engine


def export(
    recipe: Family, fit: Path, images: Path, masks: Path | None, out: Path, export_type: str, *, fixed: bool
) -> dict[str, Any]:
    """Fit, record, export; `fixed` exports one image of the model's own size instead of free batch and size.

    Returns:
        What `export.json` says; "error" is in it where the family could not be exported.
    """
    out.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    model = build(recipe, fit)
    scratch = out / "scratch"
    report: dict[str, Any] = {"family": recipe.name, "title": recipe.title, "weights": recipe.weights}
    engine = fit_model(model, recipe, fit, images, masks, scratch)
    report["fit_s"] = round(time.monotonic() - begun, 1)
    report["preprocessing"] = str(getattr(model.pre_processor, "transform", None))
    record_anomalib(model, images, out / "reference")
    try:
        options = {"onnx_kwargs": {"dynamic_axes": {}}, "input_size": _size(model)} if fixed else {}
        written = Path(engine.export(model=model, export_type=export_type, export_root=scratch, **options))
    except Exception as error:  # noqa: BLE001 — whatever a family's export raises is the finding
        report["error"] = f"{type(error).__name__}: {error}"
        report["traceback"] = traceback.format_exc()[-4000:]
    else:
        for file in written.parent.iterdir():
            shutil.move(file, out / file.name)
    shutil.rmtree(scratch, ignore_errors=True)
    report["parameters"] = sum(weight.numel() for weight in model.model.parameters())
    return report


def _size(model: Any) -> tuple[int, int]:
    """Height and width that the model's pre-processor makes of any image."""
    probe = torch.zeros(1, 3, 64, 64)
    sized = model.pre_processor.transform(probe) if model.pre_processor else probe
    return int(sized.shape[-2]), int(sized.shape[-1])


def main() -> None:
    """Export one family."""
    parser = argparse.ArgumentParser(description="Fit, export and record one anomalib family.")
    parser.add_argument("--family", required=True, choices=[recipe.name for recipe in FAMILIES])
    parser.add_argument("--fit", type=Path, required=True, help="folder with `good`: images to fit on")
    parser.add_argument("--images", type=Path, required=True, help="folder with `good` and defects: the reference")
    parser.add_argument("--masks", type=Path, help="folder with the defects' masks, one folder per kind")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--type", choices=("onnx", "openvino"), default="onnx")
    parser.add_argument("--fixed", action="store_true", help="one image of the model's own size, instead of any")
    parser.add_argument("--title", help="name in the table; without it the family's own")
    parser.add_argument("--resnet18", type=Path, help="weights for ResNet-18 backbones (.pth, batch norm folded)")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    without_downloads(arguments.resnet18)
    report = export(
        family(arguments.family),
        arguments.fit,
        arguments.images,
        arguments.masks,
        arguments.out,
        arguments.type,
        fixed=arguments.fixed,
    )
    report["title"] = arguments.title or report["title"]
    (arguments.out / "export.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(report.get("error", f"wrote {arguments.out}") + "\n")


if __name__ == "__main__":
    main()
