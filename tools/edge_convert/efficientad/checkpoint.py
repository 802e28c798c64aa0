"""Checkpoints: a run that stops goes on from its last one, and ends as if it had never stopped."""

from __future__ import annotations

import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import torch

from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def save_checkpoint(path: Path, run: Mapping[str, str], state: Mapping[str, Any]) -> None:
    """Replace the checkpoint as a whole.

    Args:
        path: the checkpoint's file.
        run: what the run was started with; only the same run may go on from it.
        state: tensors and numbers.

    Raises:
        ConfigError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        torch.save({"run": dict(run), "state": dict(state)}, part)
        part.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        part.unlink(missing_ok=True)
        raise ConfigError(
            f"the checkpoint {path} cannot be written: {error}", "Free space, or choose another."
        ) from error


def load_checkpoint(path: Path, run: Mapping[str, str]) -> Mapping[str, Any] | None:
    """The state to go on from, or None where there is no checkpoint.

    Raises:
        ConfigError: the file is no checkpoint, or belongs to a run that was started otherwise; names the difference.
    """
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        stated, state = content["run"], content["state"]
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} is not a checkpoint of this program", "Delete it to start again.") from error
    for name in sorted(run.keys() | stated.keys()):
        if run.get(name) != stated.get(name):
            raise ConfigError(
                f"the checkpoint {path} belongs to another run: {name} was {stated.get(name)}, now {run.get(name)}",
                "Repeat the first command to go on, or delete the checkpoint to start again.",
            )
    return dict(state)
