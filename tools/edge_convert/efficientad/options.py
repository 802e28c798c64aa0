"""What a person decides about `edge-convert train efficientad`, and what comes of it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from edge_convert.arguments import check_writable
from edge_convert.teaching.area import AreaOptions
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import Resize

if TYPE_CHECKING:
    from pathlib import Path

    from edge_convert.convert.report import ConvertReport
    from edge_convert.convert.source import ConvertOptions
    from edge_convert.efficientad.loop import Outcome
    from edge_convert.efficientad.networks import PdnSize
    from edge_convert.efficientad.optimise import Schedule

_LEAST_PX: Final = 36
"""A patch network sees 33 pixels at a time."""
_MOST_PX: Final = 4_096


@dataclass(frozen=True, slots=True)
class EfficientAdOptions:
    """Arguments of `edge-convert train efficientad`."""

    images: Path
    teacher: Path
    convert: ConvertOptions
    checkpoint: Path
    schedule: Schedule
    size: PdnSize | None = None
    """What the teacher must be; None: whatever it is."""
    student: Literal["learnt", "solved"] = "solved"
    """Trained step by step as in the paper, or given the teacher's layers and a last one that is solved for. Beside a
    solved one the steps are the autoencoder's, and without any there is none."""
    height_px: int = 256
    width_px: int = 256
    resize: Resize = Resize.AREA
    region: tuple[int, int, int, int] | None = None
    area: AreaOptions = field(default_factory=AreaOptions)
    """Tiles and mask."""
    unrelated: Path | None = None
    holdout: float | None = None
    onnx: Path | None = None
    """Where the float32 graph is written as well."""
    device: str = "auto"
    threads: int = 0
    bf16: bool = False
    save_every: int = 200
    resume: bool = False
    keep_checkpoint: bool = False
    """Leave it behind, so that the same training can be converted in another way."""

    @property
    def autoencoder(self) -> bool:
        """Whether there is one: it needs steps to learn anything."""
        return self.schedule.steps > 0

    def check(self) -> None:
        """Refuse at once what would fail after hours.

        Raises:
            ConfigError: names the option.
        """
        if min(self.height_px, self.width_px) < _LEAST_PX or max(self.height_px, self.width_px) > _MOST_PX:
            raise ConfigError(
                f"--input-size {self.height_px}x{self.width_px} is out of range",
                f"Choose {_LEAST_PX} to {_MOST_PX} pixels; the paper's is 256.",
            )
        self.schedule.check(min(self.height_px, self.width_px), 0 if self.student == "solved" else 1)
        self.area.check()
        self.convert.check()
        if self.autoencoder:
            check_writable("--checkpoint", self.checkpoint, "a file, e.g. part.checkpoint")
        if self.onnx is not None:
            check_writable("--onnx", self.onnx, "a file, e.g. part.onnx")
        if self.holdout is not None and not 0 < self.holdout <= 0.5:  # noqa: PLR2004
            raise ConfigError(f"--holdout {self.holdout} is impossible", "Choose a share above 0 and up to 0.5.")


@dataclass(frozen=True, slots=True)
class EfficientAdReport:
    """The closing summary."""

    outcome: Outcome
    trained_images: int
    held_out_images: int
    notes: dict[str, str]
    conversion: ConvertReport | None
    """None if training was stopped; the same command with --resume goes on."""

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        document = asdict(self)
        if math.isnan(self.outcome.last_loss):
            document["outcome"]["last_loss"] = None  # JSON knows no NaN
        document["conversion"] = None if self.conversion is None else self.conversion.document()
        return document
