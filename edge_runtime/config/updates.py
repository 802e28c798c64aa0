"""`[updates]`: how signed releases come into the device's store."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edge_runtime.config.base import Settings
from edge_runtime.config.delivery import OtaSettings, UsbSettings
from edge_runtime.config.signal_lamp import NoSignalSettings, SignalSettings


class UpdateSettings(Settings):
    """`[updates]`: what becomes of a signed release that is installed on this device."""

    after_install: Literal["trial", "wait"] = "trial"
    """`trial`: the line takes it up at once and goes back if it fails. `wait`: it stays beside the active one, for a
    comparison or for `edge-runtime bundle activate`."""
    keep_versions: int = Field(default=5, ge=2, le=100)
    """Versions kept per product, the active one included; older ones go after the newest was confirmed."""
    disk_reserve_mb: int = Field(default=256, ge=0)
    """An installation stops rather than leave less room than this on the disk of `device.state_dir`."""
    selftest_timeout_s: float = Field(default=120.0, gt=0, le=3_600)
    """A self-test that takes longer has failed."""
    selftest_memory_mb: int = Field(default=4_096, ge=256)
    """A self-test that wants more memory of its own has failed."""
    usb: UsbSettings = UsbSettings()
    """Releases by USB stick."""
    ota: OtaSettings | None = None
    """Unset: no release is asked for over the network."""
    signal: SignalSettings = NoSignalSettings(kind="none")
    """A lamp that shows what becomes of a release."""
