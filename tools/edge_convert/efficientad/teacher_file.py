"""A teacher on disk: plain arrays in an .npz file, read without PyTorch's or pickle's help."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.efficientad.networks import PdnSize
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

_FORMAT: Final = "edge-convert teacher 1"
_META: Final = "meta"
_ACTION: Final = "Make a teacher with `edge-convert distill`."


@dataclass(frozen=True, slots=True)
class Teacher:
    """A distilled patch description network."""

    size: PdnSize
    channels: int
    weights: Mapping[str, npt.NDArray[np.float32]]
    """Layer name and `.weight` or `.bias` → values, for RGB in 0…1 normalised with ImageNet's mean and deviation."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """From what, on what and how long it was distilled."""
    digest: str = ""
    """SHA-256 of the file it was read from."""


def write_teacher(path: Path, teacher: Teacher) -> None:
    """Write it as a whole or not at all; the same teacher gives the same bytes.

    Raises:
        ConfigError: it cannot be written.
    """
    meta = {"format": _FORMAT, "size": teacher.size.value, "channels": teacher.channels, "notes": dict(teacher.notes)}
    part = path.with_name(f".{path.name}.part")
    arrays = {name: np.asarray(values, dtype=np.float32) for name, values in sorted(teacher.weights.items())}
    arrays[_META] = np.frombuffer(json.dumps(meta, sort_keys=True, ensure_ascii=False).encode(), dtype=np.uint8)
    try:
        with part.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ConfigError(f"the teacher {path} cannot be written: {error.strerror}", "Choose another --out.") from error


def read_teacher(path: Path) -> Teacher:
    """Read a teacher.

    Raises:
        ConfigError: not readable, or not a teacher that this version knows.
    """
    try:
        content = path.read_bytes()
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            meta = json.loads(bytes(arrays[_META]))
            weights = {name: arrays[name] for name in arrays.files if name != _META}
        if meta["format"] != _FORMAT:
            raise ConfigError(f"{path} has the format {meta['format']!r}, not {_FORMAT!r}", _ACTION)
        size, channels = PdnSize(meta["size"]), int(meta["channels"])
        notes = {str(key): str(value) for key, value in meta["notes"].items()}
    except OSError as error:
        raise ConfigError(f"the teacher {path} cannot be read: {error.strerror}", _ACTION) from error
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} is not a teacher", _ACTION) from error
    return Teacher(size, channels, weights, notes, hashlib.sha256(content).hexdigest())
