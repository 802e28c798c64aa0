"""A broker that comes back meets its subscriber before the daemon."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WITHIN_S = 5.0
LOOK_S = 0.02


def with_subscriber_first(
    start_broker: Callable[[], None], subscriptions: Callable[[], int], signal_daemon: Callable[[int], None]
) -> float:
    """Start a broker while the daemon is stopped, which goes on once the subscriber is back; how long that took.

    A broker that has forgotten its subscribers drops what comes before they are back: `replay` is for that. Mosquitto
    2.0.11 with an access list does so after every kill: it knows the session again, acknowledges, and queues nothing
    for it until the subscriber is back.

    Args:
        start_broker: returns when it listens.
        subscriptions: how often it has accepted the subscriber so far.
        signal_daemon: sends it a signal.
    """
    before, began = subscriptions(), time.monotonic()
    signal_daemon(signal.SIGSTOP)
    try:
        start_broker()
        while subscriptions() == before and time.monotonic() < began + WITHIN_S:
            time.sleep(LOOK_S)
    finally:
        signal_daemon(signal.SIGCONT)
    return time.monotonic() - began
