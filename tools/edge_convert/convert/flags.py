"""The options that every command which makes a bundle has in common, as the pipeline takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from edge_convert.convert.source import ConvertOptions
from edge_runtime.config.engine import EngineSettings

if TYPE_CHECKING:
    from pathlib import Path


class ConversionFlags(Protocol):
    """A command's flags, as far as they decide about the conversion; see `ConvertOptions` for what they mean."""

    @property
    def out(self) -> Path:
        """The bundle to write."""

    @property
    def name(self) -> str | None:
        """None: the file's."""

    @property
    def bundle_version(self) -> str:
        """Version that every record will state."""

    @property
    def engine(self) -> Literal["auto", "onnxruntime", "openvino"]:
        """Inference engine."""

    @property
    def threads(self) -> int:
        """0 leaves the choice."""

    @property
    def precision(self) -> str:
        """Of the bundle."""

    @property
    def false_reject_rate(self) -> float | None:
        """None: what the number of images supports."""

    @property
    def golden(self) -> int:
        """Golden images of good parts, and as many defects."""

    @property
    def seed(self) -> int:
        """Of every random choice."""

    @property
    def allow_loss(self) -> bool:
        """Write a departure from parity down."""

    @property
    def dataset(self) -> Path | None:
        """Labelled images on which AUROC is compared."""


def conversion(flags: ConversionFlags, *, even_if_slower: bool = False) -> ConvertOptions:
    """What the flags say about the conversion; `even_if_slower` where a command has it."""
    return ConvertOptions(
        out=flags.out,
        name=flags.name or flags.out.stem,
        version=flags.bundle_version,
        engine=EngineSettings(name=flags.engine, threads=flags.threads),
        precision=flags.precision,
        false_reject_rate=flags.false_reject_rate,
        golden=flags.golden,
        seed=flags.seed,
        allow_loss=flags.allow_loss,
        dataset=flags.dataset,
        even_if_slower=even_if_slower,
    )
