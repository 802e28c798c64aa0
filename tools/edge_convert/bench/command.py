"""`edge-convert bench`: a group whose first command, `bundle`, need not be named."""

from __future__ import annotations

import typer
from typer.core import TyperGroup

_UNNAMED = "bundle"
_HELP = "--help"


class _BundleUnlessNamed(TyperGroup):
    """`bench part.bundle` means `bench bundle part.bundle`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # typer's own type
        if args and args[0] != _HELP and args[0] not in self.commands:
            args = [_UNNAMED, *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the group `bench` with its commands."""
    group = typer.Typer(
        name="bench",
        cls=_BundleUnlessNamed,
        help="Measure: `bench BUNDLE` a bundle, `bench search` the searches of a memory bank.",
        no_args_is_help=True,
    )
    from edge_convert.bench import bundle_command, search_command  # noqa: PLC0415

    bundle_command.register(group)
    search_command.register(group)
    app.add_typer(group)
