"""`edge-convert relimit`: arguments in, a new revision of the bundle out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from edge_convert.arguments import write_json
from edge_convert.evaluate.dataset import open_dataset
from edge_convert.images import list_images, load_image
from edge_convert.naming import named
from edge_convert.progress import Terminal
from edge_convert.relimit.revise import revise
from edge_convert.relimit.rules import Costs, from_costs, from_false_reject_rate, from_target_fnr
from edge_runtime.app.inspection import load_inspector
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import ConfigError, EdgeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_convert.progress import Observer
    from edge_convert.relimit.revise import Revision
    from edge_convert.relimit.rules import Rule
    from edge_runtime.app.inspection import Inspector


def register(app: typer.Typer) -> None:
    """Add the command `relimit`."""
    app.command(
        name="relimit",
        help="Change a bundle's limits without touching its weights, from ONE of: --false-reject-rate, --target-fnr, "
        "or --cost-false-pass with --cost-false-reject.",
    )(_relimit)


def _relimit(
    bundle: Annotated[Path, typer.Argument(help="The bundle file.")],
    out: Annotated[Path, typer.Option(help="The new revision; may be the same file.")],
    reason: Annotated[str, typer.Option(help="Who wants it and why; the bundle keeps it.")],
    good: Annotated[
        Path | None,
        typer.Option(help="Folder of good parts. Default: those of --dataset, else the scores that the bundle has."),
    ] = None,
    dataset: Annotated[Path | None, typer.Option(help="Labelled images: test/good, test/<defect>.")] = None,
    false_reject_rate: Annotated[float | None, typer.Option(help="Highest share of good parts above review.")] = None,
    target_fnr: Annotated[float | None, typer.Option(help="Highest share of defects that may pass.")] = None,
    confidence: Annotated[float, typer.Option(help="With which either of the two is promised.")] = 0.95,
    cost_false_pass: Annotated[float | None, typer.Option(help="Cost of a defect that passes.")] = None,
    cost_false_reject: Annotated[float | None, typer.Option(help="Cost of a good part that is rejected.")] = None,
    defect_rate: Annotated[float, typer.Option(help="Share of defects on the line, for the costs.")] = 0.01,
    engine: Annotated[Literal["auto", "onnxruntime", "openvino"], typer.Option(help="Inference engine.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, max=256, help="Engine threads; 0 takes every core.")] = 0,
    json: Annotated[Path | None, typer.Option(help="File for the summary.")] = None,
) -> None:
    console = Console(stderr=True)
    try:
        costs = _costs(cost_false_pass, cost_false_reject, defect_rate)
        _require_one(false_reject_rate, target_fnr, costs)
        settings = EngineSettings(name=engine, threads=threads)
        with load_inspector(bundle, settings, "development") as inspector, Terminal(console) as terminal:
            fine, broken = _scores(inspector, good, dataset, terminal)
            rule = _rule(fine, broken, false_reject_rate, target_fnr, costs, confidence)
            revision = revise(inspector, rule, fine, broken, out, settings, reason)
        write_json(json, asdict(revision))
    except EdgeError as error:
        console.print(f"error: {error.diagnostics()}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error
    _say(revision)


def _costs(false_pass: float | None, false_reject: float | None, defect_rate: float) -> Costs | None:
    if (false_pass is None) != (false_reject is None):
        raise ConfigError("only one of the two costs is given", "Give --cost-false-pass and --cost-false-reject.")
    if false_pass is None or false_reject is None:
        return None
    return Costs(false_pass, false_reject, defect_rate)


def _require_one(rate: float | None, fnr: float | None, costs: Costs | None) -> None:
    if sum(choice is not None for choice in (rate, fnr, costs)) != 1:
        raise ConfigError(
            "limits come from exactly one rule",
            "Give --false-reject-rate, or --target-fnr, or --cost-false-pass with --cost-false-reject.",
        )


def _scores(
    inspector: Inspector, good: Path | None, dataset: Path | None, observer: Observer
) -> tuple[list[float], list[float]]:
    """Scores of good and of defective parts on this bundle."""
    samples = open_dataset(dataset).samples if dataset is not None else ()
    fine = list(list_images(good)) if good is not None else [one.path for one in samples if not one.is_defect]
    broken = [one.path for one in samples if one.is_defect]
    scores = _inspect(inspector, fine, "good parts", observer)
    if good is None and not fine:
        scores = list(inspector.bundle.calibration.good_scores)
    return scores, _inspect(inspector, broken, "defective parts", observer)


def _inspect(inspector: Inspector, paths: Sequence[Path], title: str, observer: Observer) -> list[float]:
    scores = []
    if paths:
        with observer.stage(title, len(paths)) as stage:
            for path in paths:
                with named(path):
                    scores.append(inspector.inspect((load_image(path),)).score)
                stage.advance()
    return scores


def _rule(
    good: Sequence[float],
    defective: Sequence[float],
    rate: float | None,
    fnr: float | None,
    costs: Costs | None,
    confidence: float,
) -> Rule:
    if rate is not None:
        return from_false_reject_rate(good, rate, confidence)
    if not defective:
        raise ConfigError("this rule needs defective parts", "Name labelled images with --dataset.")
    if fnr is not None:
        return from_target_fnr(defective, fnr, confidence)
    if costs is None:
        raise AssertionError  # `_require_one` saw one of the three
    return from_costs(good, defective, costs)


def _say(revision: Revision) -> None:
    out = Console()
    before, after = revision.before, revision.after
    lines = [
        f"{revision.bundle}: revision {revision.revision} (sha256 {revision.digest[:16]}…)",
        f"review {before.review:.4g} → {after.review:.4g}, reject {before.reject:.4g} → {after.reject:.4g}",
        revision.method,
        *revision.consequences,
        *(f"golden image left out, too near the new limits: {name}" for name in revision.left_out),
    ]
    for line in lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True)
