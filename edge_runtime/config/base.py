"""What all settings have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Frozen, and an unknown key is an error. The docstring under a key is its documentation: see `config.meaning`."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
