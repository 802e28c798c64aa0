"""`edge-convert bench search`: arguments in, a table and JSON out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edge_convert.arguments import write_json
from edge_convert.flags import add_command
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import ConfigError
from edge_runtime.ops.clock import SystemClock
from edge_runtime.ops.machine import describe_machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_convert.bench.search_patches import SearchCase


@dataclass(frozen=True, slots=True)
class SearchFlags:
    """Arguments and options as they stand on the command line."""

    bundle: Annotated[Path | None, typer.Argument(help="A PatchCore bundle; without it, patches are drawn.")] = None
    images: Annotated[Path | None, typer.Option(help="With a bundle: folder with pictures to look at.")] = None
    sizes: Annotated[str, typer.Option(help="Drawn banks, comma-separated.")] = "1000,5000,16384"
    channels: Annotated[str, typer.Option(help="Features of a drawn patch, comma-separated.")] = "384"
    patches: Annotated[int, typer.Option(min=1, help="Of a drawn picture.")] = 784
    pictures: Annotated[int, typer.Option(min=1, help="How many at most.")] = 10
    rounds: Annotated[int, typer.Option(min=1, help="Turns over all pictures and ways.")] = 5
    check: Annotated[int, typer.Option(min=0, help="Pictures compared with brute force, bit for bit.")] = 2
    engine: Annotated[Literal["auto", "onnxruntime", "openvino"], typer.Option(help="Inference engine.")] = "auto"
    threads: Annotated[int, typer.Option(min=0, max=256, help="Engine threads; 0 takes every core.")] = 0
    json: Annotated[Path | None, typer.Option(help="File for the figures.")] = None

    def cases(self, settings: EngineSettings) -> Iterator[SearchCase]:
        """What is searched.

        Raises:
            ConfigError: options make no sense together.
        """
        from edge_convert.bench.search_patches import drawn, of_bundle  # noqa: PLC0415  (`--help` needs no engine)

        if self.bundle is not None:
            if self.images is None:
                raise ConfigError("--images is missing", "Name a folder with pictures for the bundle.")
            yield of_bundle(self.bundle, self.images, settings, self.pictures)
            return
        for channels in _numbers("--channels", self.channels):
            for size in _numbers("--sizes", self.sizes):
                yield drawn(size, channels, self.patches, self.pictures)


def register(group: typer.Typer) -> None:
    """Add the command `search` to the group."""
    add_command(group, "search", SearchFlags, _search)


def _search(flags: SearchFlags) -> None:
    """Time the exact search of a memory bank beside brute force, on the same patches in turns."""
    from edge_convert.bench.search import run_case, told  # noqa: PLC0415  (`--help` needs no engine)
    from edge_convert.progress import Terminal  # noqa: PLC0415  (likewise)

    settings = EngineSettings(name=flags.engine, threads=flags.threads)
    clock, machine = SystemClock(), describe_machine()
    with Terminal(Console(stderr=True)) as terminal:
        results = [
            run_case(case, settings, flags.rounds, flags.check, clock, terminal) for case in flags.cases(settings)
        ]
    document: dict[str, Any] = {"machine": asdict(machine), "cases": [result.document() for result in results]}
    write_json(flags.json, document)
    columns = ("bank", "way", "median ms", "99 % ms", "CPU ms", "× exact search", "× its CPU", "beside Python ms")
    table = Table(*columns, "same patch", title=str(machine))
    for line in told(results):
        table.add_row(*map(Text, line))
    console = Console()
    console.print(table)
    for result in results:
        console.print(
            f"{result.name} on {result.engine}: {result.equal} of {result.checked} equal brute force", markup=False
        )


def _numbers(flag: str, text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"{flag} {text!r} is no list of numbers", "Write e.g. 1000,5000.") from error
    if min(found) < 1:
        raise ConfigError(f"{flag} {text!r}: a bank has a row and a channel at least", "Write e.g. 1000,5000.")
    return found
