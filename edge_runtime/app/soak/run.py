"""Running a soak: the daemon as a process, and around it broker, PLC, belt and subscriber in this one."""

from __future__ import annotations

import contextlib
import statistics
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from edge_runtime.app.soak.auditor import Auditor
from edge_runtime.app.soak.belt import FolderBelt, PictureBelt, draw_pictures
from edge_runtime.app.soak.books import Books, compare
from edge_runtime.app.soak.plant import DEVICE, DaemonUnderTest, Gate, free_port, write_config
from edge_runtime.app.soak.watch import Sample, process_costs
from edge_runtime.domain.errors import EdgeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from edge_runtime.app.soak.plan import SoakPlan
    from edge_runtime.ops.clock import Clock

S = 1_000_000_000
START_WITHIN_S = 120.0
SETTLE_WITHIN_S = 300.0
"""For the last parts, and for what waited for the broker."""
FEED_EVERY_NS = 20_000_000
"""Longest sleep of the loop."""
GATE_SLACK_NS = 500_000_000
BELT_AFTER_NS = 2_000_000_000
"""The PLC has been connected by then: the link tries twice a second."""
JUDGING = frozenset({"ready", "degraded"})
PERCENTILES = {"p50": 50.0, "p99": 99.0, "p99.9": 99.9, "worst": 100.0}


class SoakError(EdgeError):
    """The soak could not be run."""


class BrokerUnderTest(Protocol):
    """Where the broker of a soak is. Who ends and restarts it is the caller's business."""

    @property
    def host(self) -> str:
        """Name or address."""

    @property
    def port(self) -> int:
        """TCP port."""

    @property
    def version(self) -> str:
        """Newest MQTT version that it speaks: "5" or "3.1.1"."""


@dataclass(frozen=True, slots=True)
class SoakResult:
    """What a soak found."""

    plan: SoakPlan
    ran_s: float
    """Line time, first part to last."""
    samples: tuple[Sample, ...]
    books: Books
    latency_ms: dict[str, float]
    """p50, p99, p99.9 and worst, from trigger to verdict."""
    reasons: dict[str, int]
    exit_code: int
    """Of the daemon."""


class Soak:
    """One run. A context manager; leaving it ends every process and thread that it started."""

    def __init__(self, plan: SoakPlan, broker: BrokerUnderTest, clock: Clock) -> None:
        """Start everything, wait until the daemon is up, and let the belt begin.

        Raises:
            EdgeError: something does not start; nothing is left running.
        """
        self._plan = plan
        self._clock = clock
        self._never = threading.Event()
        self._samples: list[Sample] = []
        if (plan.work / "state").exists():
            raise SoakError(
                f"{plan.work} holds the ledger of another run: its books would be mixed with ours",
                "Name another folder with --work, or remove that one.",
            )
        with contextlib.ExitStack() as undo:
            (plan.work / "in").mkdir(parents=True, exist_ok=True)
            pictures = draw_pictures(plan.bundle, plan.width_px, plan.height_px, stored=plan.pictures)
            self._auditor = Auditor(broker.host, broker.port, broker.version, DEVICE)
            undo.callback(self._auditor.close)
            port = free_port()
            config = write_config(plan, port, (broker.host, broker.port, broker.version))
            self._daemon = DaemonUnderTest(config, plan.work / "daemon.log")
            undo.callback(self._daemon.stop)
            self._await_start()
            # The belt begins when somebody is there to see it, and the PLC is there when the belt begins.
            self._belt = _belt(plan, clock, tuple(picture.passes for picture in pictures))
            self._gate = Gate(self._belt, clock, port)
            self._gate.start()
            undo.callback(self._gate.stop)
            self._feeder = FolderBelt(self._belt, pictures, plan.work / "in", plan.pictures)
            self._undo = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    @property
    def daemon_pid(self) -> int:
        """Of the daemon under test."""
        return self._daemon.pid

    @property
    def subscriptions(self) -> int:
        """How often the broker has accepted the subscriber so far."""
        return self._auditor.subscriptions

    def run(
        self, is_stopped: Callable[[], bool] = lambda: False, on_sample: Callable[[Sample], None] | None = None
    ) -> SoakResult:
        """Let the belt run for the plan's time, settle, stop the daemon, compare the books.

        Args:
            is_stopped: asked many times per second; true ends the run early, with its account.
            on_sample: called with every sample.
        """
        begin_ns = self._belt.start_ns
        end_ns = begin_ns + round(self._plan.duration_s * S)
        sample_ns = begin_ns
        while (now_ns := self._clock.monotonic_ns()) < end_ns and not is_stopped() and self._daemon_runs():
            self._feeder.advance(now_ns)
            if now_ns >= sample_ns:
                self._sample(now_ns, on_sample)
                sample_ns += round(self._plan.sample_every_s * S)
            pause_ns = min(self._feeder.next_ns(), sample_ns) - self._clock.monotonic_ns()
            self._clock.wait(self._never, min(pause_ns, FEED_EVERY_NS))
        ran_s = (self._clock.monotonic_ns() - begin_ns) / S
        self._settle()
        exit_code = self._daemon.stop()
        self._await(lambda: self._auditor.distinct >= self._feeder.given, 5.0)
        self._gate.read()
        return self._result(ran_s, exit_code)

    def _result(self, ran_s: float, exit_code: int) -> SoakResult:
        given, auditor = self._feeder.given, self._auditor
        return SoakResult(
            plan=self._plan,
            ran_s=ran_s,
            samples=tuple(self._samples),
            books=compare(self._plan.work / "state" / "ledger.sqlite", given, auditor, self._gate, self._belt),
            latency_ms={name: auditor.percentile_ms(percent) for name, percent in PERCENTILES.items()},
            reasons=dict(sorted(auditor.reasons.items())),
            exit_code=exit_code,
        )

    def _await_start(self) -> None:
        self._await(lambda: self._auditor.state in JUDGING or not self._daemon_runs(), START_WITHIN_S)
        if self._auditor.state not in JUDGING:
            raise SoakError(
                f"the daemon does not get ready (state {self._auditor.state}, exit code {self._daemon.exit_code()})",
                f"Read {self._plan.work / 'daemon.log'}.",
            )

    def _settle(self) -> None:
        """Every part past the gate and every verdict at the subscriber, or the time is up."""
        last = self._belt.part(self._feeder.given)
        if last is not None:
            gate_ns = last.triggered_ns + self._belt.travel_ns + GATE_SLACK_NS
            self._await(lambda: self._clock.monotonic_ns() > gate_ns, SETTLE_WITHIN_S)
        self._await(lambda: self._auditor.distinct >= self._feeder.given or not self._daemon_runs(), SETTLE_WITHIN_S)

    def _sample(self, now_ns: int, on_sample: Callable[[Sample], None] | None) -> None:
        self._gate.read()
        recent, self._auditor.recent = self._auditor.recent, []
        try:
            rss_mb, descriptors, threads = process_costs(self._daemon.pid)
        except OSError:
            return  # it has ended; the loop will notice
        latency_ms = statistics.median(recent) if recent else float("nan")
        behind = self._feeder.given - self._auditor.distinct
        at_s = (now_ns - self._belt.start_ns) / S
        self._samples.append(Sample(at_s, rss_mb, descriptors, threads, latency_ms, behind))
        if on_sample is not None:
            on_sample(self._samples[-1])

    def _daemon_runs(self) -> bool:
        return self._daemon.exit_code() is None

    def _await(self, condition: Callable[[], bool], seconds: float) -> None:
        until_ns = self._clock.monotonic_ns() + round(seconds * S)
        while not condition() and self._clock.monotonic_ns() < until_ns:
            self._clock.wait(self._never, FEED_EVERY_NS)


def _belt(plan: SoakPlan, clock: Clock, passes: tuple[bool, ...]) -> PictureBelt:
    return PictureBelt(
        seed=plan.seed,
        start_ns=clock.monotonic_ns() + BELT_AFTER_NS,
        parts_per_s=plan.parts_per_s,
        defect_rate=0.0,
        dropped_trigger_rate=0.0,
        travel_ns=plan.travel_ms * 1_000_000,
        ticks_per_s=1_000,
        passes=passes,
    )
