"""`edge-runtime soak`: the line under load for hours."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.app.soak.account import Account
    from edge_runtime.app.soak.plan import SoakPlan
    from edge_runtime.app.soak.watch import Sample

FAILED = 1


def soak_command(
    hours: Annotated[float | None, typer.Option(min=0.0, help="How long the belt runs.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.0, help="The same in minutes; both add up.")] = None,
    parts_per_s: Annotated[float, typer.Option(min=0.1, max=1_000, help="Speed of the belt.")] = 10.0,
    seed: Annotated[int, typer.Option(help="The same number gives the same belt.")] = 1,
    bundle: Annotated[Path | None, typer.Option(help="What inspects; default: the demo's bundle.")] = None,
    work: Annotated[Path | None, typer.Option(help="Keep ledger, log and configuration here.")] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the account with all samples here.")] = None,
) -> None:
    """Run daemon, broker, PLC and belt; report slopes of memory, descriptors, threads and latency, and the books.

    Ends with exit code 1 when the books do not agree or a slope is beyond its limit. Ctrl-C ends it early, with the
    account.
    """
    stop_asked = _on_signals()
    from edge_runtime.app.demo import demo_bundle  # noqa: PLC0415  (engines take time to import)
    from edge_runtime.app.soak.belt import frame_size_px  # noqa: PLC0415
    from edge_runtime.app.soak.plan import DEMO_SIZE_PX, SoakPlan  # noqa: PLC0415

    duration_s = 3_600 * (hours or 0.0) + 60 * (minutes or 0.0)
    if duration_s <= 0:
        raise typer.BadParameter("say how long: --hours, --minutes or both")
    if json_path is not None:
        _write(json_path, "a", "")  # hours later would be too late to hear of it
    inspecting = demo_bundle() if bundle is None else bundle
    width_px, height_px = frame_size_px(inspecting, DEMO_SIZE_PX)
    with tempfile.TemporaryDirectory(prefix="edge-soak-") as temporary:
        plan = SoakPlan(
            duration_s=duration_s,
            parts_per_s=parts_per_s,
            seed=seed,
            bundle=inspecting,
            work=(Path(temporary) if work is None else work).resolve(),
            width_px=width_px,
            height_px=height_px,
        )
        found = _run(plan, stop_asked)
    typer.echo(found.page())
    if json_path is not None:
        _write(json_path, "w", json.dumps(found.as_json(), indent=2) + "\n")
    if found.findings:
        raise typer.Exit(FAILED)


def _write(file: Path, mode: str, text: str) -> None:
    try:
        with file.open(mode, encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise ConfigError(
            f"--json: {file} cannot be written: {error.strerror}", "Name a file in a folder that you may write to."
        ) from error


def _run(plan: SoakPlan, stop_asked: Callable[[], bool]) -> Account:
    from edge_runtime.app.soak.account import account  # noqa: PLC0415
    from edge_runtime.app.soak.run import Soak  # noqa: PLC0415
    from edge_runtime.broker.embedded import start_embedded  # noqa: PLC0415
    from edge_runtime.ops.clock import SystemClock  # noqa: PLC0415

    broker = start_embedded()
    try:
        with Soak(plan, broker, SystemClock()) as soak:
            return account(soak.run(stop_asked, _tell if sys.stderr.isatty() else None))
    finally:
        broker.stop()


def _on_signals() -> Callable[[], bool]:
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: asked.append(received))
    return lambda: bool(asked)


def _tell(sample: Sample) -> None:
    typer.echo(
        f"{sample.at_s:8.0f} s  {sample.rss_mb:7.1f} MiB  {sample.descriptors:3d} descriptors  {sample.threads:3d} "
        f"threads  {sample.latency_ms:6.1f} ms  {sample.behind} behind",
        err=True,
    )
