"""Distillation of a patch description network from a backbone (arXiv 2303.14535, section 3.1 and algorithm 3)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import torch

from edge_convert.arguments import check_writable
from edge_convert.backbone import choose_layers, load_backbone
from edge_convert.efficientad.data import Views
from edge_convert.efficientad.device import choose_device
from edge_convert.efficientad.loop import Course, follow
from edge_convert.efficientad.networks import BORDER_CELLS, MOST_CHANNELS, STRIDE, PdnSize, cells, make_pdn, start_on
from edge_convert.efficientad.optimise import Schedule, make_optimiser, set_rate
from edge_convert.efficientad.quantiles import spaced
from edge_convert.efficientad.targets import SHRINK, Targets
from edge_convert.efficientad.teacher_file import Teacher, write_teacher
from edge_convert.efficientad.teacher_start import start_teacher
from edge_runtime import __version__
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge_convert.backbone import Backbone
    from edge_convert.efficientad.device import Device
    from edge_convert.efficientad.loop import Outcome
    from edge_convert.progress import Observer
    from edge_runtime.ops.clock import Clock

SIDE_PX: Final = 256
"""The PDN's picture; the backbone's is twice as large."""
PAPER_STEPS: Final = 60_000
PAPER_BATCH: Final = 16
_STARTED_ON: Final = 8
_BATCH: Final = 7
"""Marks the random numbers of batches."""


@dataclass(frozen=True, slots=True)
class DistillOptions:
    """Arguments of `edge-convert distill`."""

    backbone: Path
    folders: tuple[Path, ...]
    out: Path
    schedule: Schedule
    size: PdnSize = PdnSize.S
    start: Literal["solved", "drawn"] = "solved"
    """Before the first step: random weights as in the paper, or filters from exemplars and a last layer solved for."""
    layers: tuple[str, ...] = ()
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    scenes: int = 1_000
    """Procedural scenes beside the images."""
    per_image: int = 4
    """Views of each image: the whole and random cut-outs."""
    per_folder: int = 0
    """At most so many images of each folder; 0 takes all."""
    statistics: int = 500
    """Views behind the channel normalisation."""
    side_px: int = SIDE_PX
    seed: int = 0
    device: str = "auto"
    bf16: bool = False
    threads: int = 0
    cache_mb: int = 2_048
    save_every: int = 200
    resume: bool = False

    def check(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigError: names the option.
        """
        self.schedule.check(self.side_px, 0 if self.start == "solved" else 1)
        check_writable("--out", self.out, "the teacher's file, e.g. teacher.npz")
        if not self.folders and not self.scenes:
            raise ConfigError("nothing to distil on", "Name folders with --images, or ask for --scenes.")


@dataclass(frozen=True, slots=True)
class Distilled:
    """What a distillation gave."""

    teacher: Teacher | None
    """None if it was stopped; the same command goes on."""
    outcome: Outcome


class Distillation:
    """A PDN on the way to imitate normalised features; a step is a function of state, seed and number."""

    def __init__(self, options: DistillOptions, targets: Targets, views: Views, device: Device) -> None:
        torch.manual_seed(options.seed)
        self._options = options
        self._targets = targets
        self._views = views
        self._device = device
        self._network = device.place(make_pdn(options.size, targets.channels))
        self._optimiser = make_optimiser(self._network.parameters(), options.schedule)
        self._mean: Any = None
        self._std: Any = None
        self.start_error: float | None = None
        """On unseen views, in variances of the targets; None where nothing was solved for."""

    @property
    def network(self) -> Any:
        """The PDN."""
        return self._network

    def normalise_with(self, mean: Any, std: Any) -> None:
        """Channel mean and deviation of the targets, each C values."""
        self._mean = torch.as_tensor(mean, device=self._device.name).view(1, -1, 1, 1)
        self._std = torch.as_tensor(std, device=self._device.name).view(1, -1, 1, 1)

    def start(self, observer: Observer) -> None:
        """Set the network before its first step."""
        options, device = self._options, self._device
        if options.start == "solved":
            norm = self._mean, self._std
            self.start_error = start_teacher(
                self._network, self._views, self._targets, norm, device, options.seed, observer
            )
            return
        first = [self._views.half(index) for index in spaced(len(self._views), _STARTED_ON)]
        start_on(self._network, device.normalised(device.tensor(first)))

    def learn(self, step: int) -> float:
        """See `Trainee`."""
        pictures, grids = self._batch(step)
        set_rate(self._optimiser, self._options.schedule, step)
        wanted = (torch.from_numpy(grids).to(self._device.name).float() - self._mean) / self._std
        with self._device.precision():
            found = self._network(self._device.normalised(self._device.tensor(pictures)))
        loss = ((found.float() - wanted) ** 2).mean()
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._optimiser.step()
        return float(loss.detach())

    def state(self) -> Mapping[str, Any]:
        """See `Trainee`."""
        network, optimiser = self._network.state_dict(), self._optimiser.state_dict()
        return {"network": network, "optimiser": optimiser, "start_error": self.start_error}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Trainee`."""
        self._network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.start_error = state["start_error"]

    def _batch(self, step: int) -> tuple[list[Any], Any]:
        """Crops of views, each view once before any comes again, and the cells that lie wholly inside them."""
        options = self._options
        crop = options.schedule.crop or options.side_px
        rng = np.random.default_rng((options.seed, _BATCH, step))
        count = cells(crop)
        pictures, grids = [], []
        for slot in range(options.schedule.batch):
            index = self._view(step * options.schedule.batch + slot)
            top, left = (int(value) for value in rng.integers(0, (options.side_px - crop) // STRIDE + 1, 2))
            small = self._views.half(index)
            y, x = top * STRIDE, left * STRIDE
            pictures.append(small[y : y + crop, x : x + crop])
            grid = self._targets.of(index)
            first_row, first_column = top + BORDER_CELLS, left + BORDER_CELLS
            grids.append(grid[:, first_row : first_row + count, first_column : first_column + count])
        return pictures, np.stack(grids)

    def _view(self, number: int) -> int:
        turn, place = divmod(number, len(self._views))
        return int(np.random.default_rng((self._options.seed, turn)).permutation(len(self._views))[place])


def distill(options: DistillOptions, observer: Observer, clock: Clock) -> Distilled:
    """Distil a teacher and write it; goes on from its checkpoint where there is one.

    Raises:
        ConfigError: an option, the backbone or the images cannot be used.
        ImageError: an image cannot be decoded.
    """
    options.check()
    device = choose_device(options.device, options.threads, bf16=options.bf16)
    side_px = SHRINK * options.side_px
    backbone = load_backbone(options.backbone, side_px, side_px, options.mean, options.std)
    for notice in backbone.notices:
        observer.notice(notice)
    views = _views(options)
    layers = choose_layers(backbone, options.layers)
    targets = Targets(backbone, layers, views, MOST_CHANNELS[options.size], options.threads, options.cache_mb)
    course = Course(
        title="distilling the teacher",
        steps=options.schedule.steps,
        checkpoint=options.out.with_name(options.out.name + ".checkpoint"),
        run=_run(options, backbone, views),
        save_every=options.save_every,
        resume=options.resume,
    )
    begun = course.check() is not None
    trainee = Distillation(options, targets, views, device)
    trainee.normalise_with(*targets.statistics(observer, options.statistics))
    if not begun:
        trainee.start(observer)
    outcome = follow(course, trainee, observer, clock)
    if outcome.stopped:
        return Distilled(None, outcome)
    weights = {name: value.float().cpu().numpy() for name, value in trainee.network.state_dict().items()}
    notes = _notes(options, backbone, [layer.name for layer in layers], views, device, outcome)
    if trainee.start_error is not None:
        notes["start"] = f"solved for; error on unseen views {trainee.start_error:.4f} of the targets' variance"
    teacher = Teacher(options.size, targets.channels, weights, notes)
    write_teacher(options.out, teacher)
    course.checkpoint.unlink(missing_ok=True)
    return Distilled(teacher, outcome)


def _views(options: DistillOptions) -> Views:
    return Views(
        options.folders,
        scenes=options.scenes,
        per_image=options.per_image,
        per_folder=options.per_folder,
        seed=options.seed,
        side_px=SHRINK * options.side_px,
    )


def _run(options: DistillOptions, backbone: Backbone, views: Views) -> dict[str, str]:
    return {
        "backbone": backbone.digest,
        "layers": ",".join(options.layers),
        "normalisation": f"{backbone.mean} {backbone.std}",
        "views": f"{views.description}; {views.digest}; {options.statistics} for the statistics",
        "network": f"{options.size.value}, {options.side_px} px",
        "start": options.start,
        "schedule": options.schedule.description,
        "seed": str(options.seed),
        "bf16": str(options.bf16),
    }


def _notes(
    options: DistillOptions, backbone: Backbone, layers: list[str], views: Views, device: Device, outcome: Outcome
) -> dict[str, str]:
    notes = {
        "converter": f"edge-convert {__version__}",
        "backbone": f"{backbone.file_name} sha256 {backbone.digest}, layers {', '.join(layers)}",
        "distilled_on": f"{views.description}, seed {options.seed}",
        "schedule": options.schedule.description,
        "time": f"{outcome.seconds / 60:.1f} minutes of steps; {time.process_time() / 60:.1f} processor minutes "
        "of this process from its start",
        "device": device.description,
    }
    if outcome.steps:
        notes["loss"] = f"{outcome.last_loss:.4f} at the end, in variances of the targets"
    if outcome.steps * options.schedule.batch < PAPER_STEPS * PAPER_BATCH:
        notes["shortened"] = (
            f"{outcome.steps} steps of {options.schedule.batch}; the paper takes {PAPER_STEPS} of {PAPER_BATCH}"
        )
    return notes
