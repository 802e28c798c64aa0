"""Tells a frozen camera from a quiet scene: sensor noise never repeats bit by bit. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Exposure

_SAMPLE_STEP = 17


class FreezeWatch:
    """Reports a camera as frozen when its pictures have been bit-identical for `frozen_after_ns`."""

    def __init__(self, frozen_after_ns: int) -> None:
        self._frozen_after_ns = frozen_after_ns
        self._reference: Exposure | None = None
        self._since_ns = 0

    def observe(self, exposure: Exposure, now_ns: int) -> bool:
        """Take note of the next picture; true while the camera is frozen."""
        if self._reference is None or not _identical(exposure, self._reference):
            self._reference = exposure
            self._since_ns = now_ns
            return False
        return now_ns - self._since_ns >= self._frozen_after_ns


def _identical(left: Exposure, right: Exposure) -> bool:
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    # Almost every pair differs in a sparse sample already: the full comparison is for the rare rest.
    sample = slice(None, None, _SAMPLE_STEP)
    return np.array_equal(left[sample, sample], right[sample, sample]) and np.array_equal(left, right)
