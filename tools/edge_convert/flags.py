"""A command's arguments as one frozen value: thirty options stay readable."""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import typer
from rich.console import Console

from edge_runtime.domain.errors import EdgeError

if TYPE_CHECKING:
    from collections.abc import Callable

_Flags = TypeVar("_Flags")


def add_command(app: typer.Typer, name: str, flags: type[_Flags], run: Callable[[_Flags], None]) -> None:
    """Register a command whose arguments and options are the fields of a dataclass.

    A fault that the product knows ends it with what is wrong, what to do, and exit code 2.

    Args:
        app: where.
        name: of the command.
        flags: a dataclass; its fields are annotated for typer.
        run: does the work; its docstring is the command's help.
    """

    def call(**values: Any) -> None:
        try:
            run(flags(**values))
        except EdgeError as error:
            console = Console(stderr=True)
            console.print(f"error: {error.diagnostics()}", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(2) from error

    hints = get_type_hints(flags, include_extras=True)
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in dataclasses.fields(flags)  # type: ignore[arg-type]  # a dataclass, which no bound can say
    ]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by typer
    call.__annotations__ = hints
    call.__doc__ = run.__doc__
    app.command(name)(call)
