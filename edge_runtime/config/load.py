"""From a TOML file to the settings of a line: all of it, or every error at once."""

from __future__ import annotations

import copy
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from edge_runtime.config.cross import contradictions, doubts
from edge_runtime.config.line import LineConfig
from edge_runtime.config.problems import ConfigProblem, InvalidConfigError
from edge_runtime.config.recover import Repair, drop, repair
from edge_runtime.config.source import TomlSource, impossible_values, read_source
from edge_runtime.config.translate import translate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge_runtime.config.finding import Finding
    from edge_runtime.config.toml_lines import KeyPath

_ROUNDS = 6
"""How often validation goes on after assuming what a wrong key or value was meant to be."""

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A sound configuration."""

    file: Path
    config: LineConfig
    """Paths that were relative are absolute now: they count from the file's folder."""
    warnings: Sequence[ConfigProblem]
    """What works as configured and probably is not meant."""


def load_config(path: Path) -> LineConfig:
    """The settings in `path`; relative paths in them count from its folder.

    Raises:
        InvalidConfigError: a ConfigError with every problem, each with its line.
    """
    return read_config(path).config


def read_config(path: Path) -> LoadedConfig:
    """As `load_config`, with the warnings.

    Raises:
        InvalidConfigError: a ConfigError with every problem, each with its line.
    """
    source = read_source(path)
    impossible = dict(impossible_values(source.document))
    document = copy.deepcopy(source.document)
    for key in impossible:
        drop(document, key)
    config, messages, assumed = _validate(Repair(document, {}))
    found: dict[KeyPath, str] = dict(messages)
    found |= impossible  # the better explanation of a key that is missing now
    problems = [source.problem(key, message) for key, message in found.items()]
    if config is not None:
        problems += _problems(source, contradictions(config), [*found, *assumed])
    if problems or config is None:
        raise InvalidConfigError(path, problems)
    warnings = tuple(sorted(_problems(source, doubts(config), ())))
    return LoadedConfig(path, _attributed(_anchored(config, path.parent.resolve()), path), warnings)


def _validate(attempt: Repair) -> tuple[LineConfig | None, dict[KeyPath, str], Iterable[KeyPath]]:
    """The settings, if need be of a repaired document; what was wrong with the written one; which keys were assumed."""
    messages: dict[KeyPath, str] = {}
    for _ in range(_ROUNDS):
        try:
            # JSON, because only there strict means what TOML means: text is a path or a choice, 1 is not true.
            return LineConfig.model_validate_json(json.dumps(attempt.document), strict=True), messages, attempt.renamed
        except ValidationError as error:
            errors = error.errors(include_url=False)
            repaired = repair(LineConfig, attempt, errors)
            for path, message in translate(LineConfig, errors).items():
                _note(messages, attempt, repaired, path, message)
            attempt = repaired
    return None, messages, ()


def _note(messages: dict[KeyPath, str], before: Repair, after: Repair, path: KeyPath, message: str) -> None:
    if path in after.renamed and path not in before.renamed:
        return  # missing only because it stands there misspelt
    written = before.written(path)
    if written[:-1] in messages and written[:-1] not in before.renamed.values():
        return  # its table is missing or wrong as a whole
    if any(key != written and key[: len(written)] == written for key in messages):
        return  # a rule of a table in which a key is wrong anyhow: it may be broken only by what was assumed for that
    if written in messages and written != path:
        messages[written] += f" Its value {message}"
    else:
        messages.setdefault(written, message)


def _problems(source: TomlSource, findings: Iterable[Finding], reported: Iterable[KeyPath]) -> list[ConfigProblem]:
    """Findings about several keys, except where one of them is wrong anyhow."""
    wrong = list(reported)

    def is_sound(path: KeyPath) -> bool:
        return not any(path[: len(key)] == key or key[: len(path)] == path for key in wrong)

    return [
        source.problem(finding.keys[0], finding.message)
        for finding in findings
        if all(is_sound(path) for path in finding.keys)
    ]


def _attributed(config: LineConfig, path: Path) -> LineConfig:
    """With the file's owner where nobody has signed for the change."""
    if config.change.by is not None:
        return config
    try:
        owner = path.owner()
    except (KeyError, OSError):
        owner = "unknown"
    return config.model_copy(update={"change": config.change.model_copy(update={"by": f"owner of the file: {owner}"})})


def _anchored(settings: M, folder: Path) -> M:
    """A copy in which no path is relative to wherever the daemon happens to be started."""
    changes: dict[str, Any] = {}
    for name, value in settings:
        if isinstance(value, BaseModel):
            changes[name] = _anchored(value, folder)
        elif isinstance(value, tuple) and any(isinstance(item, BaseModel) for item in value):
            changes[name] = tuple(_anchored(item, folder) for item in value)
        elif isinstance(value, Path):
            changes[name] = Path(os.path.normpath(folder / value.expanduser()))
        elif name == "source" and isinstance(value, str) and is_file_source(value):
            changes[name] = os.path.normpath(folder / value)
    return settings.model_copy(update=changes)


def is_file_source(source: str) -> bool:
    """True if an OpenCV source is a path (a device or a video file) rather than a URL or an index."""
    return "://" not in source and not source.isdigit()
