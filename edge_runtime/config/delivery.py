"""`[updates.usb]` and `[updates.ota]`: how a release comes to the device."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from edge_runtime.config.base import Settings


class UsbSettings(Settings):
    """Releases by USB stick: `edge-updates/` on it, brought in by `edge-runtime-usb@.service`."""

    enabled: bool = True
    """Take releases from a stick at all. Of effect where the udev rule and the unit are installed."""
    report: bool = True
    """Write `edge-updates/report.txt` on the stick. Without it a stick is only ever mounted read-only."""
    takeover_wait_s: int = Field(default=20, ge=0, le=600)
    """So long the report waits for the line to take up what came, so that it can say so."""


class OtaSettings(Settings):
    """Releases over the network, from a folder that any web server can hold (`edge-convert serve`)."""

    url: str = Field(
        pattern=r"^https?://[^/@?#\s]+(/[^?#\s]*)?$",
        json_schema_extra={"form": "https://host/folder, without spaces, user name, password or query"},
    )
    """The release folder: `metadata/` and `targets/` are below it."""
    ca_file: Path | None = None
    """Certificate authorities (PEM) that may vouch for the server. Unset: the system's."""
    certificate_file: Path | None = None
    """Client certificate (PEM). Unset: none is shown to the server."""
    key_file: Path | None = None
    """Its private key (PEM, without a pass phrase). Unset: the key is in `certificate_file`."""
    check_every_min: int = Field(default=60, ge=1, le=10_080)
    """Time between two checks."""
    jitter_min: float = Field(default=10.0, ge=0, le=1_440)
    """Each check comes up to so much later, at random: a plant's devices do not all ask at once."""
    bandwidth_kb_s: int | None = Field(default=None, ge=1, le=1_000_000)
    """Most that a download takes from the network, in 1000 bytes per second. Unset: no limit."""
    window: str | None = Field(
        default=None,
        pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$",
        json_schema_extra={"form": "22:00-04:30"},
    )
    """Maintenance window in local time: nothing is installed outside of it. Unset: at any time."""
    download_ahead: bool = True
    """Download outside of the window too, so that only the installation waits for it."""
    timeout_s: float = Field(default=30.0, ge=1, le=600)
    """Longest silence of the server; beyond it the connection is made anew and the download goes on where it was."""

    @model_validator(mode="after")
    def _sound(self) -> OtaSettings:
        if self.key_file is not None and self.certificate_file is None:
            message = "key_file needs certificate_file beside it"
            raise ValueError(message)
        if self.window is not None and self.window[:5] == self.window[6:]:
            message = "a window needs two different times; leave it out for any time"
            raise ValueError(message)
        return self
