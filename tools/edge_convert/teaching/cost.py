"""What tiling costs on this machine."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edge_convert.draft import PatchCoreParts
    from edge_convert.teaching.bank import Bank
    from edge_convert.teaching.material import Material
    from edge_runtime.ops.clock import Clock

_RUNS: Final = 3


def tile_cost(parts: PatchCoreParts, bank: Bank, material: Material, clock: Clock) -> str:
    """Milliseconds for one part and for one tile, from frame to map: the median of three runs, the engine being warm.

    For people only: nothing measured goes into a bundle, equal inputs make equal bundles.
    """
    detector = parts.detector(bank.search, material.engine)
    frame = material.images.load(0)
    detector.inspect((frame,))
    taken = []
    for _ in range(_RUNS):
        started_ns = clock.monotonic_ns()
        detector.inspect((frame,))
        taken.append((clock.monotonic_ns() - started_ns) / 1e6)
    count = parts.area.count
    part_ms = median(taken)
    return f"{count} tiles take {part_ms:.0f} ms on this machine, {part_ms / count:.1f} ms each"
