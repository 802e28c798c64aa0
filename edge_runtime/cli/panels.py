"""The overview of a command line: its commands grouped, in the order of a user's work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.core import TyperGroup

if TYPE_CHECKING:
    from collections.abc import Mapping


def in_panels(panels: Mapping[str, tuple[str, ...]]) -> type[TyperGroup]:
    """For `Typer(cls=…)`: `--help` shows the panels with their commands, in this order; what none names comes last."""
    order = {name: panel for panel, names in panels.items() for name in names}

    class InPanels(TyperGroup):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            registered: dict[str, Any] = dict(self.commands)
            for name, panel in order.items():
                registered[name].rich_help_panel = panel
            self.commands = {name: registered[name] for name in order} | registered

    return InPanels
