from __future__ import annotations

import signal

import pytest
from subscriber_first import with_subscriber_first


def test_the_daemon_stands_still_until_the_subscriber_is_back() -> None:
    """The broker starts while it is stopped, and it goes on only after the subscription."""
    happened: list[object] = []

    def subscriptions() -> int:
        happened.append("asked")
        return happened.count("asked") // 2 if "started" in happened else 0

    with_subscriber_first(lambda: happened.append("started"), subscriptions, happened.append)
    assert happened == ["asked", signal.SIGSTOP, "started", "asked", signal.SIGCONT]


def test_a_broker_that_does_not_start_leaves_no_stopped_daemon() -> None:
    """Or the run would hang instead of failing."""
    signals: list[int] = []

    def refuse() -> None:
        raise OSError("no such port")

    with pytest.raises(OSError, match="no such port"):
        with_subscriber_first(refuse, lambda: 0, signals.append)
    assert signals == [signal.SIGSTOP, signal.SIGCONT]
