"""Training: epochs from a checkpoint or from nothing, until the held-out images are no longer reconstructed better."""

from __future__ import annotations

import copy
import math
import pickle
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import torch

from edge_convert.autoencoder.networks import Reconstructor, build
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from edge_convert.autoencoder.pictures import Pictures
    from edge_convert.autoencoder.plan import TrainPlan
    from edge_convert.progress import Observer, Stage

    Images = npt.NDArray[np.uint8]

_NOISE: Final = 0.1
"""Standard deviation of the decoder's normal distribution for VAEs: it fixes what a β of 1 means."""
_RATE_FLOOR: Final = 0.02
_REPORTS: Final = 10
"""So many notices over a whole training."""
_STEPS_AT_RISK: Final = 50
"""Between two checkpoints where epochs are shorter than that."""
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Hardware:
    """Where and how it is computed; the weights depend on it only through rounding."""

    device: str
    """"cpu", "cuda", "mps"."""
    bf16: bool
    """Whether products are computed in bfloat16; weights and sums stay float32."""
    threads: int

    @property
    def description(self) -> str:
        """For notes and reports."""
        arithmetic = "bfloat16 products" if self.bf16 else "float32"
        return f"PyTorch {torch.__version__} on {self.device}, {arithmetic}, {self.threads} threads"


def find_hardware(device: str, threads: int, *, bf16: bool | None = None) -> Hardware:
    """The GPU if there is one, else the processor; bfloat16 where the silicon has it, unless told otherwise.

    Raises:
        ConfigError: the named device is not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: PyTorch finds no GPU", "Install PyTorch for CUDA, or leave --device out.")
    if threads:
        torch.set_num_threads(threads)
    if bf16 is None:
        bf16 = torch.cuda.is_bf16_supported() if device == "cuda" else _processor_has_bf16()
    return Hardware(device, bf16, torch.get_num_threads())


def _processor_has_bf16() -> bool:
    # PyTorch has no public question for it.
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001


@dataclass(slots=True)
class Progress:
    """How far a training is; all of it is in the checkpoint."""

    epoch: int = 0
    """Epochs done."""
    best_epoch: int = 0
    best_error: float = math.inf
    """Mean squared residual of the held-out images at the best epoch, of pixels in 0…1."""
    errors: list[float] = field(default_factory=list)
    """The same after every epoch."""


class Trainer:
    """A network, its optimiser, and the best weights so far."""

    def __init__(self, plan: TrainPlan, digest: str, hardware: Hardware) -> None:
        """Random weights from the plan's seed.

        Raises:
            ConfigError: the network is too large.
        """
        torch.manual_seed(plan.seed)
        self._plan, self._digest, self._hardware = plan, digest, hardware
        self._network: Reconstructor = build(plan)
        self._network.to(hardware.device, memory_format=torch.channels_last)
        self._optimiser = torch.optim.Adam(self._network.parameters(), lr=plan.rate)
        self._best: dict[str, Any] = copy.deepcopy(self._network.state_dict())
        self.progress = Progress()
        self.saved_epoch = 0
        """Epochs that the checkpoint holds; 0: there is none of this training."""

    @property
    def finished(self) -> bool:
        """All epochs are done, or patience is at an end."""
        waited = self.progress.epoch - self.progress.best_epoch
        return self.progress.epoch >= self._plan.epochs or waited >= self._plan.patience

    def best(self) -> Reconstructor:
        """The network of the best epoch, on the CPU, for inference."""
        network = build(self._plan)
        network.load_state_dict(self._best)
        network.eval()
        return network

    def run_epoch(self, pictures: Pictures, stage: Stage) -> None:
        """Train on every image once, in an order that depends on seed and epoch alone, and look at the held-out."""
        epoch = self.progress.epoch
        draw = torch.Generator().manual_seed(self._plan.seed * 1_000_003 + epoch)
        order = torch.randperm(len(pictures.training), generator=draw)
        self._network.train()
        batches = [chunk for chunk in order.split(self._plan.batch) if len(chunk) > 1 or len(order) == 1]
        for number, chunk in enumerate(batches):
            rate = _rate((epoch + number / len(batches)) / self._plan.epochs)
            for group in self._optimiser.param_groups:
                group["lr"] = self._plan.rate * rate
            self._step(self._batch(pictures.training[chunk.numpy()]), draw)
            stage.advance()
        self._judge(self._held_out_error(pictures.held_out))

    def save(self, path: Path) -> None:
        """Replace the checkpoint as a whole."""
        state = {
            "format": _FORMAT,
            "plan": self._plan.document(),
            "images": self._digest,
            "network": self._network.state_dict(),
            "best": self._best,
            "optimiser": self._optimiser.state_dict(),
            "epoch": self.progress.epoch,
            "best_epoch": self.progress.best_epoch,
            "best_error": self.progress.best_error,
            "errors": self.progress.errors,
        }
        part = path.with_name(f".{path.name}.part")
        try:
            with part.open("wb") as file:
                torch.save(state, file)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        self.saved_epoch = self.progress.epoch

    def load(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            ConfigError: unreadable, or of another plan or other images.
        """
        state = _read(path)
        differing = [
            name for name, value in self._plan.document().items() if dict(state["plan"]).get(name, value) != value
        ]
        if differing or state["images"] != self._digest:
            reason = f"other options ({', '.join(differing)})" if differing else "other images or another --region"
            raise ConfigError(f"{path} was written with {reason}", "Use the same ones, or train without --resume.")
        self._network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._best = state["best"]
        self.progress = Progress(state["epoch"], state["best_epoch"], state["best_error"], list(state["errors"]))
        self.saved_epoch = self.progress.epoch

    def _step(self, images: torch.Tensor, draw: torch.Generator) -> None:
        with torch.autocast(self._hardware.device, torch.bfloat16, enabled=self._hardware.bf16):
            reconstruction, mean, log_variance = self._network.sample(images, draw)
        loss = (reconstruction.float() - images).square().mean()
        if mean is not None and log_variance is not None:
            divergence = kl_divergence(mean.float(), log_variance.float()).mean()
            values = images[0].numel()
            weight = kl_weight(self._plan, self.progress.epoch)
            loss = loss / (2 * _NOISE**2) + weight * divergence / values
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._optimiser.step()

    def _batch(self, images: Images) -> torch.Tensor:
        tensor = torch.from_numpy(images).to(self._hardware.device).float() / 255
        return tensor.contiguous(memory_format=torch.channels_last)

    def _held_out_error(self, images: Images) -> float:
        self._network.eval()
        total = 0.0
        with torch.inference_mode():
            for start in range(0, len(images), self._plan.batch):
                batch = self._batch(images[start : start + self._plan.batch])
                with torch.autocast(self._hardware.device, torch.bfloat16, enabled=self._hardware.bf16):
                    reconstruction = self._network(batch)
                total += float((reconstruction.float() - batch).square().sum(dtype=torch.float64))
        return total / images.size

    def _judge(self, error: float) -> None:
        progress = self.progress
        progress.epoch += 1
        progress.errors.append(error)
        if error < progress.best_error:
            progress.best_error, progress.best_epoch = error, progress.epoch
            self._best = copy.deepcopy(self._network.state_dict())


def fit(trainer: Trainer, plan: TrainPlan, pictures: Pictures, checkpoint: Path, observer: Observer) -> Reconstructor:
    """Train to the end, with a checkpoint after every epoch of some length; the network of the best epoch.

    Raises:
        ConfigError: the checkpoint cannot be written, or training diverged.
    """
    steps = math.ceil(len(pictures.training) / plan.batch)
    every, saved = max(1, plan.epochs // _REPORTS), max(1, _STEPS_AT_RISK // steps)
    with observer.stage("training", steps * (plan.epochs - trainer.progress.epoch)) as stage:
        while not trainer.finished:
            trainer.run_epoch(pictures, stage)
            progress = trainer.progress
            if not math.isfinite(progress.errors[-1]):
                raise ConfigError("training diverged: the residual is not a number", "Lower --rate.")
            if progress.epoch % saved == 0 or trainer.finished:
                _save(trainer, checkpoint)
            if progress.epoch % every == 0 or trainer.finished:
                observer.notice(
                    f"epoch {progress.epoch} of {plan.epochs}: held-out residual (root mean square) "
                    f"{math.sqrt(progress.errors[-1]):.4f}, best {math.sqrt(progress.best_error):.4f} "
                    f"after epoch {progress.best_epoch}"
                )
    return trainer.best()


def _save(trainer: Trainer, checkpoint: Path) -> None:
    try:
        trainer.save(checkpoint)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise ConfigError(f"cannot write {checkpoint}: {error}", "Choose another --checkpoint.") from error


def kl_divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """KL(N(mean, variance) ‖ N(0, 1)) per image, in nats: appendix B of arXiv 1312.6114."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(dim=1)


def kl_weight(plan: TrainPlan, epoch: int) -> float:
    """Linear from 0 to β over the first `annealing` share of the epochs (Bowman et al., arXiv 1511.06349)."""
    rise = plan.annealing * plan.epochs
    return plan.beta * (min(1.0, epoch / rise) if rise else 1.0)


def _rate(done: float) -> float:
    return _RATE_FLOOR + (1 - _RATE_FLOOR) * 0.5 * (1 + math.cos(math.pi * done))


def spare_others(path: Path) -> None:
    """Refuse to write over a file that is no autoencoder's checkpoint: EfficientAD's has the same name by default.

    Raises:
        ConfigError: there is such a file.
    """
    if not path.exists():
        return
    try:
        _read(path)
    except ConfigError as error:
        raise ConfigError(
            f"{path} is not of an autoencoder, and would be overwritten",
            "Name another --checkpoint, or take the file away.",
        ) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["format"] != _FORMAT:
            raise ConfigError(f"{path} has format {state['format']}", "Train without --resume.")
    except (
        OSError,
        RuntimeError,
        KeyError,
        TypeError,
        EOFError,
        ValueError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
    ) as error:
        raise ConfigError(f"{path} is no checkpoint: {error}", "Name another --checkpoint, or train anew.") from error
    return dict(state)
