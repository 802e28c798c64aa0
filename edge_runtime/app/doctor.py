"""`doctor`: what works on this machine, what does not, and what to do. Looks, and leaves everything as it is."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import EdgeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge_runtime.config.line import LineConfig

PATIENCE_S = 3.0
"""No probe keeps the technician waiting longer."""


class State(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    WARNING = "warning"
    """Works, or may work; deserves a look."""
    ERROR = "error"
    """The line cannot run like this."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report."""

    subject: str
    state: State
    detail: str
    action: str = ""
    """What to do; empty when all is well."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One look at one side of the machine."""

    subject: str
    run: Callable[[], Sequence[Finding]]
    late: State = State.ERROR
    """What it means if the probe gives no answer in time."""


def probes(config: LineConfig | None) -> Sequence[Probe]:
    """All probes for this machine; with a configuration also those of its devices."""
    from edge_runtime.app import doctor_devices, doctor_line, doctor_machine  # noqa: PLC0415  (they import Finding)

    general = [
        Probe("python", doctor_machine.python_and_packages),
        Probe("processor", doctor_machine.processor),
        Probe("memory", doctor_machine.memory),
        Probe("clock", doctor_machine.clock),
        Probe("engines", doctor_devices.engines, late=State.WARNING),
        Probe("cameras", doctor_devices.cameras),
        Probe("serial ports", doctor_devices.serial_ports),
    ]
    if config is None:
        return general
    return [
        *general,
        Probe("disk", lambda: doctor_machine.disk(config.device.state_dir)),
        Probe("bundle", lambda: doctor_line.bundle(config)),
        Probe("camera", lambda: doctor_line.camera(config.camera)),
        Probe("plc", lambda: doctor_line.plc(config.plc)),
        Probe("mqtt files", lambda: doctor_line.mqtt_files(config.mqtt)),
        Probe("broker", lambda: doctor_line.broker(config.mqtt, config.device.name)),
        Probe("metrics port", lambda: doctor_line.metrics_port(config.ops.metrics_port)),
    ]


def examine(what: Sequence[Probe], patience_s: float = PATIENCE_S) -> Iterator[Finding]:
    """Run the probes one after the other; each gets `patience_s` and is left behind if it hangs."""
    for probe in what:
        yield from _bounded(probe, patience_s)


def _bounded(probe: Probe, patience_s: float) -> Sequence[Finding]:
    answer: queue.SimpleQueue[Sequence[Finding]] = queue.SimpleQueue()

    def look() -> None:
        answer.put(_guarded(probe))

    # A daemon: what hangs in a dead network share or driver cannot be interrupted, only left behind.
    threading.Thread(target=look, name=f"doctor-{probe.subject}", daemon=True).start()
    try:
        return answer.get(timeout=patience_s)
    except queue.Empty:
        detail = f"gave no answer within {patience_s:g} s: very slow, or hanging"
        return [Finding(probe.subject, probe.late, detail, "Run doctor again; look at this device if it stays so.")]


def _guarded(probe: Probe) -> Sequence[Finding]:
    try:
        return probe.run()
    except EdgeError as error:
        return [Finding(probe.subject, State.ERROR, error.what, error.action)]
    except Exception as error:  # noqa: BLE001  one probe that fails must not hide what the others find
        detail = f"could not be examined: {type(error).__name__}: {error}"
        return [Finding(probe.subject, State.ERROR, detail, "Report this: doctor should have known what to say.")]
