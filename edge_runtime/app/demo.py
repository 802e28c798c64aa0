"""The demo line: the real daemon on a simulated conveyor, with a broker of its own."""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from edge_runtime.app.daemon import Daemon
from edge_runtime.app.own_broker import connected
from edge_runtime.app.recipe import limits_in_force
from edge_runtime.broker.embedded import start_embedded
from edge_runtime.config.load import load_config
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.verdict import Disposition
from edge_runtime.plc.codes import GateCode

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from edge_runtime.app.signals import Signals
    from edge_runtime.broker.embedded import EmbeddedBroker
    from edge_runtime.config.line import LineConfig
    from edge_runtime.ops.clock import Clock
    from edge_runtime.plc.gate import GateRecord
    from edge_runtime.plc.model import ResultEntry

PACKAGED = Path(__file__).resolve().parent.parent / "_demo" / "demo.toml"
CHECKOUT = Path(__file__).resolve().parent.parent.parent / "configs" / "demo.toml"


def demo_config(checkout: Path = CHECKOUT, packaged: Path = PACKAGED) -> LineConfig:
    """The demo's configuration: of the checkout that this runs from, or what an installed package brings.

    A package has its bundle beside the configuration, and its folder is no place for a ledger.

    Raises:
        ConfigError: neither is there, or it cannot be used.
    """
    if checkout.is_file():
        return load_config(checkout)
    if packaged.is_file():
        config = load_config(packaged)
        name = "demo.bundle" if config.bundle.path is None else config.bundle.path.name
        bundle = config.bundle.model_copy(update={"path": packaged.with_name(name)})
        device = config.device.model_copy(update={"state_dir": Path(tempfile.mkdtemp(prefix="edge-runtime-demo-"))})
        return config.model_copy(update={"bundle": bundle, "device": device})
    raise ConfigError("the demo's configuration is not there", "install the package again, or run from a checkout")


def demo_bundle() -> Path:
    """The bundle that the demo inspects with.

    Raises:
        ConfigError: see `demo_config`; or its configuration names no file.
    """
    path = demo_config().bundle.path
    if path is None:
        raise ConfigError("the demo's configuration names no bundle", "Name one with --bundle.")
    return path


@dataclass(frozen=True, slots=True)
class PastTheGate:
    """A defective part that the gate let through."""

    part: int
    score: float | None
    """Of its PASS, as the PLC was told; None: it passed without one, which must never be."""
    is_weak: bool
    """The model took it for a good part: its score is within the limit for those."""


def past_the_gate(
    gate_log: Iterable[GateRecord], results: Iterable[ResultEntry], review_limit: float
) -> tuple[PastTheGate, ...]:
    """Why each defective part passed, of those that the simulated PLC still remembers."""
    scores = {each.part_sequence: each.score for entry in results if (each := entry.result).gate is GateCode.PERMIT}
    missed = [record.sequence for record in gate_log if record.passed and record.defective]
    # What the PLC is told is float32: rounded up it could lie above the limit.
    limit = float(np.nextafter(np.float32(review_limit), np.float32(np.inf)))
    found = []
    for part in missed:
        score = scores.get(part)
        found.append(PastTheGate(part, score, score is not None and score <= limit))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """What happened, for people and (as JSON) for machines. Latencies in milliseconds."""

    parts: int
    passed: int
    review: int
    rejected: int
    reasons: dict[str, int]
    rejects_planned: int
    rejects_in_time: int
    rejects_missed: int
    decision_p50_ms: float
    decision_p99_ms: float
    gate_p50_ms: float
    gate_p99_ms: float
    gate_passed: int
    gate_rejected: int
    defective_past_the_gate: int
    past_the_gate: tuple[PastTheGate, ...]
    good_rejected: int
    committed: int
    published: int
    broker: str
    bundle: str
    trust: str
    engine: str

    def as_json(self) -> dict[str, Any]:
        """Plain values; NaN (no part yet) becomes None."""
        return {key: None if value != value else value for key, value in asdict(self).items()}  # noqa: PLR0124


class Demo:
    """Broker, daemon and their end. A context manager."""

    def __init__(
        self,
        clock: Clock,
        parts: int | None,
        parts_per_s: float | None,
        seed: int | None,
        signals: Signals | None = None,
    ) -> None:
        """Start the broker and prepare the daemon.

        Raises:
            EdgeError: something does not work, with what to do.
        """
        config = demo_config()
        self.broker: EmbeddedBroker = start_embedded()
        try:
            self.config = _adapted(config, self.broker, parts, parts_per_s, seed)
            self.daemon = Daemon(self.config, lambda: self.config, clock, signals)
        except BaseException:
            self.broker.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.broker.stop()

    @property
    def subscribe_command(self) -> str:
        """What a newcomer types in a second terminal."""
        version = "mqttv5" if self.broker.version == "5" else "mqttv311"
        topic = f"{self.config.mqtt.topic_root}/{self.config.device.name}/#"
        return f"mosquitto_sub -h {self.broker.host} -p {self.broker.port} -V {version} -t '{topic}' -v"

    def is_finished(self) -> bool:
        """Every simulated part has been at the gate (the belt goes on after the last trigger)."""
        model = self.daemon.devices.simulated_plc
        parts = self.config.simulation.parts
        return model is None or parts is None or model.summary.passed + model.summary.rejected >= parts

    def summary(self) -> DemoSummary:
        """The counts at this moment."""
        line = self.daemon.line
        snapshot, gate = line.monitor.snapshot(), line.monitor.gate
        truth = self.daemon.devices.simulated_plc
        at_gate = None if truth is None else truth.summary
        delay = gate.command_latency.percentiles()
        inspector = self.daemon.devices.inspector
        review_limit = limits_in_force(self.config.recipe, inspector.bundle.calibration.limits).review
        return DemoSummary(
            parts=snapshot.parts,
            passed=snapshot.dispositions[Disposition.PASS],
            review=snapshot.dispositions[Disposition.REVIEW],
            rejected=snapshot.dispositions[Disposition.REJECT],
            reasons={str(reason): count for reason, count in snapshot.reasons.items()},
            rejects_planned=gate.planned_rejects,
            rejects_in_time=gate.rejects_in_time,
            rejects_missed=gate.rejects_missed,
            decision_p50_ms=snapshot.decision.p50_ms,
            decision_p99_ms=snapshot.decision.p99_ms,
            gate_p50_ms=delay.p50_ms,
            gate_p99_ms=delay.p99_ms,
            gate_passed=0 if at_gate is None else at_gate.passed,
            gate_rejected=0 if at_gate is None else at_gate.rejected,
            defective_past_the_gate=0 if at_gate is None else at_gate.defective_passed,
            past_the_gate=() if truth is None else past_the_gate(truth.gate_log, truth.results, review_limit),
            good_rejected=0 if at_gate is None else at_gate.good_rejected,
            committed=line.stages.record.committed,
            published=0 if line.stages.publish is None else line.stages.publish.acknowledged,
            broker=self.broker.description,
            bundle=f"{inspector.bundle.identity.name} {inspector.bundle.identity.version}",
            trust=inspector.bundle.identity.trust,
            engine=inspector.engine_description,
        )


def _adapted(
    config: LineConfig, broker: EmbeddedBroker, parts: int | None, parts_per_s: float | None, seed: int | None
) -> LineConfig:
    chosen = {"parts": parts, "parts_per_s": parts_per_s, "seed": seed}
    simulation = config.simulation.model_copy(update={k: v for k, v in chosen.items() if v is not None})
    device = config.device.model_copy(update={"state_dir": _writable(config.device.state_dir)})
    return connected(config, broker).model_copy(update={"simulation": simulation, "device": device})


def _writable(state_dir: Path) -> Path:
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
    except OSError:
        pass
    else:
        if os.access(state_dir, os.W_OK):
            return state_dir
    return Path(tempfile.mkdtemp(prefix="edge-runtime-demo-"))  # somebody else's checkout is not ours to write
