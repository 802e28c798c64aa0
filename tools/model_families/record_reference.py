"""Record what a trained model says about a folder of images, in its own framework and with its own preprocessing.

Copy this one file into the environment in which the model was trained; it needs numpy and Pillow, and for an anomalib
model also torch and anomalib. `edge-convert import … --reference DIR` compares the bundle with what is recorded here,
and refuses to write one that departs from it. Record on the very images that you pass to the import: good parts that
the model was not trained on, and defects where you have some.

An anomalib model:

    python record_reference.py --model Patchcore --checkpoint model.ckpt --images images/ --out reference/

or, in the training script, while the model is still there:

    record_anomalib(model, Path("images"), Path("reference"))

Any other model: give a function from RGB pixels to (score, map).

    record(predict, Path("images"), Path("reference"), source="my trainer 1.4, torch 2.9, float32")

Written are `reference.json` and one float32 `.npy` (H×W, the model's own size) per anomaly map:

    {"format": 0, "source": "anomalib 2.7.0, torch 2.13.0, float32",
     "images": [{"file": "good/001.png", "sha256": "…", "label": "good", "score": 0.31, "map": "0001.npy"}]}

`file` is relative to the image folder, `sha256` is of the file's bytes, `label` is the name of the image's folder
("good" or a kind of defect; "" where the images lie directly in the image folder), `map` is null without a map. Scores
and maps are the final ones, after the model's post-processing. anomalib cuts its normalised scores to 0…1, and many
good parts to exactly 0; an image then also has `unclamped`, the score before the cut.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    Predict = Callable[[npt.NDArray[np.uint8]], tuple[float, npt.NDArray[Any] | None]]

FORMAT: Final = 0
_ROUNDING: Final = 1e-4
_ROUNDINGS: Final = 4
"""Of float32 between scores that `edge-convert import` takes for the same."""
IMAGE_SUFFIXES: Final = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says about one image."""

    file: Path
    score: float
    anomaly_map: npt.NDArray[Any] | None
    """H×W, or with axes of length 1 before that."""
    unclamped: float | None = None
    """The score before it was cut to 0…1; None where it is not cut, or not known."""


def find_images(folder: Path) -> list[Path]:
    """All image files at or below `folder`, in the order of their paths; hidden ones are left out.

    Raises:
        FileNotFoundError: there is none.
    """
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not files:
        raise FileNotFoundError(f"no image in {folder}")
    return files


def label_of(file: Path, folder: Path) -> str:
    """The first folder below `folder` on the way to `file`; "" if the file lies directly in `folder`."""
    inside = file.relative_to(folder).parts
    return inside[0] if len(inside) > 1 else ""


def record(predict: Predict, folder: Path, out: Path, source: str) -> Path:
    """Record any model that is a function of one image.

    Args:
        predict: from H×W×3 RGB uint8 pixels to the image's score and its anomaly map (H×W; None without one), as the
            model's users see them: with its own resize, normalisation and post-processing.
        folder: the images, at any depth.
        out: where the reference goes; made if it is missing.
        source: framework, versions and precision, for the bundle's record.

    Returns:
        The written `reference.json`.

    Raises:
        FileNotFoundError: no image in `folder`.
        ValueError: a score is not a finite number, or a map is not H×W.
    """
    return write_reference(_answers(predict, find_images(folder)), folder, out, source)


def record_anomalib(model: Any, folder: Path, out: Path) -> Path:
    """Record an anomalib model: `Engine.predict`, one image at a time, with its own pre- and post-processor.

    The model is moved to the CPU, put into evaluation mode, and its visualizer is switched off.

    Args:
        model: a fitted `AnomalibModule` of anomalib 2.
        folder: the images, at any depth.
        out: where the reference goes; made if it is missing.

    Returns:
        The written `reference.json`.

    Raises:
        FileNotFoundError: no image in `folder`.
        ValueError: a score is not a finite number.
    """
    import anomalib  # noqa: PLC0415 — only where an anomalib model is recorded
    import torch  # noqa: PLC0415 — likewise

    source = f"anomalib {anomalib.__version__}, torch {torch.__version__.split('+')[0]}, float32"
    return write_reference(_anomalib_answers(model, find_images(folder)), folder, out, source)


def write_reference(answers: Iterable[Answer], folder: Path, out: Path, source: str) -> Path:
    """Write `reference.json` and the maps; the JSON comes last, so a folder that has one is complete.

    Raises:
        ValueError: a score is not a finite number, a map is not H×W, or all images have the same score.
    """
    out.mkdir(parents=True, exist_ok=True)
    listing = out / "reference.json"
    listing.unlink(missing_ok=True)
    images = [_entry(answer, folder, out, number) for number, answer in enumerate(answers, start=1)]
    _require_difference(images)
    document = {"format": FORMAT, "source": source, "images": images}
    listing.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return listing


def _require_difference(images: Sequence[Mapping[str, Any]]) -> None:
    if len(images) < 2:  # noqa: PLR2004  (there is nothing to differ from)
        return
    scores = [entry.get("unclamped", entry["score"]) for entry in images]
    finest = _ROUNDINGS * float(np.finfo(np.float32).eps) * max(map(abs, scores))
    cut = any("unclamped" not in entry and entry["score"] in {0.0, 1.0} for entry in images)  # those tell their side
    if not cut and max(scores) - min(scores) <= finest:
        raise ValueError(
            f"the model gives all {len(images)} images the same score, {scores[0]}, which proves nothing; "
            "it is not trained, its features vanish, or its normalisation found no spread"
        )


def before_the_cut(raw: float, threshold: float, low: float, high: float) -> float | None:
    """A score as anomalib normalises it, without the cut to 0…1.

    Args:
        raw: what the network gave.
        threshold: raw score that becomes 0.5; NaN: the middle of `low` and `high`.
        low: smallest raw score in validation.
        high: largest raw score in validation.

    Returns:
        None where anomalib does not normalise: `low` or `high` are not known, or equal.
    """
    span = high - low
    if not np.isfinite(span) or span == 0:
        return None
    middle = threshold if np.isfinite(threshold) else (high + low) / 2
    return (raw - middle) / span + 0.5


def _entry(answer: Answer, folder: Path, out: Path, number: int) -> dict[str, str | float | None]:
    if not np.isfinite(answer.score):
        raise ValueError(f"the model's score of {answer.file} is {answer.score}: it is not trained, or it diverged")
    name = None
    if answer.anomaly_map is not None:
        name = f"{number:04d}.npy"
        np.save(out / name, _plane(answer.anomaly_map, answer.file))
    entry = {
        "file": answer.file.relative_to(folder).as_posix(),
        "sha256": hashlib.sha256(answer.file.read_bytes()).hexdigest(),
        "label": label_of(answer.file, folder),
        "score": float(answer.score),
        "map": name,
    }
    return entry if answer.unclamped is None else {**entry, "unclamped": float(answer.unclamped)}


def _plane(anomaly_map: npt.NDArray[Any], file: Path) -> npt.NDArray[np.float32]:
    if anomaly_map.ndim < 2 or any(length != 1 for length in anomaly_map.shape[:-2]):  # noqa: PLR2004
        raise ValueError(f"the anomaly map of {file} has the shape {anomaly_map.shape}: give one value per pixel, H×W")
    return np.ascontiguousarray(anomaly_map.reshape(anomaly_map.shape[-2:]), dtype=np.float32)


def _answers(predict: Predict, files: Sequence[Path]) -> Iterator[Answer]:
    for file in files:
        with Image.open(file) as image:
            pixels = np.asarray(image.convert("RGB"))
        score, anomaly_map = predict(pixels)
        yield Answer(file, float(score), None if anomaly_map is None else np.asarray(anomaly_map))


def _anomalib_answers(model: Any, files: Sequence[Path]) -> Iterator[Answer]:
    from anomalib.data import PredictDataset  # noqa: PLC0415 — only where an anomalib model is recorded
    from anomalib.engine import Engine  # noqa: PLC0415 — likewise

    model.eval()
    model.visualizer = None
    raw: dict[str, Any] = {}
    hook = model.model.register_forward_hook(lambda _module, _inputs, output: raw.update(output=output))
    try:
        with tempfile.TemporaryDirectory() as scratch:
            engine = Engine(accelerator="cpu", devices=1, logger=False, default_root_dir=scratch)
            # Zero-shot models would be validated once more before every prediction, on data that is not here.
            engine._should_run_validation = lambda *_: False  # noqa: SLF001
            for file in files:
                batch = engine.predict(model=model, dataset=PredictDataset(path=file))[0]
                score, anomaly_map = _score_of(batch), getattr(batch, "anomaly_map", None)
                plane = None if anomaly_map is None else anomaly_map.cpu().numpy()
                yield Answer(file, score, plane, _unclamped(model.post_processor, raw.get("output"), score))
    finally:
        hook.remove()


def _score_of(answer: Any) -> float:
    return float(answer.pred_score if answer.pred_score is not None else answer.anomaly_map.amax())


def _unclamped(post_processor: Any, raw: Any, score: float) -> float | None:
    """What the post-processor made of the network's own score before its cut; None if that does not lead to `score`."""
    if not getattr(post_processor, "enable_normalization", False) or not hasattr(raw, "pred_score"):
        return None
    ends = (post_processor.image_threshold, post_processor.image_min, post_processor.image_max)
    value = before_the_cut(_score_of(raw), *(float(end) for end in ends))
    return value if value is not None and abs(min(max(value, 0.0), 1.0) - score) < _ROUNDING else None


def _load(class_name: str, checkpoint: Path) -> Any:
    import anomalib.models  # noqa: PLC0415 — only where an anomalib model is recorded

    model_class = getattr(anomalib.models, class_name, None)
    if model_class is None:
        raise SystemExit(f"anomalib has no model named {class_name}; write it as in the training script: Patchcore")
    return model_class.load_from_checkpoint(checkpoint, map_location="cpu")


def main() -> None:
    """Record an anomalib checkpoint."""
    parser = argparse.ArgumentParser(description="Record what an anomalib model says about a folder of images.")
    parser.add_argument("--model", required=True, help="class name in anomalib.models, for example Patchcore")
    parser.add_argument("--checkpoint", type=Path, required=True, help="Lightning checkpoint (.ckpt) of that model")
    parser.add_argument("--images", type=Path, required=True, help="folder; its subfolders name the labels")
    parser.add_argument("--out", type=Path, required=True, help="where the reference goes")
    arguments = parser.parse_args()
    written = record_anomalib(_load(arguments.model, arguments.checkpoint), arguments.images, arguments.out)
    sys.stdout.write(f"wrote {written}\n")


if __name__ == "__main__":
    main()
