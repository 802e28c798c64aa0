"""The evaluation as JSON, for machines: `edge-convert eval --json`."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edge_convert.evaluate.figures import confusion

if TYPE_CHECKING:
    from edge_convert.evaluate.metrics import OperatingPoint
    from edge_convert.evaluate.result import Evaluation, ImageRow, Share
    from edge_runtime.bundles.selftest import GoldenResult

FORMAT = "edge-convert-eval/1"
"""Changes when a key is renamed, removed or means something else; a new key does not change it."""


def to_json(evaluation: Evaluation) -> str:
    """Strict JSON (no NaN): keys as in docs/evaluation.md. Scores are written so that reading gives the same float."""
    return json.dumps(_document(evaluation), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _document(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "created": evaluation.created,
        "bundle": _bundle(evaluation),
        "engine": {"description": evaluation.conditions.engine, "threads": evaluation.conditions.threads},
        "machine": asdict(evaluation.machine),
        "dataset": _dataset(evaluation),
        "figures": _figures(evaluation),
        "at_limits": {
            "false_pass": _share(evaluation.false_pass),
            "false_reject": _share(evaluation.false_reject),
            "good_not_passed": _share(evaluation.not_passed),
        },
        "confusion": confusion(evaluation.classes),
        "labels": [asdict(counts) | {"images": counts.images} for counts in evaluation.classes],
        "latency_ms": asdict(evaluation.latency) if evaluation.latency else None,
        "golden": [_golden(result) for result in evaluation.golden],
        "repeatable": evaluation.repeatable,
        "problems": list(evaluation.problems),
        "images": [_row(row) for row in evaluation.rows],
    }


def _bundle(evaluation: Evaluation) -> dict[str, Any]:
    bundle = evaluation.bundle
    return asdict(bundle.identity) | {
        "kind": bundle.kind.value,
        "created": bundle.created,
        "limits": asdict(bundle.calibration.limits),
        "false_reject_rate": bundle.calibration.false_reject_rate,
        "warnings": list(bundle.calibration.warnings),
    }


def _dataset(evaluation: Evaluation) -> dict[str, Any]:
    dataset = evaluation.dataset
    return {
        "name": dataset.root.name,
        "images": len(dataset.samples),
        "found": dataset.found,
        "labels": dataset.counts(),
        "without_mask": dataset.without_mask(),
        "faults": len(evaluation.faults),
    }


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    image, pixel = evaluation.image, evaluation.pixel
    return {
        "image_auroc": image.auroc if image else None,
        "image_ap": image.average_precision if image else None,
        **_point("f1_max", image.f1_max if image else None),
        **_point("fnr_at_fpr5", image.fnr_at_fpr5 if image else None),
        "pixel_auroc": pixel.auroc.value if pixel else None,
        "pixel_auroc_error_bound": pixel.auroc.error_bound if pixel else None,
        "aupro": pixel.aupro.value if pixel else None,
        "aupro_error_bound": pixel.aupro.error_bound if pixel else None,
        "aupro_fpr_limit": evaluation.conditions.aupro_fpr,
        "pixel_images": pixel.images if pixel else 0,
        "pixel_regions": pixel.regions if pixel else 0,
        "pixel_note": evaluation.pixel_note,
    }


def _point(name: str, point: OperatingPoint | None) -> dict[str, float | None]:
    return {name: point.value if point else None, f"{name}_threshold": point.threshold if point else None}


def _share(share: Share | None) -> dict[str, Any] | None:
    if share is None:
        return None
    interval = [share.interval.low, share.interval.high]
    return {"hits": share.hits, "total": share.total, "share": share.hits / share.total, "interval_95": interval}


def _golden(result: GoldenResult) -> dict[str, Any]:
    score = result.score if result.score is not None and math.isfinite(result.score) else None
    return asdict(result) | {"score": score, "passed": result.passed}


def _row(row: ImageRow) -> dict[str, Any]:
    return {
        "file": row.file,
        "label": row.label,
        "sha256": row.sha256,
        "score": row.score,
        "disposition": row.disposition.value if row.disposition else None,
        "latency_ms": row.latency_ms,
        "fault": row.fault,
    }
