"""The process of a shadow: loads a candidate, proves it on its golden images, and looks at the frames that it is shown.

python -P -m edge_runtime.app.shadow_process SOCKET MEMORY    (file descriptors that it inherits)

It takes only the processor time that nobody else wants, is the first to go when memory runs out, and ends with the
daemon. What it loads is in its first message.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import EdgeError

if TYPE_CHECKING:
    from edge_runtime.app.inspection import Inspector
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.services.shadow import Answer, Facts

_SET_PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG, prctl(2)."""


def end_with_the_daemon() -> None:
    """Be killed when the daemon's thread that started this process ends, however that comes.

    Hanging up would do it too, but only once this process listens again, and it may be given no time for that.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def lower_priority(wanted: str) -> str:
    """Stand back behind the line; says how far the operating system grants that: "idle", "low" or "normal".

    Threads that are started from here on inherit it, those of an inference engine too.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    if wanted == "idle":
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            return "idle"
    if wanted != "normal":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, 19)
            return "low"
    return "normal"


def serve(connection: Connection, memory: int) -> None:
    """Load, then answer until the daemon hangs up."""
    end_with_the_daemon()
    order = json.loads(connection.recv_bytes())
    priority = lower_priority(order["priority"])
    from edge_runtime.app.shadow_wire import FrameMemory, encode  # noqa: PLC0415  (engines start threads)
    from edge_runtime.services.shadow import Refused  # noqa: PLC0415

    frames = FrameMemory(memory)
    try:
        inspector = _load(order)
    except EdgeError as error:
        connection.send_bytes(encode(Refused(error.diagnostics())))
        return
    except Exception as error:  # noqa: BLE001  (whatever an engine throws: this bundle cannot be loaded here)
        connection.send_bytes(encode(Refused(f"{type(error).__name__}: {error}")))
        return
    connection.send_bytes(encode(_facts(inspector, priority)))
    while True:
        shapes = json.loads(connection.recv_bytes())
        connection.send_bytes(encode(_look(inspector, frames.look_at(shapes))))


def main() -> None:
    """See the module."""
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the daemon is gone, or wants no more
        serve(Connection(int(sys.argv[1])), int(sys.argv[2]))
    os._exit(0)  # an engine that aborts while it is taken down would look like a crash of the candidate


def _load(order: dict[str, object]) -> Inspector:
    from edge_runtime.app.models import prove  # noqa: PLC0415
    from edge_runtime.app.shadow import Candidate, load_candidate  # noqa: PLC0415

    inspector = load_candidate(Candidate.from_order(order))
    try:
        prove(inspector)
    finally:
        inspector.close()
    return inspector


def _facts(inspector: Inspector, priority: str) -> Facts:
    from edge_runtime.services.shadow import Facts  # noqa: PLC0415

    bundle = inspector.bundle
    calibration = bundle.calibration
    return Facts(bundle.identity, calibration.limits, calibration.good_scores, inspector.engine_description, priority)


def _look(inspector: Inspector, exposures: tuple[Exposure, ...]) -> Answer:
    from edge_runtime.services.shadow import Answer  # noqa: PLC0415

    began_ns, paid_ns = time.monotonic_ns(), time.process_time_ns()
    score, fault = None, ""
    try:
        score = inspector.inspect(exposures).score
    except EdgeError as error:
        fault = error.what
    except Exception as error:  # noqa: BLE001  (whatever an engine throws: this part could not be judged)
        fault = f"{type(error).__name__}: {error}"
    if score is not None and not math.isfinite(score):
        score, fault = None, f"the model returned {score}"
    return Answer(score, fault, time.monotonic_ns() - began_ns, time.process_time_ns() - paid_ns)


if __name__ == "__main__":
    main()
