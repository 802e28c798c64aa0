"""Fixtures that several test folders share."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from line_process import wait_until
from mosquitto import Mosquitto, Subscriber, require_mosquitto

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


# On a developer's machine every run draws new examples; in CI the same ones, so that a red run is about the change.
# No test is a timed one: a busy machine is no finding.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "here")


WAITING = frozenset({"contract", "fault", "integration", "replay"})
"""Folders whose tests mostly wait for processes, brokers and belts."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a worker: files that wait take turns with files that compute, and the last fifth is short ones alone.

    So the cores have something to do while somebody waits, and no worker is left with a long file at the end.
    """
    if not hasattr(config, "workerinput"):
        return
    here = Path(__file__).parent
    groups: tuple[list[Path], list[Path]] = ([], [])
    for path in dict.fromkeys(item.path for item in items):
        groups[path.relative_to(here).parts[0] in WAITING].append(path)
    place = {
        path: share * number / len(group)
        for group, share in zip(groups, (1.0, 0.8), strict=True)
        for number, path in enumerate(group)
    }
    items.sort(key=lambda item: place[item.path])


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked `needs_mosquitto` skips without it, and fails without it in CI. Each begins with a plain log."""
    if item.get_closest_marker("needs_mosquitto") is not None:
        require_mosquitto()
    # Tests run in any order on two cores: what one of them set for the log must not silence another's.
    logging.disable(logging.NOTSET)
    logging.getLogger().setLevel(logging.WARNING)
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and name.split(".")[0] in {"edge_runtime", "edge_convert"}:
            logger.disabled, logger.propagate = False, True
            logger.setLevel(logging.NOTSET)


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """The test leaves neither a thread nor a file descriptor behind."""
    threads, descriptors = set(threading.enumerate()), _open_files()
    yield
    wait_until(lambda: not set(threading.enumerate()) - threads, f"threads left: {threading.enumerate()}")
    wait_until(lambda: _open_files() <= descriptors, "file descriptors left")


@pytest.fixture
def make_mosquitto(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Starts brokers with further configuration lines; all are ended with the test."""
    require_mosquitto()
    started: list[Mosquitto] = []

    def make(lines: Sequence[str] = ("allow_anonymous true",)) -> Mosquitto:
        broker = Mosquitto(tmp_path / f"mosquitto-{len(started)}", lines)
        started.append(broker)
        return broker.start()

    yield make
    for broker in started:
        broker.stop()


@pytest.fixture
def mosquitto(make_mosquitto: Callable[..., Mosquitto]) -> Mosquitto:
    """A running broker for everyone."""
    return make_mosquitto()


@pytest.fixture
def subscribe() -> Iterator[Callable[..., Subscriber]]:
    """Makes subscribers; all are closed with the test."""
    made: list[Subscriber] = []

    def make(port: int, topic: str = "edge/#", *, user: tuple[str, str] | None = None) -> Subscriber:
        made.append(Subscriber(port, topic, user=user, client_id=f"subscriber-{len(made)}"))
        return made[-1]

    yield make
    for subscriber in made:
        subscriber.close()
