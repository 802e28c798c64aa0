"""`edge-runtime demo`: see the product work in two minutes."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from edge_runtime.domain.verdict import Disposition, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edge_runtime.app.demo import Demo, PastTheGate
    from edge_runtime.domain.verdict import Verdict


def demo_command(
    parts: Annotated[int | None, typer.Option(min=1, help="End after so many parts, with a summary.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="No live view; the summary as one JSON object.")] = False,
    parts_per_s: Annotated[float | None, typer.Option(min=0.1, max=1000, help="Speed of the belt.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another belt, with other defects.")] = None,
) -> None:
    """A simulated conveyor with good and bad parts, the shipped bundle, an MQTT broker and a simulated PLC."""
    from edge_runtime.app.signals import Signals  # noqa: PLC0415

    signals = Signals()
    signals.install()
    from edge_runtime.app.demo import Demo  # noqa: PLC0415  (engines take time to import)
    from edge_runtime.ops.clock import SystemClock  # noqa: PLC0415
    from edge_runtime.ops.logs import Logging  # noqa: PLC0415

    with Demo(SystemClock(), parts, parts_per_s, seed, signals) as demo:
        demo.config.device.state_dir.mkdir(parents=True, exist_ok=True)
        log_path = demo.config.device.state_dir / "demo.log"
        with log_path.open("w", encoding="utf-8") as stream:
            logs = Logging(demo.config.ops.log_level, stream, {})
            try:
                _run(demo, live=not as_json and sys.stdout.isatty(), quiet=as_json)
            finally:
                logs.close()
        _report(demo, as_json=as_json)


def _run(demo: Demo, *, live: bool, quiet: bool) -> None:
    if not live:
        demo.daemon.run(None if quiet else _Teller(demo).tell, demo.is_finished)
        return
    from rich.live import Live  # noqa: PLC0415

    from edge_runtime.cli.demo_view import render  # noqa: PLC0415

    with Live(refresh_per_second=5, screen=False) as view:
        demo.daemon.run(lambda: view.update(render(demo, view.console.size)), demo.is_finished)
        view.update(render(demo, view.console.size))


class _Teller:
    """Where nobody sees a live view (a pipe, a log): how to look on, and one line for each part that does not pass."""

    def __init__(self, demo: Demo) -> None:
        self._demo = demo
        self._told = -1

    def tell(self) -> None:
        """What is new since the last time."""
        if self._told < 0:
            self._told = 0
            typer.echo(f"subscribe in another terminal: {self._demo.subscribe_command}")
            if (port := self._demo.daemon.pages_port) is not None:
                typer.echo(f"live picture: http://127.0.0.1:{port}/preview   Ctrl-C ends the demo.")
        verdicts = self._demo.daemon.line.monitor.snapshot().last_verdicts
        for line in stopped_parts(verdicts, self._told):
            typer.echo(line)
        self._told = max((verdict.part_sequence for verdict in verdicts), default=self._told)


def stopped_parts(verdicts: Iterable[Verdict], told: int) -> Iterator[str]:
    """A line for each part with a higher number than `told` that did not pass."""
    for verdict in verdicts:
        if verdict.part_sequence > told and verdict.disposition is not Disposition.PASS:
            score = "" if verdict.score is None else f", score {verdict.score:.3f}"
            yield f"part {verdict.part_sequence}: {verdict.disposition} {verdict.reason}{score}"


def _report(demo: Demo, *, as_json: bool) -> None:
    summary = demo.summary()
    if as_json:
        typer.echo(json.dumps(summary.as_json(), indent=2))
        return
    typer.echo(
        f"{summary.parts} parts: {summary.passed} PASS, {summary.review} REVIEW, {summary.rejected} REJECT; "
        f"{summary.rejects_in_time} of {summary.rejects_planned} rejects at the gate in time, "
        f"{summary.defective_past_the_gate} defective past the gate, {summary.good_rejected} good ones rejected; "
        f"decision p50 {summary.decision_p50_ms:.1f} ms, p99 {summary.decision_p99_ms:.1f} ms; "
        f"{summary.committed} records committed, {acknowledged(summary.committed, summary.published)}."
    )
    for line in why_past_the_gate(summary.past_the_gate):
        typer.echo(line)
    busy = sum(summary.reasons.get(reason, 0) for reason in (Reason.OVERLOAD, Reason.DEADLINE_MISSED))
    if busy:
        typer.echo(
            f"{busy} parts were rejected because this machine was too busy to inspect them in time: what is not "
            "inspected never passes. End other programs, or try a slower belt: --parts-per-s 2"
        )
    typer.echo(f"Evidence images and ledger: {demo.config.device.state_dir}")


def acknowledged(committed: int, published: int) -> str:
    """How many messages the broker took. The last records of a run are sent by the next one: there may be more."""
    more = "" if published <= committed else ", with those that an earlier run left"
    return f"{published} acknowledged by the broker{more}"


def why_past_the_gate(missed: Sequence[PastTheGate]) -> Iterator[str]:
    """Defects that the model cannot see, and (which must never be) parts that passed in spite of their verdict."""
    if weak := [each for each in missed if each.is_weak]:
        named = ", ".join(f"part {each.part} (score {each.score:.3f})" for each in weak)
        yield (
            f"Past the gate: {named}. So faint a defect looks like a good part to this model, and nothing was late or "
            "lost: it was inspected, and PASS was its verdict."
        )
    if holes := [each for each in missed if not each.is_weak]:
        yield (
            f"Past the gate WITHOUT a PASS that the model gave: {', '.join(f'part {each.part}' for each in holes)}. "
            "This must never be: please report it with the ledger and the log in the folder below."
        )
