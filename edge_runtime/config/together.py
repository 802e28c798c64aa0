"""What several lines in one process must not have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.config.camera import FolderCameraSettings, OpenCvCameraSettings
from edge_runtime.config.load import read_config
from edge_runtime.config.plc import GpioSettings, ModbusRtuSettings, ModbusTcpSettings, SerialRelaySettings
from edge_runtime.config.problems import InvalidConfigError
from edge_runtime.config.signal_lamp import GpioSignalSettings, RelaySignalSettings
from edge_runtime.config.source import read_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge_runtime.config.line import LineConfig
    from edge_runtime.config.load import LoadedConfig


def read_together(paths: Sequence[Path]) -> list[LoadedConfig]:
    """The configurations of lines that run in one process, in the order given.

    Raises:
        InvalidConfigError: the first file that is wrong, or that claims what a file before it has claimed.
    """
    loaded = [read_config(path) for path in paths]
    taken: dict[str, Path] = {}
    for one in loaded:
        if twice := [(key, taken[claim]) for key, claim in _claims(one.config) if claim in taken]:
            source = read_source(one.file)
            raise InvalidConfigError(
                one.file,
                [
                    source.problem(tuple(key.split(".")), f"also that of {other}, which runs in the same process")
                    for key, other in twice
                ],
            )
        taken |= {claim: one.file for _, claim in _claims(one.config)}
    return loaded


def _claims(config: LineConfig) -> Iterator[tuple[str, str]]:
    """Key, and what it takes for this line alone."""
    yield "device.name", f"name {config.device.name}"
    yield "device.state_dir", f"folder {config.device.state_dir}"
    if config.ops.metrics_port:
        yield "ops.metrics_port", f"port {config.ops.metrics_port}"
    if config.mqtt.enabled and config.mqtt.embedded and config.mqtt.port:
        yield "mqtt.port", f"port {config.mqtt.port}"
    yield from _camera(config)
    yield from _plc(config)
    match config.updates.signal:
        case RelaySignalSettings(device=device):
            yield "updates.signal.device", f"device {device}"
        case GpioSignalSettings(chip=chip, line=line):
            yield "updates.signal.line", f"output {chip} {line}"


def _camera(config: LineConfig) -> Iterator[tuple[str, str]]:
    camera = config.camera
    if isinstance(camera, FolderCameraSettings):
        yield "camera.path", f"images {camera.path}"
    elif isinstance(camera, OpenCvCameraSettings) and "://" not in str(camera.source):
        yield "camera.source", f"camera {camera.source}"


def _plc(config: LineConfig) -> Iterator[tuple[str, str]]:
    match config.plc:
        case ModbusTcpSettings(host=host, port=port, unit=unit, result_address=result, status_address=status):
            yield "plc.result_address", f"register {host}:{port} {unit} {result}"
            yield "plc.status_address", f"register {host}:{port} {unit} {status}"
        case ModbusRtuSettings(device=device) | SerialRelaySettings(device=device):
            yield "plc.device", f"device {device}"
        case GpioSettings(chip=chip, line=line):
            yield "plc.line", f"output {chip} {line}"
