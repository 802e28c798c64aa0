"""One evaluation, from an opened bundle and a dataset to everything that the outputs show."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING

from edge_convert.evaluate import figures
from edge_convert.evaluate.dataset import Dataset, DatasetError
from edge_convert.evaluate.result import Evaluation
from edge_convert.evaluate.runner import Runner
from edge_convert.images import SUFFIXES
from edge_runtime.domain.verdict import Disposition
from edge_runtime.ops.machine import describe_machine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_convert.evaluate.result import Conditions, ImageRow
    from edge_convert.evaluate.runner import Inspector
    from edge_runtime.bundles.selftest import GoldenResult
    from edge_runtime.ops.clock import Clock

_PASSED = frozenset({Disposition.PASS})
_REJECTED = frozenset({Disposition.REJECT})
_NOT_PASSED = frozenset({Disposition.REVIEW, Disposition.REJECT})


def evaluate(
    inspector: Inspector,
    golden: tuple[GoldenResult, ...],
    dataset: Dataset,
    conditions: Conditions,
    clock: Clock,
    on_progress: Callable[[], None],
) -> Evaluation:
    """Score the dataset and compute every figure.

    Raises:
        DatasetError: not one image could be inspected.
    """
    scored = Runner(inspector, clock).run(dataset, on_progress)
    rows = scored.rows
    if all(row.score is None for row in rows):
        raise DatasetError(
            f"none of the {len(rows)} images in {dataset.root} could be inspected; {rows[0].file}: {rows[0].fault}",
            "Use images like those that the bundle was taught on.",
        )
    pixel, note = figures.pixel_figures(scored, dataset, conditions.aupro_fpr)
    created = dt.datetime.fromtimestamp(clock.wall_ns() // 1_000_000_000, dt.UTC)
    return Evaluation(
        bundle=inspector.bundle,
        dataset=dataset,
        conditions=conditions,
        machine=describe_machine(),
        created=created.isoformat().replace("+00:00", "Z"),
        rows=rows,
        image=figures.image_figures(rows),
        pixel=pixel,
        pixel_note=note,
        classes=figures.class_counts(rows),
        false_pass=figures.share(rows, _PASSED, defective=True),
        false_reject=figures.share(rows, _REJECTED, defective=False),
        not_passed=figures.share(rows, _NOT_PASSED, defective=False),
        latency=figures.latency(rows),
        golden=golden,
        repeatable=scored.repeatable,
        problems=(*scored.problems, *_also_in_train(dataset, rows)),
    )


def _also_in_train(dataset: Dataset, rows: Sequence[ImageRow]) -> list[str]:
    """Test images that are byte for byte in `train`: their figures prove nothing."""
    train = dataset.root / "train"
    seen: dict[str, str] = {}
    unread: list[str] = []
    for path in sorted(train.rglob("*")) if train.is_dir() else ():
        if path.suffix.lower() in SUFFIXES and path.is_file():
            name = path.relative_to(dataset.root).as_posix()
            try:
                seen[hashlib.sha256(path.read_bytes()).hexdigest()] = name
            except OSError as error:
                unread.append(f"{name} cannot be read ({error.strerror}): it may be one of the test images")
    return [*(f"{row.file} is the same file as {seen[row.sha256]}" for row in rows if row.sha256 in seen), *unread]
