"""The self-test of a new release in a process of its own: limited in time and memory, after all else, expendable.

    python -m edge_runtime.app.selftest_process < order.json > result.json

A model that hangs, eats the memory or brings its engine down takes this process with it and nothing else. As root it
becomes the user to whom the store belongs, before it reads a byte of the release.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pwd
import resource
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge_runtime.app.inspection import inspector_of
from edge_runtime.bundles.archive import open_release
from edge_runtime.bundles.install import Proof
from edge_runtime.bundles.selftest import golden_self_test
from edge_runtime.config.engine import EngineSettings
from edge_runtime.domain.errors import EdgeError, UpdateError

_MODULE: Final = "edge_runtime.app.selftest_process"
_NICE: Final = 10
_PR_SET_PDEATHSIG: Final = 1
_TAIL_CHARS: Final = 400


@dataclass(frozen=True, slots=True)
class ProofLimits:
    """What a self-test may take."""

    timeout_s: float
    memory_mb: int
    """Of its own: heap, anonymous memory and stacks together (RLIMIT_DATA)."""


def run_proof(bundle: Path, digest: str, engine: EngineSettings, limits: ProofLimits) -> Proof:
    """Let the release at `bundle` inspect its golden images on this device's engine, in a process of its own.

    Raises:
        UpdateError: the process cannot be started.
    """
    order = {
        "bundle": str(bundle),
        "digest": digest,
        "engine": engine.model_dump(mode="json", exclude_unset=True),
        "parent": os.getpid(),
        "memory_mb": limits.memory_mb,
        "cpu_s": int(limits.timeout_s * (os.cpu_count() or 1)) + 1,
    }
    try:
        process = subprocess.Popen(  # noqa: S603  (this very program)
            [sys.executable, "-P", "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise UpdateError(
            f"the self-test cannot be started: {error.strerror}", "Free memory on this device, then install it again."
        ) from error
    with process:
        try:
            output, errors = process.communicate(json.dumps(order), timeout=limits.timeout_s)
        except subprocess.TimeoutExpired:
            return Proof(passed=False, summary=f"it did not end within {limits.timeout_s:g} s")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return _read(process.returncode, output, errors, limits)


def _read(code: int, output: str, errors: str, limits: ProofLimits) -> Proof:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        found = json.loads(output.rstrip().rpartition("\n")[2])
        if code == 0:
            return Proof(passed=found["passed"] is True, summary=str(found["summary"]))
    ended = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
    last = errors.strip()[-_TAIL_CHARS:].strip().rpartition("\n")[2]
    return Proof(
        passed=False,
        summary=f"it ended {ended} instead of giving scores (limit of memory: {limits.memory_mb} MB); {last}",
    )


def main() -> None:
    """The other side: read the order, limit ourselves, inspect, say what came of it."""
    order: dict[str, Any] = json.loads(sys.stdin.read())
    try:
        _limit(order)
        proof = _prove(Path(order["bundle"]), order["digest"], EngineSettings(**order["engine"]))
    except MemoryError:
        proof = Proof(passed=False, summary=f"it wants more than {order['memory_mb']} MB of memory")
    except EdgeError as error:
        proof = Proof(passed=False, summary=error.what)
    sys.stdout.write("\n" + json.dumps({"passed": proof.passed, "summary": proof.summary}) + "\n")
    sys.stdout.flush()
    os._exit(0)  # whatever an engine does at its end has no say any more


def _limit(order: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    os.nice(_NICE)
    _become_owner(Path(order["bundle"]))
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # a change of user would clear it
    if os.getppid() != order["parent"]:
        os._exit(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (order["cpu_s"], order["cpu_s"]))
    resource.setrlimit(resource.RLIMIT_DATA, (order["memory_mb"] << 20, order["memory_mb"] << 20))


def _become_owner(bundle: Path) -> None:
    owner = bundle.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        return
    try:
        os.initgroups(pwd.getpwuid(owner.st_uid).pw_name, owner.st_gid)  # an accelerator may ask for a group
    except KeyError:
        os.setgroups([])
    os.setgid(owner.st_gid)
    os.setuid(owner.st_uid)


def _prove(bundle: Path, digest: str, engine: EngineSettings) -> Proof:
    with inspector_of(open_release(bundle, digest=digest), engine) as inspector:
        report = golden_self_test(
            inspector.detector, inspector.bundle, inspector.payloads, inspector.engine_description
        )
        return Proof(report.passed, f"{report.summary} ({inspector.engine_description})")


if __name__ == "__main__":
    main()
