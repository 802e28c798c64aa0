"""The doctor's look at what is plugged in, whatever the configuration: engines, cameras, serial ports."""

from __future__ import annotations

import grp
import os
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.app.doctor import Finding, State

if TYPE_CHECKING:
    from collections.abc import Sequence


def engines() -> Sequence[Finding]:
    """Inference engines and what they run on."""
    from edge_runtime.engine.inventory import available_engines  # noqa: PLC0415  (loads the engines)

    reports = available_engines()
    anything = any(report.usable for report in reports)
    missing = State.WARNING if anything else State.ERROR
    findings = []
    for report in reports:
        if report.usable:
            detail = f"{report.name} {report.version}: {', '.join(report.devices)}"
            findings.append(Finding("engine", State.OK, detail))
        else:
            what, _, action = report.detail.partition("\n")
            findings.append(Finding("engine", missing, f"{report.name}: {what}", action.strip(" →")))
    return findings


def cameras(devices: Path = Path("/dev"), classes: Path = Path("/sys/class/video4linux")) -> Sequence[Finding]:
    """V4L2 devices. None of them is opened: the line may be using it."""
    found = sorted(devices.glob("video*"))
    if not found:
        return [Finding("cameras", State.OK, "no V4L2 camera is plugged in")]
    return [_access("camera", path, _camera_name(classes / path.name / "name")) for path in found]


def _camera_name(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace").strip() if file.is_file() else ""


def serial_ports() -> Sequence[Finding]:
    """Serial ports with their stable names. None of them is opened: opening resets some adapters."""
    from serial.tools import list_ports  # noqa: PLC0415

    ports = sorted(list_ports.comports())
    if not ports:
        return [Finding("serial ports", State.OK, "none is plugged in")]
    findings = []
    for port in ports:
        stable = stable_name(Path(port.device))
        name = port.description if port.description != "n/a" else ""
        findings.append(_access("serial port", Path(port.device), f"{name} {stable or ''}".strip()))
    return findings


def stable_name(device: Path, links: Path = Path("/dev/serial/by-id")) -> Path | None:
    """The link that keeps its name when the adapter is replugged; None if there is none."""
    if not links.is_dir():
        return None
    return next((link for link in sorted(links.iterdir()) if link.resolve() == device.resolve()), None)


def _access(subject: str, path: Path, name: str) -> Finding:
    shown = f"{path} {name}".strip()
    if may_use(path):
        return Finding(subject, State.OK, shown)
    return Finding(subject, State.WARNING, f"{shown}: this user may not use it", permission_advice(path))


def may_use(path: Path) -> bool:
    """True if this user may read and write `path`."""
    return os.access(path, os.R_OK | os.W_OK)


def permission_advice(path: Path) -> str:
    """How to be let in."""
    try:
        group = grp.getgrgid(path.stat().st_gid).gr_name
    except (OSError, KeyError):
        return "Let the user of the service read and write it."
    return (
        f"Put the user into its group: usermod -aG {group} USER, then log in again (the unit has SupplementaryGroups=)."
    )
