"""Between the daemon and the process of a shadow: short JSON messages, and frames in memory that both see.

A frame is laid down in a file without a name (memfd); only its shape travels through the socket. So handing over never
waits for the process on the other side, which gets no more than the processor time left over.
"""

from __future__ import annotations

import json
import math
import mmap
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.domain.verdict import BundleIdentity, Limits
from edge_runtime.services.shadow import Answer, Facts, Refused

if TYPE_CHECKING:
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.services.shadow import News

Shapes = list[tuple[list[int], str]]
_ALIGNED = 64


class FrameMemory:
    """The memory behind `descriptor`, which grows as frames do. Each process has one of its own over the same file."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._map: mmap.mmap | None = None

    def lay_down(self, exposures: tuple[Exposure, ...]) -> Shapes:
        """Copy the exposures; returns what `look_at` needs."""
        places, size = _places([(list(one.shape), str(one.dtype)) for one in exposures])
        view = self._mapped(size, grow=True)
        for one, (start, length) in zip(exposures, places, strict=True):
            target = np.frombuffer(view, dtype=one.dtype, count=one.size, offset=start)
            np.copyto(target, one.reshape(-1))
            del target
            assert length == one.nbytes  # noqa: S101  (what makes the two sides agree)
        return [(list(one.shape), str(one.dtype)) for one in exposures]

    def look_at(self, shapes: Shapes) -> tuple[Exposure, ...]:
        """The exposures as they lie there, read-only."""
        places, size = _places(shapes)
        view = self._mapped(size, grow=False)
        found = []
        for (shape, dtype), (start, _) in zip(shapes, places, strict=True):
            one = np.frombuffer(view, dtype=dtype, count=math.prod(shape), offset=start).reshape(shape)
            one.setflags(write=False)
            found.append(one)
        return tuple(found)

    def close(self) -> None:
        """Idempotent. Exposures that are still in use keep the memory."""
        self._map = None
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _mapped(self, size: int, *, grow: bool) -> mmap.mmap:
        if self._map is None or len(self._map) < size:
            if grow:
                os.ftruncate(self.descriptor, size)
            self._map = mmap.mmap(self.descriptor, size)
        return self._map


def _places(shapes: Shapes) -> tuple[list[tuple[int, int]], int]:
    """Start and length of each exposure, and the size of all of them."""
    places, end = [], 0
    for shape, dtype in shapes:
        length = math.prod(shape) * np.dtype(dtype).itemsize
        places.append((end, length))
        end += -(-length // _ALIGNED) * _ALIGNED
    return places, max(end, _ALIGNED)


def encode(news: Facts | Answer | Refused) -> bytes:
    """As the process sends it."""
    if isinstance(news, Answer):
        score = None if news.score is None else float(news.score).hex()
        content: dict[str, Any] = {"score": score, "fault": news.fault, "duration_ns": news.duration_ns}
        return json.dumps({"answer": content | {"cost_ns": news.cost_ns}}).encode()
    if isinstance(news, Refused):
        return json.dumps({"refused": news.why}).encode()
    identity = news.identity
    facts = {
        "identity": [identity.name, identity.version, identity.digest, identity.trust],
        "limits": [news.limits.review.hex(), news.limits.reject.hex()],
        "good_scores": [score.hex() for score in news.good_scores],
        "engine": news.engine,
        "priority": news.priority,
    }
    return json.dumps({"facts": facts}).encode()


def decode(payload: bytes) -> News:
    """What `encode` made.

    Raises:
        ValueError, KeyError, TypeError: something else.
    """
    content = json.loads(payload)
    if "answer" in content:
        answer = content["answer"]
        score = None if answer["score"] is None else float.fromhex(answer["score"])
        return Answer(score, str(answer["fault"]), int(answer["duration_ns"]), int(answer["cost_ns"]))
    if "refused" in content:
        return Refused(str(content["refused"]))
    facts = content["facts"]
    name, version, digest, trust = facts["identity"]
    review, reject = (float.fromhex(limit) for limit in facts["limits"])
    return Facts(
        BundleIdentity(name, version, digest, trust),
        Limits(review, reject),
        tuple(float.fromhex(score) for score in facts["good_scores"]),
        facts["engine"],
        facts["priority"],
    )
