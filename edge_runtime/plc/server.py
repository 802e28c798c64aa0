"""The simulated PLC as a process: `python -m edge_runtime.plc.server --tcp 5020`.

It takes over, acknowledges and logs every result that comes; `--json-log` writes one JSON object per line for results
and coil writes, with the monotonic clock (comparable between processes of one machine) and UTC.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import PlcError
from edge_runtime.ops.clock import SystemClock
from edge_runtime.plc.codes import REASON_CODES
from edge_runtime.plc.modbus_server import PlcServer, RtuEndpoint, TcpEndpoint
from edge_runtime.plc.model import EJECTOR_COIL, RESULT_ADDRESS, STATUS_ADDRESS, ResultEntry, SimulatedPlcModel
from edge_runtime.plc.virtual_cable import VirtualCable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

    from edge_runtime.ops.clock import Clock
    from edge_runtime.plc.model import CoilEntry

_REASONS = {code: str(reason) for reason, code in REASON_CODES.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. Returns the exit code."""
    options = _parser().parse_args(arguments)
    clock = SystemClock()
    # Blocked before the server's thread starts, so that no thread but this one gets them.
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with ExitStack() as stack:
        log = None
        if options.json_log is not None:
            log = json_log(stack.enter_context(options.json_log.open("a", encoding="utf-8")), clock)
        model = SimulatedPlcModel(
            result_address=options.result_address,
            status_address=options.status_address,
            ejector_coil=options.ejector_coil,
            on_entry=log,
        )
        server = PlcServer(model, clock, _endpoint(options, stack), unit=options.unit)
        try:
            server.start()
        except PlcError as error:
            sys.stderr.write(f"{error.diagnostics()}\n")
            return 1
        stack.callback(server.stop)
        sys.stdout.write(f"simulated PLC on {server.address}\n")
        sys.stdout.flush()
        signal.sigwait(signals)
    return 0


def json_log(file: TextIO, clock: Clock) -> Callable[[ResultEntry | CoilEntry], None]:
    """Writes each entry of a model as a line of JSON, at once."""

    def write(entry: ResultEntry | CoilEntry) -> None:
        times = {"monotonic_ns": entry.received_ns, "wall_ns": clock.wall_ns()}
        file.write(json.dumps(_described(entry) | times) + "\n")
        file.flush()

    return write


def _described(entry: ResultEntry | CoilEntry) -> dict[str, object]:
    if not isinstance(entry, ResultEntry):
        return {"event": "coil", "address": entry.address, "on": entry.on}
    result = entry.result
    return {
        "event": "result",
        "part_sequence": result.part_sequence,
        "gate": result.gate.name.lower(),
        "disposition": result.disposition.name.lower(),
        "reason": _REASONS.get(result.reason_code, "unknown"),
        "score": result.score,
        "decision_ms": result.decision_ms,
        "takeover": str(entry.takeover),
    }


def _endpoint(options: argparse.Namespace, stack: ExitStack) -> TcpEndpoint | RtuEndpoint:
    if options.tcp is not None:
        return TcpEndpoint(options.tcp, options.host)
    if options.pty is not None:
        cable = VirtualCable()
        stack.callback(cable.close)
        link: Path = options.pty
        link.unlink(missing_ok=True)
        link.symlink_to(cable.near)
        stack.callback(link.unlink, missing_ok=True)
        return RtuEndpoint(cable.far, options.baud, "N", options.stop_bits)
    return RtuEndpoint(options.rtu, options.baud, options.parity, options.stop_bits)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m edge_runtime.plc.server", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--tcp", type=int, metavar="PORT", help="Modbus TCP; 0 takes any free port")
    where.add_argument("--rtu", type=Path, metavar="DEVICE", help="Modbus RTU on a serial device")
    where.add_argument("--pty", type=Path, metavar="LINK", help="Modbus RTU on a virtual cable; LINK is its other end")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--baud", type=int, default=115_200)
    parser.add_argument("--parity", choices=("N", "E", "O"), default="E")
    parser.add_argument("--stop-bits", type=int, choices=(1, 2), default=1)
    parser.add_argument("--unit", type=int, default=1)
    parser.add_argument("--result-address", type=int, default=RESULT_ADDRESS)
    parser.add_argument("--status-address", type=int, default=STATUS_ADDRESS)
    parser.add_argument("--ejector-coil", type=int, default=EJECTOR_COIL)
    parser.add_argument(
        "--json-log", type=Path, metavar="FILE", help="append one JSON object per result and coil write"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
