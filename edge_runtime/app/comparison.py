"""Two models compared: as the rollout of a line stands, or both here and now on a folder of images."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from edge_runtime.app.inspection import load_inspector
from edge_runtime.app.rollout import books_file, rollout_terms
from edge_runtime.config.camera import FolderCameraSettings
from edge_runtime.decision.rollout_evidence import Evidence, ScoreScale
from edge_runtime.decision.rollout_report import Standing, look_of, make_report
from edge_runtime.decision.rollout_rules import RolloutTerms, StageTerms
from edge_runtime.domain.errors import ConfigError, EngineError, ImageError
from edge_runtime.domain.recipe import GateAction, GateMode, Recipe, RejectTiming
from edge_runtime.domain.rollout import RolloutStage
from edge_runtime.domain.verdict import Disposition
from edge_runtime.services.rollout_course import report_of
from edge_runtime.vision.decode import decode_image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge_runtime.app.inspection import Inspector
    from edge_runtime.config.engine import EngineSettings
    from edge_runtime.config.line import LineConfig
    from edge_runtime.decision.rollout_evidence import Look
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.rollout import RolloutReport

_DEFAULTS = RolloutTerms(
    shadow=StageTerms(0, 0),
    canary=StageTerms(0, 0),
    share=0.0,
    alpha=0.01,
    smallest_difference=0.005,
    stops_at_difference=True,
    most_reject_rate=1.0,
    most_faults=0.005,
    least_agreement=0.95,
    most_distance=0.3,
    most_latency=1.0,
    deadline_ns=1,
)
"""Of a comparison that belongs to no line."""


def standing(config: LineConfig) -> RolloutReport:
    """How the line's rollout stood when the daemon last wrote it down: with each report and each change of the stage.

    Raises:
        ConfigError: there is none.
    """
    books = books_file(config.device.state_dir).load()
    report = report_of(books, rollout_terms(config), books.lasted_ns)
    if report is None:
        raise ConfigError(
            f"no rollout is known in {config.device.state_dir}",
            "Set enabled = true in [rollout], install a release that waits or name rollout.candidate, start the line.",
        )
    return report


def compare_on_images(
    bundles: tuple[Path, Path],
    folder: Path,
    engine: EngineSettings,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> RolloutReport:
    """Both bundles on every image of a folder, each under its own limits.

    Args:
        bundles: the one that decides, and the candidate.
        folder: searched with its sub-folders.
        engine: what both run on.
        limit: at most so many images, evenly spread over the folder.
        progress: called with how many of how many are done.

    Raises:
        EdgeError: a bundle cannot be loaded, or there is no image.
    """
    files = _images(folder, limit)
    evidence, began_ns, wall_ns = Evidence(), time.monotonic_ns(), time.time_ns()
    with ExitStack() as at_the_end:
        active, candidate = (at_the_end.enter_context(load_inspector(path, engine, "development")) for path in bundles)
        for done, file in enumerate(files, 1):
            _compare(evidence, active, candidate, _read(file))
            if progress is not None:
                progress(done, len(files))
    lasted_ns = time.monotonic_ns() - began_ns
    standing = Standing(RolloutStage.SHADOW, wall_ns, lasted_ns, f"{len(files)} images of {folder}")
    return make_report(standing, evidence, _DEFAULTS, (active.bundle.identity, candidate.bundle.identity))


def _compare(evidence: Evidence, active: Inspector, candidate: Inspector, image: Exposure | None) -> None:
    if image is None:
        evidence.skipped += 1
        return
    one = _look(active, image)
    if one is None:
        evidence.active.faults += 1
        return
    other = _look(candidate, image)
    if other is None:
        evidence.candidate.faults += 1
    else:
        evidence.add_pair(one, other)


def _look(inspector: Inspector, image: Exposure) -> Look | None:
    began_ns = time.monotonic_ns()
    try:
        score = inspector.inspect((image,)).score
    except (ImageError, EngineError):
        return None
    if not math.isfinite(score):
        return None
    duration_ns = time.monotonic_ns() - began_ns
    calibration = inspector.bundle.calibration
    recipe = Recipe(
        "comparison",
        calibration.limits,
        GateAction.EJECT,
        Disposition.REJECT,
        GateMode.PERMIT,
        RejectTiming(1, None, 1),
        1,
    )
    return look_of(score, recipe, ScoreScale.of(calibration.good_scores, calibration.limits), duration_ns)


def _images(folder: Path, limit: int | None) -> Sequence[Path]:
    patterns = FolderCameraSettings.model_fields["patterns"].default
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and any(fnmatch(path.name.lower(), pattern) for pattern in patterns)
    )
    if not found:
        raise ConfigError(f"there is no image in {folder}", "Name a folder with images of parts.")
    return found if limit is None else found[:: max(1, -(-len(found) // limit))]


def _read(file: Path) -> Exposure | None:
    try:
        return decode_image(file.read_bytes()).array
    except (OSError, ImageError):
        return None
