"""`edge-convert combine`: how the models of a line's `[recipe.combine]` do alone and together."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from edge_convert.arguments import write_json
from edge_convert.combining.measure import Contestant, measure, other_doubts, standings
from edge_convert.evaluate.dataset import open_dataset
from edge_runtime.app.combine import combination_of, open_members
from edge_runtime.app.models import open_file, prove
from edge_runtime.app.recipe import build_recipe
from edge_runtime.config.load import load_config
from edge_runtime.domain.errors import ConfigError, EdgeError
from edge_runtime.ops.clock import SystemClock
from edge_runtime.plc.port import PlcCapability

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_convert.combining.measure import Judged, Standing
    from edge_convert.evaluate.dataset import Dataset
    from edge_runtime.config.line import LineConfig
    from edge_runtime.domain.combination import Combination
    from edge_runtime.domain.recipe import Recipe


def register(app: typer.Typer) -> None:
    """Add the command `combine`. Exit code 2 where the figures could not be made."""
    app.command(name="combine", help="Measure the models that a line combines: alone and together, on a dataset.")(
        _combine
    )


def _combine(
    line: Annotated[Path, typer.Argument(help="The line's configuration, with a table recipe.combine.")],
    dataset: Annotated[Path, typer.Argument(help="Folder with test/good, test/<defect>, or good/ beside defects.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="File for the figures and every look.")] = None,
    limit: Annotated[int | None, typer.Option(min=2, help="At most this many images, spread over the labels.")] = None,
) -> None:
    try:
        config, found = load_config(line), open_dataset(dataset, limit)
        if config.recipe.combine is None:
            raise ConfigError(f"{line} combines no models", "Add [recipe.combine]; see docs/combining.md.")
        if config.bundle.path is None:
            raise ConfigError(
                f"{line} runs signed releases", "Measure the bundle files that they were made of: bundle.path, bundle."
            )
        combination = combination_of(config.recipe.combine)
        recipe, judged = _measured(config, combination, found)
        rows = standings(judged, combination)
        write_json(json_file, _document(rows, judged))
    except (EdgeError, OSError) as error:
        text = error.diagnostics() if isinstance(error, EdgeError) else str(error)
        Console(stderr=True).print(f"error: {text}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error
    Console().print(_table(rows))
    if others := other_doubts(judged, combination, recipe):
        Console().print(_table(others))


def _measured(config: LineConfig, combination: Combination, dataset: Dataset) -> tuple[Recipe, list[Judged]]:
    with contextlib.ExitStack() as stack:
        own = stack.enter_context(open_file(config))
        prove(own)
        members = open_members(config, own)
        for member in members:
            stack.enter_context(member.inspector)
        recipe = build_recipe(config.recipe, own.bundle.calibration.limits, PlcCapability(0))
        contestants = [Contestant(own, recipe.limits), *(Contestant(each.inspector, each.limits) for each in members)]
        progress = stack.enter_context(Progress(console=Console(stderr=True), transient=True))
        task = progress.add_task("looking", total=len(dataset.samples))
        clock = SystemClock()
        return recipe, measure(contestants, combination, recipe, dataset, clock, lambda: progress.advance(task))


def _table(rows: Sequence[Standing]) -> Table:
    table = Table("", "looks", "ms", "p99", "AUROC", "good REJECT/REVIEW", "bad PASS/REVIEW", box=None)
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(
            row.name,
            f"{row.looked_percent:.0f} %",
            f"{row.mean_ms:.2f}",
            f"{row.p99_ms:.1f}",
            "–" if row.auroc is None else f"{row.auroc:.4f}",
            f"{row.good_rejected}/{row.good_in_review} of {row.good}",
            f"{row.bad_passed}/{row.bad_in_review} of {row.bad}",
        )
    return table


def _document(rows: Sequence[Standing], judged: Sequence[Judged]) -> dict[str, Any]:
    return {
        "standings": [asdict(row) for row in rows],
        "images": [
            {
                "file": row.file,
                "is_defect": row.is_defect,
                "disposition": row.verdict.disposition,
                "asked": row.asked,
                "scores": [look.score for look in row.looks],
                "took_ms": [look.took_ns / 1e6 for look in row.looks],
            }
            for row in judged
        ],
    }
