"""A PLC with its belt and gate, as a process: what `edge_runtime.plc.server` lacks is the belt.

    python tests/fault/belt_plc.py belt.json 5020 gate.jsonl       (or a serial device in the place of the port)

`belt.json` holds `times_ns` (monotonic), `passes` (the truth) and `travel_ns`. Every part at the gate becomes a line of
`gate.jsonl`. Standard input takes one fault per line: `hang 20`, `late_request 5 800` (name, times, delay in ms), or
`clear`.
"""

from __future__ import annotations

import bisect
import json
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.domain.recipe import GateMode
from edge_runtime.ops.belt import BeltPart
from edge_runtime.ops.clock import SystemClock
from edge_runtime.plc.faults import Fault
from edge_runtime.plc.modbus_server import PlcServer, RtuEndpoint, TcpEndpoint
from edge_runtime.plc.model import SimulatedPlcModel

LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class ListedBelt:
    """See `BeltPlan`: every part's time and truth as they were drawn elsewhere."""

    times_ns: tuple[int, ...]
    passes: tuple[bool, ...]
    travel_ns: int
    parts_per_s: float = 10.0

    def part(self, sequence: int) -> BeltPart | None:
        """See `BeltPlan`."""
        if not 1 <= sequence <= len(self.times_ns):
            return None
        return BeltPart(sequence, self.times_ns[sequence - 1], not self.passes[sequence - 1], trigger_dropped=False)

    def triggered_until(self, now_ns: int) -> int:
        """See `BeltPlan`."""
        return bisect.bisect_right(self.times_ns, now_ns)

    def encoder_at(self, now_ns: int) -> int:
        """See `BeltPlan`."""
        return max(0, (now_ns - self.times_ns[0]) // 1_000_000)


def load_belt(path: Path) -> ListedBelt:
    """What the harness drew."""
    drawn: dict[str, Any] = json.loads(path.read_text())
    return ListedBelt(tuple(drawn["times_ns"]), tuple(drawn["passes"]), drawn["travel_ns"])


def main() -> int:
    """Serve until standard input ends."""
    belt_path, link, log_path = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    model = SimulatedPlcModel(load_belt(belt_path), mode=GateMode.PERMIT, keep=None)
    endpoint = TcpEndpoint(int(link)) if link.isdigit() else RtuEndpoint(Path(link), parity="N")
    server = PlcServer(model, SystemClock(), endpoint)
    server.start()
    stop = threading.Event()
    with log_path.open("a", encoding="utf-8") as log:
        writer = threading.Thread(target=_write, args=(model, log, stop))
        writer.start()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for line in sys.stdin:
            _inject(server, line.split())
        stop.set()
        writer.join()
    server.stop()
    return 0


def _inject(server: PlcServer, words: list[str]) -> None:
    if words == ["clear"]:
        server.faults.clear()
    elif words:
        server.faults.inject(Fault(words[0]), times=int(words[1]), delay_ms=int(words[2]) if len(words) > 2 else 0)


def _write(model: SimulatedPlcModel, log: Any, stop: threading.Event) -> None:
    told = 0
    while True:
        ends = stop.wait(LOOK_S)
        for record in model.gate_log[told:]:
            told += 1
            log.write(json.dumps({"part": record.sequence, "passed": record.passed, "why": record.why}) + "\n")
        log.flush()
        if ends:
            return


if __name__ == "__main__":
    sys.exit(main())
