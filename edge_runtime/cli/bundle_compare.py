"""`edge-runtime bundle compare`, `promote`, `withdraw`, `reconsider`: a candidate beside the model that decides."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from edge_runtime.cli.options import DEFAULT_CONFIG, AsJson, Config, Why, who
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from edge_runtime.config.line import LineConfig
    from edge_runtime.domain.rollout import RolloutReport, SideFigures
    from edge_runtime.services.rollout_requests import RequestFile, Wish

TAKEN_S = 5.0
"""A running daemon takes a request within a second."""
NOT_THE_SAME = 4
"""Exit code where something that a promotion by rule asks for is not shown."""


def compare_command(
    active: Annotated[Path | None, typer.Argument(help="A bundle; without one: how the line's rollout stands.")] = None,
    candidate: Annotated[Path | None, typer.Argument(help="The bundle to compare with it.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder with images of parts, for two bundles.")] = None,
    config: Config = DEFAULT_CONFIG,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many images, spread over the folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """How a candidate does beside the model that decides: agreement, reject rates, scores, time.

    Without bundles: the rollout of the line, as the daemon last wrote it down. With two bundles and --images: both here
    and now, on this device; exit 4 unless the candidate would be promoted.
    """
    from edge_runtime.app.comparison import compare_on_images, standing  # noqa: PLC0415  (engines take time to import)
    from edge_runtime.config.engine import EngineSettings  # noqa: PLC0415

    if active is None:
        report = standing(_settings(config))
    elif candidate is None or images is None:
        raise ConfigError("two bundles are compared on images", "Name both bundles and --images FOLDER, or none.")
    else:
        report = compare_on_images((active, candidate), images, EngineSettings(), limit)
    if as_json:
        typer.echo(json.dumps(asdict(report), indent=2, ensure_ascii=False))
    else:
        for line in report_lines(report):
            typer.echo(line)
    if active is not None and report.waits_for:
        raise typer.Exit(NOT_THE_SAME)


def promote_command(why: Why, config: Config = DEFAULT_CONFIG) -> None:
    """Bring the candidate one step on: from the shadow to its share of the parts, from there to its trial."""
    _ask(_settings(config), "promote", why)


def withdraw_command(why: Why, config: Config = DEFAULT_CONFIG) -> None:
    """Stop the rollout; the candidate is not begun again until `reconsider`."""
    _ask(_settings(config), "withdraw", why)


def reconsider_command(
    digest: Annotated[str, typer.Argument(help="Of a candidate that was stopped; its first 6 digits or more.")],
    why: Why,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Compare a candidate again that was rolled back, withdrawn, or has passed."""
    _ask(_settings(config), "again", why, digest)


def report_lines(report: RolloutReport) -> list[str]:
    """A report as a technician reads it."""
    since = datetime.fromtimestamp(report.since_ns // 1_000_000_000, UTC)
    lines = [
        f"{report.stage.upper()} since {since:%Y-%m-%d %H:%M} UTC: {report.reason}",
        "",
        *(f"{name:<10} {_side(side)}" for name, side in (("active", report.active), ("candidate", report.candidate))),
        "",
    ]
    if report.agreement is not None and report.agreement_at_least is not None:
        lines.append(f"agreement       {report.agreement:.2%} (surely {report.agreement_at_least:.2%})")
    if report.rate_p is not None:
        of = "the same parts, McNemar" if report.rate_test == "mcnemar_exact" else "different parts, Fisher"
        lines.append(f"same rejects    p = {report.rate_p:.3g} ({of})")
    if report.distance is not None:
        lines.append(f"score distance  {report.distance:.3f} (p = {report.distance_p:.3g})")
    if report.skipped or report.cpu_share is not None:
        share = "" if report.cpu_share is None else f"; {report.cpu_share:.2f} cores used"
        lines.append(f"skipped         {report.skipped} parts{share}")
    if report.share:
        lines.append(f"share           {report.share:.0%} of the parts")
    if report.stage.is_running:
        lines += ["", f"waits for       {'; '.join(report.waits_for) or 'nothing: it may be promoted'}"]
    return lines


def _side(side: SideFigures) -> str:
    rate = "" if side.reject_rate is None else f" ({side.reject_rate:.2%})"
    took = "" if side.p99_ms is None else f", {side.p50_ms:.1f} ms, 99 % within {side.p99_ms:.1f} ms"
    trouble = "".join(f", {count} {what}" for count, what in ((side.faults, "faults"), (side.late, "late")) if count)
    name = f"{side.bundle.name} {side.bundle.version} ({side.bundle.digest[:12]})"
    return f"{name}: {side.parts} parts, {side.rejected} rejected{rate}{took}{trouble}"


def _settings(config: Path) -> LineConfig:
    from edge_runtime.config.load import load_config  # noqa: PLC0415

    return load_config(config)


def _ask(config: LineConfig, wish: Wish, why: str, digest: str | None = None) -> None:
    from edge_runtime.app.rollout import books_file, request_file  # noqa: PLC0415
    from edge_runtime.services.rollout_requests import RolloutRequest  # noqa: PLC0415

    books, requests = books_file(config.device.state_dir), request_file(config.device.state_dir)
    before = books.load()
    meant = _ended(before.ended, digest) if digest is not None else None
    if meant is None:
        if before.candidate is None or not before.stage.is_running:
            raise ConfigError("no rollout is running on this line", "See `edge-runtime bundle compare`.")
        meant = before.candidate.digest
    try:
        requests.put(RolloutRequest(wish, meant, who(), why, time.time_ns()))
    except OSError as error:
        raise ConfigError(
            f"{config.device.state_dir} cannot be written: {error.strerror or error}",
            "Run the command as the daemon's user: `sudo -u edge-runtime edge-runtime bundle …`.",
        ) from error
    after, until = before, time.monotonic() + TAKEN_S
    while (after.stage, after.since_ns, after.ended) == (before.stage, before.since_ns, before.ended):
        if time.monotonic() > until:
            _nothing_came(requests)
        time.sleep(0.05)
        after = books.load()
    typer.echo(f"{after.stage}: {after.reason}")


def _nothing_came(requests: RequestFile) -> NoReturn:
    if requests.is_waiting:
        requests.take(0)  # it was meant now, not for the next start
        raise ConfigError("the daemon does not take the request", "Is the line running, with [rollout] enabled?")
    raise ConfigError("the daemon did not do it", "Its events say why: `rollout_refused`.")


def _ended(ended: dict[str, str], start: str) -> str:
    found = [digest for digest in ended if digest.startswith(start)]
    if len(found) != 1 or len(start) < 6:  # noqa: PLR2004  (as everywhere)
        known = ", ".join(digest[:12] for digest in ended) or "none"
        raise ConfigError(f"{len(found)} stopped candidates begin with {start}", f"Those that were stopped: {known}.")
    return found[0]
