"""`edge-convert advise`: questions or flags in, a recommendation out."""

from __future__ import annotations

import json as json_format
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer
from rich.console import Console

from edge_convert.advise.knowledge import DEVICES
from edge_convert.advise.rules import Needs, advise
from edge_runtime.domain.errors import ConfigError, EdgeError

if TYPE_CHECKING:
    from edge_convert.advise.knowledge import Device
    from edge_convert.advise.rules import Advice

Accuracy = Literal["highest", "balanced", "fast"]


def register(app: typer.Typer) -> None:
    """Add the command `advise`."""
    app.command(name="advise", help="Recommend a model for a line. What is not given as a flag is asked for.")(_advise)


def _advise(
    device: Annotated[str | None, typer.Option(help=f"One of {', '.join(DEVICES)}.")] = None,
    cycle_ms: Annotated[float | None, typer.Option(min=1, help="Time per part, in milliseconds.")] = None,
    accuracy: Annotated[Accuracy | None, typer.Option(help="What matters more.")] = None,
    memory_mb: Annotated[int | None, typer.Option(min=0, help="For inspection; 0: what the device has.")] = None,
    good: Annotated[int | None, typer.Option(min=0, help="Images of good parts that there are.")] = None,
    bad: Annotated[int | None, typer.Option(min=0, help="Images of defective parts that there are.")] = None,
    products: Annotated[int | None, typer.Option(min=1, help="Products on this line.")] = None,
    logical: Annotated[  # noqa: FBT002  (typer's way of declaring flags)
        bool, typer.Option("--logical", help="Missing or misplaced components are defects.")
    ] = False,
    gpu: Annotated[bool, typer.Option("--gpu", help="There is a GPU for training.")] = False,  # noqa: FBT002
    frame_px: Annotated[int, typer.Option(min=0, help="Longer side of a frame.")] = 0,
    defect_px: Annotated[int, typer.Option(min=0, help="Smallest defect, in frame pixels.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002
) -> None:
    try:
        place = _device(_ask("device", device, f"Device ({', '.join(DEVICES)})", "line-pc"))
        needs = Needs(
            cycle_ms=float(_ask("cycle-ms", cycle_ms, "Time per part in ms", 100.0)),
            accuracy=_ask("accuracy", accuracy, "Accuracy (highest, balanced, fast)", "balanced"),
            memory_mb=int(_ask("memory-mb", memory_mb, "Memory in MB (0: what the device has)", 0)),
            good=int(_ask("good", good, "Images of good parts", 100)),
            bad=int(_ask("bad", bad, "Images of defective parts", 0)),
            products=int(_ask("products", products, "Products", 1)),
            logical=logical,
            gpu=gpu,
            frame_px=frame_px,
            defect_px=defect_px,
        )
        if needs.accuracy not in {"highest", "balanced", "fast"}:
            raise ConfigError(f"accuracy {needs.accuracy!r} is unknown", "Choose highest, balanced or fast.")
    except EdgeError as error:
        Console(stderr=True).print(f"error: {error.diagnostics()}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error
    advice = advise(needs, place)
    if json:
        Console().print_json(json_format.dumps(asdict(advice)))
    else:
        _say(advice)
    if not advice.options:
        raise typer.Exit(1)


T = TypeVar("T", str, int, float)


def _ask(option: str, given: T | None, question: str, default: T) -> T:
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise ConfigError(f"--{option} is missing", f"Give it ({question.lower()}), or run this in a terminal.")
    answer: T = typer.prompt(question, default=default, type=type(default))
    return answer


def _device(name: str) -> Device:
    found = DEVICES.get(name)
    if found is None:
        raise ConfigError(f"device {name!r} is unknown", f"Choose one of {', '.join(DEVICES)}.")
    return found


def _say(advice: Advice) -> None:
    out = Console()

    def line(text: str) -> None:
        out.print(text, markup=False, highlight=False, soft_wrap=True)

    if advice.options:
        best = advice.options[0]
        line(f"Recommended: {best.model.name}")
        line(f"  {best.model.make}")
        for text in advice.reasons:
            line(f"  • {text}")
        for option in advice.options[1:]:
            line(f"Also possible: {option.model.name}, about {option.inspection_ms:.0f} ms per part")
    else:
        line("No model meets all of it:")
    for option in advice.refused:
        line(f"Not {option.model.name}: {'; '.join(option.against)}")
    for text in advice.notes:
        line(f"Note: {text}")
