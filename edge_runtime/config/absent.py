"""What a sound configuration names and this computer does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.config.camera import FolderCameraSettings
from edge_runtime.config.source import read_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_runtime.config.line import LineConfig
    from edge_runtime.config.load import LoadedConfig
    from edge_runtime.config.problems import ConfigProblem
    from edge_runtime.config.toml_lines import KeyPath


def absent(loaded: LoadedConfig) -> list[ConfigProblem]:
    """Bundles, and the watched folder, that are not there: warnings, for the line may be meant for another computer.

    Raises:
        InvalidConfigError: the file changed since it was loaded.
    """
    source = read_source(loaded.file)
    found = [
        source.problem(key, f"{path} is not there: on this computer the line would not work")
        for key, path, is_there in _needed(loaded.config)
        if not is_there
    ]
    return sorted(found)


def _needed(config: LineConfig) -> Iterator[tuple[KeyPath, Path, bool]]:
    """Key, what it names, and whether that is there."""
    if config.bundle.path is not None:
        yield ("bundle", "path"), config.bundle.path, config.bundle.path.is_file()
    if config.recipe.combine is not None:
        for number, member in enumerate(config.recipe.combine.members):
            if member.bundle is not None:
                yield ("recipe", "combine", "members", number, "bundle"), member.bundle, member.bundle.is_file()
    if isinstance(config.camera, FolderCameraSettings):
        yield ("camera", "path"), config.camera.path, config.camera.path.is_dir()
