"""Readiness as seen from outside: the answer of `/health`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from edge_runtime.ops.metrics import CONTENT_TYPE
from edge_runtime.ops.server import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge_runtime.ops.metrics import Registry
    from edge_runtime.ops.server import Route


@dataclass(frozen=True, slots=True)
class Health:
    """A snapshot of the daemon."""

    ready: bool
    """True while parts get sound verdicts."""
    state: str
    """The line's state, as in the status message."""
    details: Mapping[str, object] = field(default_factory=dict)
    """What a technician wants to see, as JSON takes it: reasons, camera, bundle, trust, PLC, broker, backlog."""


def health_route(health: Callable[[], Health]) -> Route:
    """`/health`: JSON; 200 when ready, 503 when not, so that a load balancer or a script needs no parser."""

    def answer(_query: str) -> Answer:
        now = health()
        body = json.dumps({"ready": now.ready, "state": now.state, **now.details}, allow_nan=False)
        status = HTTPStatus.OK if now.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return Answer(status, "application/json", f"{body}\n".encode())

    return answer


def metrics_route(registry: Registry) -> Route:
    """`/metrics`: what Prometheus scrapes."""

    def answer(_query: str) -> Answer:
        return Answer(HTTPStatus.OK, CONTENT_TYPE, registry.render().encode())

    return answer
