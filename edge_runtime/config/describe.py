"""What a configured line will do, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from edge_runtime.config.camera import (
    AfterInspection,
    FolderCameraSettings,
    OpenCvCameraSettings,
    SimulatedCameraSettings,
)
from edge_runtime.config.cross import gate_mode
from edge_runtime.config.plc import (
    GpioSettings,
    ModbusRtuSettings,
    ModbusTcpSettings,
    NoPlcSettings,
    SerialRelaySettings,
    SimulatedPlcSettings,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_runtime.config.camera import CameraSettings
    from edge_runtime.config.combine import CombineSettings
    from edge_runtime.config.line import LineConfig
    from edge_runtime.config.plc import PlcSettings


def describe(config: LineConfig) -> Mapping[str, str]:
    """One sentence for each side of the line, in the order in which a part meets them. Contains no secret."""
    return {
        "device": f"{config.device.name}, keeps its records in {config.device.state_dir}",
        "camera": _camera(config.camera),
        "bundle": _bundle(config),
        "engine": _engine(config),
        "decision": _decision(config),
        **({} if config.recipe.combine is None else {"models": _models(config.recipe.combine)}),
        "gate": _gate(config),
        "messages": _messages(config),
        "evidence": _evidence(config),
        "updates": _updates(config),
        **({"rollout": _rollout(config)} if config.rollout.enabled else {}),
        "metrics": _metrics(config),
    }


def _camera(camera: CameraSettings) -> str:
    match camera:
        case FolderCameraSettings():
            after = {
                AfterInspection.KEEP: "stay there afterwards",
                AfterInspection.MOVE: f"go to {camera.done_path or 'the folder <name>-done beside it'} afterwards",
                AfterInspection.DELETE: "are deleted afterwards",
            }[camera.after]
            how = "polled" if camera.polling else "watched"
            return f"images that appear in {camera.path} ({how}); they {after}"
        case OpenCvCameraSettings():
            return f"every new frame of {public_source(camera.source)}"
        case SimulatedCameraSettings():
            return f"simulated conveyor, {camera.width_px}×{camera.height_px} px"


def public_source(source: str | int) -> str:
    """A camera source without the user name and password that a URL may carry."""
    if isinstance(source, int):
        return f"/dev/video{source}"
    if "://" not in source:
        return source
    parts = urlsplit(source)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="…" if parts.query else ""))


def _bundle(config: LineConfig) -> str:
    if config.bundle.product is not None:
        return f"the active signed release of product {config.bundle.product} (production trust)"
    return f"{config.bundle.path}, loaded unsigned (development trust)"


def _engine(config: LineConfig) -> str:
    engine = config.engine
    name = "OpenVINO if it is installed, else onnxruntime" if engine.name == "auto" else engine.name
    where = f" with {engine.provider}" if engine.provider != "cpu" else f" on {engine.device}"
    threads = f"{engine.threads} threads" if engine.threads else "as many threads as cores"
    at_once = f", {engine.at_once} parts side by side" if engine.at_once > 1 else ""
    return f"{name}{where}, {engine.precision}, {threads}{at_once}"


def _decision(config: LineConfig) -> str:
    recipe = config.recipe
    limits = (
        "the bundle's own limits"
        if recipe.limits is None
        else f"REVIEW above {recipe.limits.review:g}, REJECT above {recipe.limits.reject:g}"
    )
    return (
        f"{limits}; faults, and verdicts later than {recipe.decision_deadline_ms:g} ms, are {recipe.fail_safe}; "
        f"a part under review {'is ejected' if recipe.on_review == 'eject' else 'passes'}"
    )


def _models(combine: CombineSettings) -> str:
    others = ", ".join(str(member.bundle or f"the active release of {member.product}") for member in combine.members)
    if combine.rule == "cascade":
        low, high = combine.doubt_from_percent, combine.doubt_to_percent
        where = "" if low == high == 100 else f" (from {low:g} % of its review limit to {high:g} % of its reject limit)"  # noqa: PLR2004
        return f"cascade: where the bundle is in doubt{where}, {others} decides"
    how = {
        "majority": "what more than half of them say, in a tie the stricter side",
        "any": "one REJECT rejects",
        "all": "only what all reject is rejected",
        "weighted": "the weighted mean of their scores",
    }[combine.rule]
    return f"the bundle and {others} look at every part; {how}. One that fails makes the part a fault"


def _gate(config: LineConfig) -> str:
    mode, timing = gate_mode(config), config.recipe.reject
    if mode == "none":
        return "none: verdicts are only recorded and published"
    place = f"{timing.delay_ms:g} ms" if timing.delay_ms is not None else f"{timing.encoder_ticks} encoder ticks"
    meaning = (
        "permit: the PLC passes a part only on our valid PASS for exactly this part while our heartbeat is fresh; when "
        "this program is dead, every part is rejected"
        if mode == "permit"
        else "fire: this program switches the ejector itself. Not fail-safe: when it is dead, nothing is ejected"
    )
    return f"{_plc(config.plc)}, {place} after the trigger. {meaning}"


def _plc(plc: PlcSettings) -> str:
    match plc:
        case ModbusTcpSettings():
            return f"Modbus TCP {plc.host}:{plc.port} unit {plc.unit}"
        case ModbusRtuSettings():
            return f"Modbus RTU {plc.device} {plc.baud} baud 8{plc.parity}{plc.stop_bits} unit {plc.unit}"
        case SerialRelaySettings():
            return f"serial relay {plc.device} channel {plc.channel}"
        case GpioSettings():
            return f"GPIO {plc.chip} line {plc.line}{' (active low)' if plc.active_low else ''}"
        case SimulatedPlcSettings():
            return "simulated PLC"
        case NoPlcSettings():
            return "none"


def _messages(config: LineConfig) -> str:
    mqtt = config.mqtt
    if not mqtt.enabled:
        return "none are sent; verdicts stay in the ledger"
    topic = f"{mqtt.topic_root}/{config.device.name}/inspection, …/status, …/event"
    if mqtt.embedded:
        return f"to a broker started here for the demo, {topic}"
    security = "unencrypted" if mqtt.tls is None else "TLS"
    user = "" if mqtt.user_name is None else f" as {mqtt.user_name}"
    return f"to {mqtt.host}:{mqtt.port}{user} ({security}, MQTT {mqtt.version}), {topic}"


def _evidence(config: LineConfig) -> str:
    if not config.evidence.enabled:
        return "no images are kept"
    return f"images of REVIEW and REJECT with their heatmap, at most {config.evidence.quota_mb} MB, oldest go first"


def _rollout(config: LineConfig) -> str:
    rollout = config.rollout
    what = rollout.candidate or "the newest release that waits"
    how = "by rule" if rollout.promote == "rule" else "by hand"
    return f"{what} is compared in the shadow, then decides {rollout.canary.share:.0%} of the parts; promoted {how}"


def _updates(config: LineConfig) -> str:
    if config.bundle.product is None:
        return "none: the bundle is a file"
    usb, ota = config.updates.usb, config.updates.ota
    ways = [f"by stick{'' if usb.report else ' (nothing is written on it)'}"] if usb.enabled else []
    if ota is not None:
        ways.append(
            f"from {public_source(ota.url)} every {ota.check_every_min} min"
            f"{'' if ota.window is None else f', installed {ota.window} only'}"
        )
    ways.append("by `edge-runtime bundle install`")
    return f"signed releases {', '.join(ways)}"


def _metrics(config: LineConfig) -> str:
    port = config.ops.metrics_port
    return "off" if port is None else f"http://127.0.0.1:{port or '<any free port>'}/metrics, /health, /preview"
