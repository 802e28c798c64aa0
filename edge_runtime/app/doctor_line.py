"""The doctor's look at one line: are its bundle, camera, PLC, broker and files there and usable?"""

from __future__ import annotations

import os
import socket
import stat
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge_runtime.app.doctor import Finding, State
from edge_runtime.app.doctor_devices import may_use, permission_advice, stable_name
from edge_runtime.app.doctor_machine import filesystem_of
from edge_runtime.broker.embedded import find_mosquitto
from edge_runtime.config.camera import AfterInspection, FolderCameraSettings, OpenCvCameraSettings
from edge_runtime.config.describe import public_source
from edge_runtime.config.load import is_file_source
from edge_runtime.config.plc import GpioSettings, ModbusRtuSettings, ModbusTcpSettings, SerialRelaySettings
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.config.camera import CameraSettings
    from edge_runtime.config.line import LineConfig
    from edge_runtime.config.mqtt import MqttSettings
    from edge_runtime.config.plc import PlcSettings

_CONNECT_S = 1.5
_DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_NETWORK_FILESYSTEMS = ("nfs", "cifs", "smb", "fuse", "9p")


def bundle(config: LineConfig) -> Sequence[Finding]:
    """The bundle opens and every byte is what its manifest promises; likewise those that are combined with it."""
    from edge_runtime.app.activation import open_active, open_further  # noqa: PLC0415  (engines take time to import)

    clock, found = SystemClock(), []
    with open_active(config, clock) as opened:
        found.append(opened.manifest.identity)
    for further in open_further(config, clock):
        with further as opened:
            found.append(opened.manifest.identity)
    return [
        Finding("bundle", State.OK, f"{each.name} {each.version}, {each.digest[:12]}…, {each.trust} trust")
        for each in found
    ]


def camera(settings: CameraSettings) -> Sequence[Finding]:
    """The configured source, without opening it."""
    if isinstance(settings, FolderCameraSettings):
        return _folder(settings)
    if isinstance(settings, OpenCvCameraSettings):
        return [_opencv(settings.source)]
    return [Finding("camera", State.OK, "simulated")]


def _folder(settings: FolderCameraSettings) -> Sequence[Finding]:
    path = settings.path
    if not path.is_dir():
        return [Finding("camera", State.ERROR, f"{path} is not a folder", "Create it, or correct camera.path.")]
    needed = os.R_OK | os.X_OK | (os.W_OK if settings.after is not AfterInspection.KEEP else 0)
    if not os.access(path, needed):
        return [Finding("camera", State.ERROR, f"{path}: this user may not use it", permission_advice(path))]
    filesystem = filesystem_of(path)
    if filesystem.startswith(_NETWORK_FILESYSTEMS) and not settings.polling:
        detail = f"{path} is a network share ({filesystem}): the kernel reports no new files there"
        return [Finding("camera", State.ERROR, detail, "Set camera.polling = true.")]
    return [Finding("camera", State.OK, f"{path} ({filesystem})")]


def _opencv(source: str | int) -> Finding:
    shown = public_source(source)
    if isinstance(source, str) and not is_file_source(source) and not source.isdigit():
        parts = urlsplit(source)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
        return _reachable("camera", parts.hostname or "", port, "Check cable, address and power of the camera.")
    path = Path(source) if isinstance(source, str) and not source.isdigit() else Path(f"/dev/video{source}")
    if not path.exists():
        return Finding("camera", State.ERROR, f"{shown} is not there", "Plug the camera in, or correct camera.source.")
    if path.is_char_device() and not may_use(path):
        return Finding("camera", State.ERROR, f"{shown}: this user may not use it", permission_advice(path))
    return Finding("camera", State.OK, shown)


def plc(settings: PlcSettings) -> Sequence[Finding]:
    """The way to the gate. Nothing is written to it."""
    match settings:
        case ModbusTcpSettings():
            action = "Check cable and address; on the PLC, that Modbus TCP is enabled and a connection is free."
            return [_reachable("plc", settings.host, settings.port, action)]
        case ModbusRtuSettings() | SerialRelaySettings():
            return [_serial_device(settings.device)]
        case GpioSettings():
            return _gpio(settings)
        case _:
            return [Finding("plc", State.OK, settings.kind)]


def _serial_device(device: Path) -> Finding:
    if not device.exists():
        action = "Plug the adapter in, or correct plc.device (the serial ports above are there)."
        return Finding("plc", State.ERROR, f"{device} is not there", action)
    if not may_use(device):
        return Finding("plc", State.ERROR, f"{device}: this user may not use it", permission_advice(device))
    stable = stable_name(device)
    if stable is not None and stable != device:
        return Finding("plc", State.WARNING, f"{device} may change its name", f'Set plc.device = "{stable}".')
    return Finding("plc", State.OK, str(device))


def _gpio(settings: GpioSettings) -> Sequence[Finding]:
    findings = []
    if find_spec("gpiod") is None:
        findings.append(Finding("plc", State.ERROR, "the package gpiod is missing", "pip install 'edge-runtime[gpio]'"))
    if not settings.chip.exists():
        action = "Correct plc.chip; `ls /dev/gpiochip*` lists what there is."
        findings.append(Finding("plc", State.ERROR, f"{settings.chip} is not there", action))
    elif not may_use(settings.chip):
        advice = permission_advice(settings.chip)
        findings.append(Finding("plc", State.ERROR, f"{settings.chip}: this user may not use it", advice))
    return findings or [Finding("plc", State.OK, f"{settings.chip} line {settings.line}")]


def mqtt_files(settings: MqttSettings) -> Sequence[Finding]:
    """Certificates and password: readable for us, and the secret ones for nobody else."""
    tls = settings.tls
    public = [] if tls is None else [tls.ca_file, tls.certificate_file]
    secret = [settings.password_file, None if tls is None else tls.key_file]
    findings = []
    for file in (*public, *secret):
        if file is None:
            continue
        if not os.access(file, os.R_OK):
            why = "this user may not read it" if file.exists() else "is not there"
            findings.append(
                Finding("mqtt files", State.ERROR, f"{file}: {why}", "Correct the path or its permissions.")
            )
        elif file in secret and file.stat().st_mode & stat.S_IROTH:
            findings.append(Finding("mqtt files", State.WARNING, f"{file}: everybody may read it", f"chmod o-r {file}"))
    if settings.password_credential is not None and "CREDENTIALS_DIRECTORY" not in os.environ:
        detail = f"the credential {settings.password_credential} exists only inside the systemd unit"
        findings.append(Finding("mqtt files", State.WARNING, detail, "Look at the unit: LoadCredential= must name it."))
    return findings


def broker(settings: MqttSettings, device: str) -> Sequence[Finding]:
    """A real connection with the configured user, password and certificates, under a client name of our own."""
    if not settings.enabled:
        return [Finding("broker", State.OK, "MQTT is switched off")]
    if settings.embedded:
        program = find_mosquitto()
        here = str(program) if program is not None else "amqtt, inside the daemon" if find_spec("amqtt") else ""
        if here:
            return [Finding("broker", State.OK, f"embedded: {here}")]
        return [Finding("broker", State.ERROR, "embedded, but neither is installed", "apt install mosquitto")]
    from edge_runtime.app.doctor_broker import connect_once  # noqa: PLC0415  (loads the MQTT library)

    return [connect_once(settings, device, SystemClock())]


def metrics_port(port: int | None) -> Sequence[Finding]:
    """Whether the metrics port is free, or already the daemon's."""
    if not port:
        return [Finding("metrics port", State.OK, "any free one" if port == 0 else "switched off")]
    try:
        with socket.create_server(("127.0.0.1", port)):
            return [Finding("metrics port", State.OK, f"{port} is free")]
    except OSError as error:
        action = "Fine if that is the running daemon; else set ops.metrics_port to another one."
        return [Finding("metrics port", State.WARNING, f"{port}: {error.strerror or error}", action)]


def _reachable(subject: str, host: str, port: int, action: str) -> Finding:
    try:
        with socket.create_connection((host, port), _CONNECT_S):
            return Finding(subject, State.OK, f"{host}:{port} answers")
    except OSError as error:
        return Finding(subject, State.ERROR, f"{host}:{port} cannot be reached: {error.strerror or error}", action)
