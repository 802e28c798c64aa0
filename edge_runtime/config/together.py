"""What several lines in one process must not have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.config.camera import FolderCameraSettings, OpenCvCameraSettings
from edge_runtime.config.cross import REGISTER_BLOCK
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
        InvalidConfigError: the first file that is wrong, that claims what a file before it has claimed, or that may
            only run alone.
    """
    loaded = [read_config(path) for path in paths]
    if len(loaded) > 1:
        for one in loaded:
            _refuse_at_once(one)
    taken: dict[str, Path] = {}
    for one in loaded:
        if twice := [(key, taken[claim]) for key, claim in _claims(one.config) if claim in taken]:
            source = read_source(one.file)
            raise InvalidConfigError(
                one.file,
                [
                    source.problem(tuple(key.split(".")), f"also that of {other}, which runs in the same process")
                    for key, other in dict(twice).items()
                ],
            )
        taken |= {claim: one.file for _, claim in _claims(one.config)}
    return loaded


def _refuse_at_once(one: LoadedConfig) -> None:
    """Lines take turns on the processor: one that looks at several parts at a time would take those of the others."""
    if one.config.engine.at_once > 1:
        text = "is for a line that runs alone: several lines in one process take turns"
        raise InvalidConfigError(one.file, [read_source(one.file).problem(("engine", "at_once"), text)])


def _claims(config: LineConfig) -> Iterator[tuple[str, str]]:
    """Key, and what it takes for this line alone."""
    yield "device.name", f"name {config.device.name}"
    yield "device.state_dir", f"folder {config.device.state_dir}"
    if config.ops.metrics_port:
        yield "ops.metrics_port", f"port {config.ops.metrics_port}"
    yield from _broker(config)
    yield from _camera(config)
    yield from _plc(config)
    match config.updates.signal:
        case RelaySignalSettings(device=device):
            yield "updates.signal.device", f"device {device}"
        case GpioSignalSettings(chip=chip, line=line):
            yield "updates.signal.line", f"output {chip} {line}"


def _broker(config: LineConfig) -> Iterator[tuple[str, str]]:
    """A broker throws out whoever has the name of the one that comes."""
    mqtt = config.mqtt
    if not mqtt.enabled:
        return
    if mqtt.embedded and mqtt.port:
        yield "mqtt.port", f"port {mqtt.port}"
    if not mqtt.embedded and mqtt.client_id is not None:  # else it is the line's name
        yield "mqtt.client_id", f"client {mqtt.host}:{mqtt.port} {mqtt.client_id}"


def _camera(config: LineConfig) -> Iterator[tuple[str, str]]:
    camera = config.camera
    if isinstance(camera, FolderCameraSettings):
        yield "camera.path", f"images {camera.path}"
    elif isinstance(camera, OpenCvCameraSettings) and "://" not in (source := str(camera.source)):
        yield "camera.source", f"camera {f'/dev/video{source}' if source.isdecimal() else source}"


def _plc(config: LineConfig) -> Iterator[tuple[str, str]]:
    match config.plc:
        case ModbusTcpSettings() as plc:
            yield from _modbus(plc)
        case ModbusRtuSettings(device=device) | SerialRelaySettings(device=device):
            yield "plc.device", f"device {device}"
        case GpioSettings(chip=chip, line=line):
            yield "plc.line", f"output {chip} {line}"


def _modbus(plc: ModbusTcpSettings) -> Iterator[tuple[str, str]]:
    """Every register and coil: blocks that overlap would write into each other."""
    place = f"{plc.host}:{plc.port} {plc.unit}"
    for register in range(plc.result_address, plc.result_address + REGISTER_BLOCK):
        yield "plc.result_address", f"register {place} {register}"
    for register in range(plc.status_address, plc.status_address + REGISTER_BLOCK):
        yield "plc.status_address", f"register {place} {register}"
    if plc.product_address is not None:
        for register in (plc.product_address, plc.product_address + 1):
            yield "plc.product_address", f"register {place} {register}"
    if plc.ejector_coil is not None:
        yield "plc.ejector_coil", f"coil {place} {plc.ejector_coil}"
