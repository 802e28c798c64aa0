"""The loop around any training: progress, checkpoints, and a clean stop after Ctrl-C."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from edge_convert.efficientad.checkpoint import load_checkpoint, save_checkpoint
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from edge_convert.progress import Observer
    from edge_runtime.ops.clock import Clock

_ESTIMATE_AFTER: Final = 5
_ESTIMATE_WORTH_TELLING_S: Final = 120
_REPORTS: Final = 20
_LAST: Final = 50


class Trainee(Protocol):
    """Something that learns in steps, each a function of its state and the step's number alone."""

    def learn(self, step: int) -> float:
        """Take one step; returns its loss."""

    def state(self) -> Mapping[str, Any]:
        """All that `restore` needs."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a `state`."""


@dataclass(frozen=True, slots=True)
class Course:
    """How long a training lasts and where it keeps its checkpoint."""

    title: str
    steps: int
    checkpoint: Path
    run: Mapping[str, str]
    """What the run was started with, see `save_checkpoint`."""
    save_every: int = 200
    resume: bool = False
    """Go on from the checkpoint if there is one; otherwise there must be none."""

    def check(self) -> Mapping[str, Any] | None:
        """What to go on from; None at the start. Worth calling before hours of preparation.

        Raises:
            ConfigError: there is a checkpoint that nobody asked to go on from, or it belongs to another run.
        """
        if self.resume or not self.checkpoint.exists():
            return load_checkpoint(self.checkpoint, self.run)
        raise ConfigError(
            f"{self.checkpoint} holds an unfinished training",
            "Give --resume to go on with it, or delete it to start again.",
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a training went."""

    steps: int
    """Steps taken in all, those before a resume included."""
    seconds: float
    """Wall-clock time of all its legs."""
    cpu_seconds: float
    """Processor time of all its legs and threads."""
    last_loss: float
    """Mean of the last steps; NaN where the training had already ended."""
    stopped: bool
    """True after Ctrl-C: a checkpoint was written and the training is not finished."""


def follow(course: Course, trainee: Trainee, observer: Observer, clock: Clock) -> Outcome:
    """Train to the end of the course, or to the first Ctrl-C or SIGTERM, from the checkpoint if there is one.

    Raises:
        ConfigError: the checkpoint belongs to another run, or cannot be written.
    """
    state = course.check()
    first, before_s, cpu_before_s = 0, 0.0, 0.0
    if state is not None:
        first, before_s, cpu_before_s = state["step"], state["seconds"], state["cpu_seconds"]
        trainee.restore(state["trainee"])
        observer.notice(f"going on from step {first} of {course.steps} ({course.checkpoint})")
    started_ns, cpu_started_ns = clock.monotonic_ns(), time.process_time_ns()
    losses: list[float] = []

    def used() -> tuple[float, float]:
        wall_s = before_s + (clock.monotonic_ns() - started_ns) / 1e9
        return wall_s, cpu_before_s + (time.process_time_ns() - cpu_started_ns) / 1e9

    def save(step: int) -> None:
        wall_s, cpu_s = used()
        progress = {"step": step, "seconds": wall_s, "cpu_seconds": cpu_s, "trainee": dict(trainee.state())}
        save_checkpoint(course.checkpoint, course.run, progress)

    with observer.stage(course.title, course.steps - first) as stage, _stop_flag() as stop:
        step = first
        while step < course.steps and not stop.is_set():
            losses.append(trainee.learn(step))
            step += 1
            stage.advance()
            _tell(course, step - first, course.steps - step, losses, used()[0] - before_s, observer)
            if step % course.save_every == 0:
                save(step)
    save(step)
    last = losses[-_LAST:]
    last_loss = sum(last) / len(last) if last else math.nan
    return Outcome(step, *used(), last_loss, stopped=step < course.steps)


def _tell(course: Course, done: int, left: int, losses: list[float], seconds: float, observer: Observer) -> None:
    if done == _ESTIMATE_AFTER and left * seconds / done > _ESTIMATE_WORTH_TELLING_S:
        observer.notice(f"{seconds / done:.2f} s a step: about {left * seconds / done / 60:.0f} minutes to go here")
    every = max(1, course.steps // _REPORTS)
    if done % every == 0:
        observer.notice(f"step {course.steps - left}: mean loss {sum(losses[-every:]) / every:.4f}")


@contextlib.contextmanager
def _stop_flag() -> Iterator[threading.Event]:
    """Set by Ctrl-C and SIGTERM while it lasts, so that no step is cut in two. Only the main thread catches signals."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    kept = {number: signal.signal(number, lambda *_: flag.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
