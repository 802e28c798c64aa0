"""What no single key shows: settings that contradict each other, or work and are probably not meant."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Literal

from edge_runtime.config.camera import AfterInspection, FolderCameraSettings, SimulatedCameraSettings
from edge_runtime.config.cross_combine import combine_contradictions
from edge_runtime.config.cross_products import product_contradictions
from edge_runtime.config.cross_rollout import rollout_contradictions, rollout_doubts
from edge_runtime.config.cross_updates import update_contradictions, update_doubts
from edge_runtime.config.finding import finding
from edge_runtime.config.plc import (
    ModbusRtuSettings,
    ModbusTcpSettings,
    NoPlcSettings,
    SerialRelaySettings,
    SimulatedPlcSettings,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.config.camera import CameraSettings
    from edge_runtime.config.finding import Finding
    from edge_runtime.config.line import LineConfig
    from edge_runtime.config.plc import PlcSettings

REGISTER_BLOCK = 32
"""Registers that each block of the Modbus map may take up, with room to grow."""


def gate_mode(config: LineConfig) -> Literal["permit", "fire", "none"]:
    """What `recipe.gate` comes to with this PLC; "none" where nothing works a gate."""
    if isinstance(config.plc, NoPlcSettings):
        return "none"
    if config.recipe.gate != "auto":
        return config.recipe.gate
    return "permit" if has_handshake(config.plc) else "fire"


def has_handshake(plc: PlcSettings) -> bool:
    """True if this PLC takes results with part sequence and heartbeat (gate mode `permit`)."""
    return isinstance(plc, ModbusTcpSettings | ModbusRtuSettings | SimulatedPlcSettings)


def contradictions(config: LineConfig) -> Iterator[Finding]:
    """Errors between keys that are each fine."""
    yield from _bundle(config)
    yield from _gate(config)
    yield from _timing(config)
    yield from _folders(config)
    yield from _engine(config)
    yield from _mqtt(config)
    yield from update_contradictions(config)
    yield from rollout_contradictions(config)
    yield from product_contradictions(config)
    yield from combine_contradictions(config)


def _bundle(config: LineConfig) -> Iterator[Finding]:
    bundle = config.bundle
    if bundle.trust == "production" and bundle.product is None:
        yield finding(
            '"production" takes signed releases only: name the product in bundle.product instead of a file in '
            "bundle.path, and install its release with `edge-runtime bundle install`",
            "bundle.trust",
            "bundle.path",
        )
    if bundle.trust == "development" and bundle.product is not None:
        yield finding(
            'the releases of a product are always signed: set bundle.trust = "production"',
            "bundle.product",
            "bundle.trust",
        )
    if config.recipe.limits is not None and bundle.product is not None:
        yield finding(
            "a limit belongs to the scores of one model, and bundle.product may change the model: the limits come "
            "with each release (`edge-convert release` of a revision changes them)",
            "recipe.limits",
            "bundle.product",
        )


def _gate(config: LineConfig) -> Iterator[Finding]:
    plc, mode = config.plc, config.recipe.gate
    if mode == "permit" and not has_handshake(plc):
        yield finding(
            f'"permit" needs a PLC with a handshake, and plc.kind = "{plc.kind}" has none: use "fire" or "auto", or a '
            "Modbus PLC",
            "recipe.gate",
            "plc.kind",
        )
    if mode == "fire" and isinstance(plc, NoPlcSettings):
        yield finding('"fire" needs something to fire, and plc.kind is "none"', "recipe.gate", "plc.kind")
    if isinstance(plc, ModbusTcpSettings | ModbusRtuSettings):
        yield from _registers(config, plc)
    if config.recipe.reject.encoder_ticks is not None and not (has_handshake(plc) or isinstance(plc, NoPlcSettings)):
        yield finding(
            f'needs a belt encoder, and plc.kind = "{plc.kind}" reports none: use delay_ms',
            "recipe.reject.encoder_ticks",
            "plc.kind",
        )
    if config.plc_link.watch_trigger_count and not has_handshake(plc):
        yield finding(
            f'needs a PLC that counts parts, and plc.kind = "{plc.kind}" does not',
            "plc_link.watch_trigger_count",
            "plc.kind",
        )
    elif config.plc_link.watch_trigger_count and not _carries_part_numbers(config.camera):
        yield finding(
            f'needs frames that carry the PLC\'s part number, and camera.kind = "{config.camera.kind}" as configured '
            "carries none: counted apart, one late frame would give a part its neighbour's verdict. A folder can take "
            "the number from the file name (camera.part_sequence_pattern)",
            "plc_link.watch_trigger_count",
            "camera.kind",
        )


def _carries_part_numbers(camera: CameraSettings) -> bool:
    """True if each frame says which part of the PLC's count it shows."""
    if isinstance(camera, FolderCameraSettings):
        return camera.part_sequence_pattern is not None
    return isinstance(camera, SimulatedCameraSettings)


def _registers(config: LineConfig, plc: ModbusTcpSettings | ModbusRtuSettings) -> Iterator[Finding]:
    if config.recipe.gate == "fire" and plc.ejector_coil is None:
        yield finding('"fire" needs plc.ejector_coil, the coil of the ejector', "recipe.gate", "plc.ejector_coil")
    if abs(plc.result_address - plc.status_address) < REGISTER_BLOCK:
        yield finding(
            f"is less than {REGISTER_BLOCK} registers away from plc.result_address ({plc.result_address}): the "
            "blocks would overlap",
            "plc.status_address",
            "plc.result_address",
        )


def _timing(config: LineConfig) -> Iterator[Finding]:
    delay_ms, deadline_ms = config.recipe.reject.delay_ms, config.recipe.decision_deadline_ms
    if isinstance(config.plc, NoPlcSettings) or delay_ms is None or deadline_ms < delay_ms:
        return
    yield finding(
        f"must be less than recipe.reject.delay_ms: a verdict {deadline_ms:g} ms after the trigger comes too late for "
        f"a gate that the part reaches after {delay_ms:g} ms",
        "recipe.decision_deadline_ms",
        "recipe.reject.delay_ms",
    )


def _folders(config: LineConfig) -> Iterator[Finding]:
    camera = config.camera
    if not isinstance(camera, FolderCameraSettings):
        return
    for key, folder in (("done_path", camera.done_path), ("faulty_path", camera.faulty_path)):
        if folder is not None and (folder == camera.path or (camera.recursive and camera.path in folder.parents)):
            yield finding(
                "lies inside the watched folder: its files would be inspected again", f"camera.{key}", "camera.path"
            )
    if camera.done_path is not None and camera.after is not AfterInspection.MOVE:
        yield finding(
            f'has no effect with after = "{camera.after}": set after = "move"', "camera.done_path", "camera.after"
        )
    if camera.part_sequence_pattern is not None:
        try:
            groups = re.compile(camera.part_sequence_pattern).groups
        except re.error as error:
            yield finding(f"is not a regular expression: {error}", "camera.part_sequence_pattern")
        else:
            if groups != 1:
                yield finding(
                    f"must have exactly one group ( ) around the part sequence, has {groups}",
                    "camera.part_sequence_pattern",
                )


def _engine(config: LineConfig) -> Iterator[Finding]:
    engine = config.engine
    if engine.provider != "cpu" and engine.name != "onnxruntime":
        yield finding(
            f'"{engine.provider}" is an execution provider of onnxruntime: set engine.name = "onnxruntime"',
            "engine.provider",
            "engine.name",
        )
    if engine.device != "CPU" and engine.name == "onnxruntime":
        yield finding(
            "is OpenVINO's; with onnxruntime the device is chosen by engine.provider", "engine.device", "engine.name"
        )
    if engine.at_once == 1:
        return
    if config.recipe.combine is not None:
        yield finding(
            "does not go with [recipe.combine], whose models look at one part after the other",
            "engine.at_once",
            "recipe.combine",
        )
    if config.rollout.enabled:
        yield finding(
            "does not go with [rollout]: a candidate that has a core to itself would seem faster than a model beside "
            "which others look; leave it out while candidates are compared",
            "engine.at_once",
            "rollout.enabled",
        )


def _mqtt(config: LineConfig) -> Iterator[Finding]:
    mqtt = config.mqtt
    if mqtt.port == 0 and not mqtt.embedded:
        yield finding("0 is for mqtt.embedded = true only; brokers listen on 1883 or 8883", "mqtt.port")
    for key, value in (("password_file", mqtt.password_file), ("password_credential", mqtt.password_credential)):
        if value is not None and mqtt.user_name is None:
            yield finding("needs mqtt.user_name beside it", f"mqtt.{key}", "mqtt.user_name")
    if mqtt.embedded and mqtt.tls is not None:
        yield finding("the embedded broker has no TLS", "mqtt.tls", "mqtt.embedded")
    if mqtt.version == "3.1.1" and mqtt.message_expiry_s is not None:
        yield finding("needs MQTT 5", "mqtt.message_expiry_s", "mqtt.version")
    if mqtt.tls is not None and mqtt.tls.key_file is not None and mqtt.tls.certificate_file is None:
        yield finding("needs certificate_file beside it", "mqtt.tls.key_file", "mqtt.tls.certificate_file")


def doubts(config: LineConfig) -> Iterator[Finding]:
    """Warnings: works as configured, and is probably not meant."""
    if config.bundle.trust == "development":
        yield finding("development: an altered bundle would not be noticed", "bundle.trust")
    yield from _mqtt_doubts(config)
    yield from _gate_doubts(config)
    yield from _simulation_doubts(config)
    yield from update_doubts(config)
    yield from rollout_doubts(config)


def _mqtt_doubts(config: LineConfig) -> Iterator[Finding]:
    mqtt = config.mqtt
    if not mqtt.enabled:
        yield finding("verdicts stay in the ledger; nobody is told", "mqtt.enabled")
    elif mqtt.embedded and not isinstance(config.camera, SimulatedCameraSettings):
        yield finding("the embedded broker is for demonstrations; a line needs one that survives", "mqtt.embedded")
    elif mqtt.user_name is not None and mqtt.tls is None and not _is_loopback(mqtt.host):
        yield finding("the password crosses the network unencrypted: add [mqtt.tls]", "mqtt.user_name", "mqtt.tls")


def _gate_doubts(config: LineConfig) -> Iterator[Finding]:
    plc = config.plc
    if gate_mode(config) == "fire":
        yield finding(
            "gate mode fire is not fail-safe: when this program, its power or the cable is dead, nothing is ejected",
            "recipe.gate",
        )
    if isinstance(plc, ModbusRtuSettings | SerialRelaySettings) and plc.device.name.startswith("tty"):
        yield finding("may change when the adapter is replugged: use its link in /dev/serial/by-id", "plc.device")


def _simulation_doubts(config: LineConfig) -> Iterator[Finding]:
    if not isinstance(config.plc, SimulatedPlcSettings):
        return
    travel_ms, delay_ms = config.simulation.travel_ms, config.recipe.reject.delay_ms
    if delay_ms is not None and delay_ms != travel_ms:
        yield finding(
            f"the simulated gate is {travel_ms} ms away (simulation.travel_ms): rejects will miss their parts",
            "recipe.reject.delay_ms",
        )
    if not isinstance(config.camera, SimulatedCameraSettings):
        yield finding("the simulated PLC works no real gate", "plc.kind")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
