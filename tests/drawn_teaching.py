"""Teaching from drawn parts with the tiny backbone: options that a test changes, and who keeps what was said."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from tiny_backbone import write_backbone, write_parts

from edge_convert.coreset import CoresetSize
from edge_convert.options import TeachOptions
from edge_convert.progress import Silent
from edge_convert.teach import teach
from edge_runtime.config.engine import EngineSettings
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

    from edge_convert.report import TeachReport

ENGINE = EngineSettings(name="onnxruntime", threads=1)


class Notices(Silent):
    """Keeps what a person would have read."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def notice(self, text: str) -> None:
        """See the port."""
        self.texts.append(text)


def drawn_options(folder: Path, parts: int = 24, **changes: object) -> TeachOptions:
    """To teach drawn parts at 64×96 in float32, with a small bank.

    Args:
        folder: gets the backbone and `parts` good parts, unless there are some already.
        parts: how many.
        changes: options to replace.
    """
    if not (folder / "good").exists():
        write_parts(folder / "good", parts)
    options = TeachOptions(
        images=folder / "good",
        backbone=folder / "b.onnx",
        out=folder / "part.bundle",
        name="part",
        height_px=64,
        width_px=96,
        engine=ENGINE,
        coreset=CoresetSize(0.02, 100, 200),
        int8=False,
        golden=1,
    )
    if not options.backbone.exists():
        write_backbone(options.backbone, {"input_mean": "0.5,0.5,0.5", "input_std": "0.25,0.25,0.25"})
    return dataclasses.replace(options, **changes)  # type: ignore[arg-type]


def taught(options: TeachOptions) -> TeachReport:
    """With nobody watching."""
    return teach(options, Silent(), SystemClock())
