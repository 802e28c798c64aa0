"""Parts through a folder to a PLC on Modbus TCP and on Modbus RTU over a virtual cable; every result must arrive.

    python tests/replay/line_to_plc.py --parts 1000 --parts-per-s 25

Permit: each part's result is written into the PLC's registers and acknowledged with its part sequence; the latency is
from the trigger (the daemon picks the file up) to the PLC's taking over the result. Fire: the ejector coil; the latency
is how late the coil is written after the planned instant.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from line_process import DEMO_BUNDLE, DaemonProcess, PlcProcess, SubscriberProcess, free_port, wait_until
from mosquitto import Mosquitto

from edge_runtime.camera.sim_scene import render_part
from edge_runtime.vision.encode import encode_png

DELAY_MS = 2_000


@dataclass(frozen=True, slots=True)
class PlcResult:
    """What one run gave."""

    transport: str
    mode: str
    parts: int
    rejects: int
    confirmed: int
    """Permit: results of rejected parts that the PLC took over with the right part sequence. Fire: coils written."""
    p50_ms: float
    p99_ms: float


def run(transport: str, mode: str, parts: int, parts_per_s: float, work: Path) -> PlcResult:
    """One run of the daemon against one simulated PLC in a process of its own."""
    folder, staging = work / "in", work / "staging"
    for path in (folder, staging):
        path.mkdir(parents=True)
    for number in range(parts):
        pixels = render_part(11, number, defective=number % 7 == 3, width_px=320, height_px=240)
        (staging / f"part-{number:05d}.png").write_bytes(encode_png(pixels))
    with ExitStack() as stack:
        plc, settings = _plc(transport, work, stack)
        broker = Mosquitto(work / "mosquitto").start()
        stack.callback(broker.stop)
        subscriber = SubscriberProcess(broker.port, "edge/plc/inspection", work / "messages.jsonl")
        stack.callback(subscriber.close)
        config = work / "line.toml"
        config.write_text(
            _CONFIG.format(work=work, bundle=DEMO_BUNDLE, folder=folder, plc=settings, gate=mode, port=broker.port),
            encoding="utf-8",
        )
        daemon = DaemonProcess(config, work / "daemon.log")
        stack.callback(daemon.close)
        daemon.wait_ready()
        _feed(staging, folder, parts_per_s)
        wait_until(lambda: len(subscriber.distinct()) >= parts, f"{parts} verdicts", 300)
        verdicts = list(subscriber.distinct().values())
        rejects = [m for m in verdicts if m["disposition"] != "PASS"]
        if mode == "permit":
            wait_until(lambda: len({e["part_sequence"] for e in plc.results()}) >= parts, "results at the PLC", 60)
        else:
            last_ns = max(m["time_ns"] for m in rejects) + (DELAY_MS + 200) * 1_000_000
            wait_until(lambda: any(e["wall_ns"] > last_ns - 300_000_000 for e in plc.entries()), "the last coil", 60)
        assert daemon.terminate() == 0, "the daemon did not stop cleanly"
        latencies = _permit(rejects, plc) if mode == "permit" else _fire(rejects, plc)
    p50, p99 = np.percentile(latencies, [50, 99]) if latencies else (float("nan"), float("nan"))
    return PlcResult(transport, mode, len(verdicts), len(rejects), len(latencies), float(p50), float(p99))


def _feed(staging: Path, folder: Path, parts_per_s: float) -> None:
    """Parts come at the line's pace: an image appears whole, by a rename."""
    start = time.monotonic()
    for number, path in enumerate(sorted(staging.iterdir())):
        time.sleep(max(0.0, start + number / parts_per_s - time.monotonic()))
        path.rename(folder / path.name)


def _permit(rejects: list[dict], plc: PlcProcess) -> list[float]:
    taken = {entry["part_sequence"]: entry for entry in reversed(plc.results())}
    rejected = [m for m in rejects if taken.get(m["part_sequence"], {}).get("gate") == "reject"]
    return [(taken[m["part_sequence"]]["wall_ns"] - m["time_ns"]) / 1e6 for m in rejected]


def _fire(rejects: list[dict], plc: PlcProcess) -> list[float]:
    on_ns = np.array([e["wall_ns"] for e in plc.entries() if e["event"] == "coil" and e["on"]])
    lateness = []
    for message in rejects:
        late_ms = (on_ns - (message["time_ns"] + DELAY_MS * 1_000_000)) / 1e6
        close = late_ms[(late_ms > -1.0) & (late_ms < 20.0)]
        if close.size:
            lateness.append(float(close.min()))
    return lateness


def _plc(transport: str, work: Path, stack: ExitStack) -> tuple[PlcProcess, str]:
    if transport == "tcp":
        port = free_port()
        plc = PlcProcess(work / "plc.jsonl", "--tcp", str(port))
        settings = f'kind = "modbus_tcp"\nhost = "127.0.0.1"\nport = {port}\nejector_coil = 0'
    else:
        link = work / "ttyPLC"
        plc = PlcProcess(work / "plc.jsonl", "--pty", str(link))
        settings = f'kind = "modbus_rtu"\ndevice = "{link}"\nbaud = 115200\nparity = "N"\nejector_coil = 0'
    stack.callback(plc.close)
    return plc, settings


_CONFIG = """
[device]
name = "plc"
state_dir = "{work}/state"
[bundle]
path = "{bundle}"
[camera]
kind = "folder"
path = "{folder}"
[recipe]
gate = "{gate}"
decision_deadline_ms = 1500.0
reject.delay_ms = 2000.0
reject.pulse_ms = 20.0
[plc]
{plc}
[mqtt]
port = {port}
[ops]
metrics_port = 0
"""


def main() -> None:
    """Run all four combinations and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, default=1_000)
    parser.add_argument("--parts-per-s", type=float, default=25.0)
    options = parser.parse_args()
    print("| transport | gate | parts | rejects | confirmed | p50 ms | p99 ms |")
    for transport in ("tcp", "rtu"):
        for mode in ("permit", "fire"):
            with tempfile.TemporaryDirectory(prefix="line-to-plc-") as work:
                r = run(transport, mode, options.parts, options.parts_per_s, Path(work))
            row = f"| {r.transport} | {r.mode} | {r.parts} | {r.rejects} | {r.confirmed} "
            print(f"{row}| {r.p50_ms:.1f} | {r.p99_ms:.1f} |", flush=True)


if __name__ == "__main__":
    main()
