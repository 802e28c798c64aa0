"""What every adapter checks before it runs a graph, so that all refuse the same things in the same words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edge_runtime.domain.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_runtime.engine.port import Tensor, TensorInfo

_REPORT = "the bundle and its detector disagree: convert the bundle again, or report this"


def usable_cores() -> int:
    """Cores that this process may use (taskset, cgroup cpusets and systemd's CPUAffinity= are respected)."""
    return len(os.sched_getaffinity(0))


def check_request(
    feeds: Mapping[str, Tensor],
    wanted: Sequence[str],
    inputs: Sequence[TensorInfo],
    outputs: Sequence[TensorInfo],
) -> None:
    """Refuse what the graph does not have or take.

    Raises:
        EngineError: an input is missing, unknown, or has another shape or dtype; an output is unknown.
    """
    known = {info.name: info for info in inputs}
    if unexpected := sorted(feeds.keys() ^ known.keys()):
        raise EngineError(f"the graph has inputs {sorted(known)}, it was given {sorted(feeds)} ({unexpected})", _REPORT)
    available = [info.name for info in outputs]
    for name in wanted:
        if name not in available:
            raise EngineError(f"the graph has no output {name!r}, only {available}", _REPORT)
    for name, tensor in feeds.items():
        _check_tensor(tensor, known[name])


def _check_tensor(tensor: Tensor, info: TensorInfo) -> None:
    if tensor.dtype.name != info.dtype:
        raise EngineError(f"input {info.name!r} takes {info.dtype}, it was given {tensor.dtype.name}", _REPORT)
    fits = len(tensor.shape) == len(info.shape) and all(
        wanted is None or wanted == got for wanted, got in zip(info.shape, tensor.shape, strict=True)
    )
    if not fits:
        expected = "×".join("?" if side is None else str(side) for side in info.shape) or "a scalar"
        given = "×".join(map(str, tensor.shape)) or "a scalar"
        raise EngineError(f"input {info.name!r} takes {expected}, it was given {given}", _REPORT)
