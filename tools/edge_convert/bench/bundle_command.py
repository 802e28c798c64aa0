"""`edge-convert bench BUNDLE`: arguments in, a table, JSON and a picture out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from edge_convert.arguments import size, write_json
from edge_convert.bench.frames import FrameForm
from edge_convert.flags import add_command
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import ConfigError
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from edge_convert.bench.run import BenchOptions


@dataclass(frozen=True, slots=True)
class BenchFlags:
    """Arguments and options as they stand on the command line."""

    bundle: Annotated[Path, typer.Argument(help="The bundle file.")]
    frame: Annotated[
        str | None, typer.Option(help="Camera frame as height x width. Default 1200x1920, or what the bundle asks for.")
    ] = None
    mono: Annotated[bool, typer.Option("--mono", help="A mono camera.")] = False
    bits: Annotated[Literal["8", "16"], typer.Option(help="Of a pixel.")] = "8"
    jpeg: Annotated[bool, typer.Option("--jpeg", help="Frames come as JPEG and are decoded.")] = False
    images: Annotated[Path | None, typer.Option(help="Folder with pictures. Default: the golden images.")] = None
    engine: Annotated[Literal["auto", "onnxruntime", "openvino"], typer.Option(help="Inference engine.")] = "auto"
    threads: Annotated[int, typer.Option(min=0, max=256, help="Engine threads; 0 takes every core.")] = 0
    precision: Annotated[Literal["f32", "bf16", "f16"], typer.Option(help="Of what is not quantized.")] = "f32"
    rounds: Annotated[int, typer.Option(min=1, help="Turns, of the bundle and of what it is compared with.")] = 10
    per_round: Annotated[int, typer.Option(min=1, help="Inspections per turn.")] = 20
    engine_tool: Annotated[
        bool, typer.Option("--engine-tool/--no-engine-tool", help="Compare with OpenVINO's benchmark_app.")
    ] = True
    peer: Annotated[
        list[str] | None, typer.Option(help="Command of a worker to compare with (tools/bench has some); repeatable.")
    ] = None
    json: Annotated[Path | None, typer.Option(help="File for the figures.")] = None
    png: Annotated[Path | None, typer.Option(help="File for the picture.")] = None

    def options(self) -> BenchOptions:
        """What they mean.

        Raises:
            ConfigError: a text cannot be read.
        """
        from edge_convert.bench.run import BenchOptions  # noqa: PLC0415  (`--help` needs no engine)

        settings: dict[str, str | int] = {"name": self.engine, "threads": self.threads}
        if self.precision != "f32":  # else the bundle's own choice holds
            settings["precision"] = self.precision
        return BenchOptions(
            bundle=self.bundle,
            engine=EngineSettings.model_validate(settings),
            form=FrameForm(
                None if self.frame is None else size("--frame", self.frame, 1200), self.mono, int(self.bits), self.jpeg
            ),
            images=self.images,
            rounds=self.rounds,
            per_round=self.per_round,
            with_engine_tool=self.engine_tool,
            peers=tuple(self.peer or ()),
        )


def register(group: typer.Typer) -> None:
    """Add the command `bundle` to the group."""
    add_command(group, "bundle", BenchFlags, _bench)


def _bench(flags: BenchFlags) -> None:
    """Time a bundle on this machine, from a camera frame in memory to its score, and beside others."""
    options = flags.options()
    from edge_convert.bench.chart import picture  # noqa: PLC0415  (`--help` needs no engine)
    from edge_convert.bench.run import run_bench  # noqa: PLC0415  (likewise)
    from edge_convert.progress import Terminal  # noqa: PLC0415  (likewise)

    with Terminal(Console(stderr=True)) as terminal:
        result = run_bench(options, terminal, SystemClock())
    Console().print(result.table(), soft_wrap=True)  # first: a file that cannot be written costs no measurement
    write_json(flags.json, result.document())
    if flags.png is not None:
        try:
            flags.png.write_bytes(picture(result))
        except OSError as error:
            raise ConfigError(f"--png: cannot write {flags.png}: {error.strerror}", "Choose another file.") from error
