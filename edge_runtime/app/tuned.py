"""What `edge-runtime tune` found, kept in a file: what is fastest for which bundle on which device."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from edge_runtime import __version__, engine
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import ConfigError, EngineError
from edge_runtime.engine.inventory import installed_versions
from edge_runtime.ops.machine import describe_machine

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)
CHOSEN: Final = ("name", "device", "threads", "precision")
"""The settings that are chosen, where the configuration leaves them open."""
_FORMAT: Final = 1
_LIMIT_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Choice:
    """What is fastest for one bundle on one device, among what gives its golden scores."""

    bundle: str
    """Digest."""
    device: str
    """See `device_key`."""
    settings: dict[str, str | int]
    """Of `[engine]`: those that the configuration leaves open."""
    p50_ms: float
    """Median of an inspection when it was measured."""
    measured: str
    """When, ISO 8601 UTC."""


def device_key(settings: EngineSettings) -> str:
    """Whatever a choice depends on besides the bundle: processor, cores, versions, and what the configuration fixes."""
    machine = describe_machine()
    fixed = {name: getattr(settings, name) for name in (*CHOSEN, "provider") if name in settings.model_fields_set}
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA")
    parts = [
        machine.cpu,
        machine.architecture,
        ", ".join(machine.instruction_sets) + (f" (limited to {limit})" if limit else ""),
        f"{machine.cores} cores",
        f"edge-runtime {__version__}, Python {platform.python_version()}",
        *(f"{name} {version}" for name, version in installed_versions().items()),
        *(f"{name} = {value}" for name, value in sorted(fixed.items())),
    ]
    return "; ".join(parts)


def tuned(settings: EngineSettings, digest: str) -> EngineSettings:
    """The settings with what was chosen for this bundle here; as they are where nothing was, or nothing can be read.

    A choice that no longer fits harms nothing but speed: the bundle still proves itself on its golden images.
    """
    if settings.tuned is None:
        return settings
    key = device_key(settings)
    for choice in read_choices(settings.tuned):
        if (choice.bundle, choice.device) == (digest, key):
            return _if_there(choice, settings)
    _log.warning("nothing is tuned for bundle %s… on this device: run `edge-runtime tune`", digest[:16])
    return settings


def _if_there(choice: Choice, settings: EngineSettings) -> EngineSettings:
    """As it was chosen, where there is such an engine: an accelerator's driver may have gone since."""
    chosen = settings.model_copy(update=choice.settings)
    try:
        engine.create(chosen)
    except EngineError as error:
        _log.warning("what was tuned on this device is not used: %s", error.diagnostics())
        return settings
    return chosen


def read_choices(file: Path) -> list[Choice]:
    """All choices in the file; none, and a warning, where it cannot be read."""
    try:
        with file.open("rb") as opened:
            document: Any = json.loads(opened.read(_LIMIT_BYTES))
        if document["format"] != _FORMAT:
            raise ValueError(f"format {document['format']}")  # noqa: TRY301  (told like any other damage)
        return [_choice(entry) for entry in document["choices"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        _log.warning("%s is not used: %s; run `edge-runtime tune` again", file, error)
        return []


def keep_choice(file: Path, choice: Choice) -> None:
    """Put it into the file, in place of an older one for the same bundle and device.

    Raises:
        ConfigError: the file cannot be written.
    """
    others = [one for one in read_choices(file) if (one.bundle, one.device) != (choice.bundle, choice.device)]
    document = {"format": _FORMAT, "choices": [asdict(one) for one in (*others, choice)]}
    partial = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise ConfigError(
            f"{file} cannot be written: {error.strerror}", "Name a file this user may write in [engine] tuned."
        ) from error


def _choice(entry: dict[str, Any]) -> Choice:
    settings = {str(name): value for name, value in entry["settings"].items() if name in CHOSEN}
    try:
        EngineSettings.model_validate(settings, strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        raise ValueError(f"{found['loc'][0]}: {found['msg']}") from error
    return Choice(str(entry["bundle"]), str(entry["device"]), settings, float(entry["p50_ms"]), str(entry["measured"]))
