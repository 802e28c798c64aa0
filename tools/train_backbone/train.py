"""Train the backbone: bounded by process CPU time, resumable, the same data for the same seed."""

from __future__ import annotations

import argparse
import logging
import math
import queue
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import torch

from train_backbone.generators import CLASS_COUNT, FAMILIES
from train_backbone.losses import pretext_loss, to_targets
from train_backbone.network import PretextModel
from train_backbone.scenes import MARK_KINDS, Batch, SceneSource

_log = logging.getLogger(__name__)

_PEAK_RATE: Final = 1.5e-3
_WARM_UP: Final = 0.06
_FINAL_SHARE: Final = 0.005
_WEIGHT_DECAY: Final = 0.03
_LOG_EVERY: Final = 50
_SAVE_EVERY: Final = 250
_PREFETCH: Final = 4
_LARGE_FROM: Final = 0.75


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is bounded by."""

    seed: int
    steps: int
    cpu_seconds: float
    """Stop here, finished or not. It has no part in the learning rate: that would tie the result to the machine."""
    out: Path

    def progress(self, step: int) -> float:
        """Return how much of the run is over, 0 to 1."""
        return min(1.0, step / self.steps)

    def shape(self, step: int) -> tuple[int, int]:
        """Return batch and picture size of a step: many small pictures first, larger ones at the end."""
        return (64, 96) if step < _LARGE_FROM * self.steps else (48, 128)


def learning_rate(progress: float) -> float:
    """Return the rate of a one-cycle schedule: linear up, cosine down."""
    if progress < _WARM_UP:
        return _PEAK_RATE * (0.05 + 0.95 * progress / _WARM_UP)
    fall = (progress - _WARM_UP) / (1 - _WARM_UP)
    return _PEAK_RATE * (_FINAL_SHARE + (1 - _FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * fall)))


class Prefetcher:
    """Makes the batches of successive steps in a thread of its own, a few ahead."""

    def __init__(self, plan: Plan, first_step: int) -> None:
        """Start to make batches from `first_step` on; they end with the process."""
        self._queue: queue.Queue[Batch | Exception] = queue.Queue(_PREFETCH)
        self._plan = plan
        threading.Thread(target=self._fill, args=(first_step,), daemon=True).start()

    def _fill(self, first_step: int) -> None:
        try:
            source = SceneSource(self._plan.seed)
            for step in range(first_step, self._plan.steps):
                self._queue.put(source.batch(step, *self._plan.shape(step)))
        except Exception as error:  # noqa: BLE001 handed to the training thread, which raises it
            self._queue.put(error)

    def take(self) -> Batch:
        """Return the next batch; raise what its making raised."""
        item = self._queue.get()
        if isinstance(item, Exception):
            raise item
        return item


class Trainer:
    """Model, optimiser and what they have used so far."""

    def __init__(self, plan: Plan) -> None:
        """Make a new model from the plan's seed."""
        torch.manual_seed(plan.seed)
        self._plan = plan
        model = PretextModel(CLASS_COUNT, len(FAMILIES), MARK_KINDS)
        self._model: PretextModel = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        decayed = [value for value in self._model.parameters() if value.ndim > 1]
        plain = [value for value in self._model.parameters() if value.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": _WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}]
        self._optimiser = torch.optim.AdamW(groups, lr=_PEAK_RATE)
        self._cpu_before = 0.0
        self.step = 0

    @property
    def cpu_used(self) -> float:
        """CPU seconds of all threads, this run's and those before it."""
        return self._cpu_before + time.process_time()

    def load(self, path: Path) -> None:
        """Go on from a checkpoint that `save` wrote; raise ValueError if its seed or length differs."""
        state = torch.load(path, weights_only=True)
        if (state["seed"], state["steps"]) != (self._plan.seed, self._plan.steps):
            message = f"{path} belongs to seed {state['seed']} and {state['steps']} steps"
            raise ValueError(message)
        self._model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step, self._cpu_before = state["step"], state["cpu_seconds"]

    def save(self) -> None:
        """Replace the plan's checkpoint as a whole."""
        state = {
            "model": self._model.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "step": self.step,
            "steps": self._plan.steps,
            "seed": self._plan.seed,
            "cpu_seconds": self.cpu_used,
        }
        part = self._plan.out.with_suffix(".part")
        torch.save(state, part)
        part.replace(self._plan.out)

    def learn(self, batch: Batch) -> dict[str, float]:
        """Take one step and return the parts of its loss."""
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(self._plan.progress(self.step))
        targets = to_targets(batch)
        with torch.autocast("cpu", torch.bfloat16):
            outputs = self._model(targets.image)
        loss, log = pretext_loss(outputs, targets)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 5.0)
        self._optimiser.step()
        self.step += 1
        return log | {"loss": float(loss.detach())}


def _report(trainer: Trainer, plan: Plan, sums: dict[str, float], started: tuple[int, float]) -> None:
    """Log means since the last report and the CPU time that is left."""
    per_step = (trainer.cpu_used - started[1]) / max(1, trainer.step - started[0])
    left = min((plan.steps - trainer.step) * per_step, plan.cpu_seconds - trainer.cpu_used)
    means = " ".join(f"{name} {value / _LOG_EVERY:.3f}" for name, value in sorted(sums.items()))
    _log.info("step %d/%d cpu %.0fs left %.0fs %s", trainer.step, plan.steps, trainer.cpu_used, left, means)


def run(plan: Plan, *, resume: bool) -> None:
    """Train until the steps are done or the CPU time is used up; leave a checkpoint at `plan.out`."""
    trainer = Trainer(plan)
    if resume and plan.out.exists():
        trainer.load(plan.out)
    prefetcher = Prefetcher(plan, trainer.step)
    started = (trainer.step, trainer.cpu_used)
    sums: dict[str, float] = defaultdict(float)
    while trainer.step < plan.steps and trainer.cpu_used < plan.cpu_seconds:
        for name, value in trainer.learn(prefetcher.take()).items():
            sums[name] += value
        if trainer.step % _LOG_EVERY == 0:
            _report(trainer, plan, sums, started)
            sums.clear()
        if trainer.step % _SAVE_EVERY == 0:
            trainer.save()
    trainer.save()


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=2200, help="length of the run")
    parser.add_argument("--cpu-minutes", type=float, default=50.0, help="stop here, finished or not")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write")
    parser.add_argument("--resume", action="store_true", help="go on from --out if it exists")
    parser.add_argument("--threads", type=int, default=1, help="one uses the least CPU time per step")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    plan = Plan(options.seed, options.steps, options.cpu_minutes * 60, options.out)
    run(plan, resume=options.resume)


if __name__ == "__main__":
    main()
