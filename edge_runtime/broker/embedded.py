"""A broker for the demo: Mosquitto as a child process where it is installed, else amqtt inside this process."""

from __future__ import annotations

import asyncio
import getpass
import logging
import os
import shutil
import socket
import subprocess
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edge_runtime.domain.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "127.0.0.1"
START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
_POLL_S = 0.02
_ATTEMPTS = 3
"""Another process may take the free port between our look and the broker's bind."""
INSTALL = "Install Mosquitto (apt install mosquitto), or the embedded one (pip install 'edge-runtime[demo]')."


@dataclass(frozen=True, slots=True)
class EmbeddedBroker:
    """A running broker on loopback, without passwords and without a memory."""

    host: str
    port: int
    version: Literal["5", "3.1.1"]
    """Newest protocol version that it speaks."""
    description: str
    """What it is, and what it lacks."""
    stop: Callable[[], None]
    """Ends it and removes its files. Idempotent."""


def find_mosquitto() -> Path | None:
    """The Mosquitto binary; Debian keeps it where an ordinary user's PATH does not look."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")
    return None if found is None else Path(found)


def has_amqtt() -> bool:
    """Whether the broker of the extra `demo` is installed."""
    return find_spec("amqtt") is not None


def start_embedded(port: int = 0) -> EmbeddedBroker:
    """Start the best broker this machine has. Call it from a thread that lives as long as the broker shall.

    Args:
        port: on loopback; 0 takes any free one.

    Raises:
        BrokerError: none is installed, or it does not start.
    """
    binary = find_mosquitto()
    if binary is not None:
        return start_mosquitto(binary, port)
    if has_amqtt():
        return start_amqtt(port)
    raise BrokerError("no MQTT broker is installed for the demo", INSTALL)


def start_mosquitto(binary: Path, port: int = 0) -> EmbeddedBroker:
    """Mosquitto as a child process, which the kernel ends with us (Linux).

    Raises:
        BrokerError: it does not start.
    """
    for attempt in range(_ATTEMPTS):
        chosen = _free_port(port)
        running = _MosquittoProcess(binary, chosen)
        try:
            _await_mosquitto(running, chosen)
        except BrokerError:
            running.stop()
            if port or attempt == _ATTEMPTS - 1:
                raise
        else:
            return EmbeddedBroker(HOST, chosen, "5", f"Mosquitto ({binary}), a child process", running.stop)
    raise AssertionError  # the loop returns or raises


def start_amqtt(port: int = 0) -> EmbeddedBroker:
    """The pure-Python broker amqtt in a thread of this process.

    Raises:
        BrokerError: it does not start.
    """
    chosen = _free_port(port)
    running = _AmqttThread(chosen)
    running.wait_until_listening()
    description = (
        f"amqtt {metadata.version('amqtt')} inside this process. It speaks MQTT 3.1.1 only: no refusal codes, no "
        "message expiry, no CloudEvents properties; it forgets everything at its end. For those: apt install mosquitto"
    )
    return EmbeddedBroker(HOST, chosen, "3.1.1", description, running.stop)


def _await_mosquitto(running: _MosquittoProcess, port: int) -> None:
    for _ in range(round(START_TIMEOUT_S / _POLL_S)):
        if running.is_listening(port):
            return
    raise _does_not_start(port, "it does not listen")


class _MosquittoProcess:
    def __init__(self, binary: Path, port: int) -> None:
        # Dropping root would also drop the parent-death signal, hence `user`.
        config = f"listener {port} {HOST}\nallow_anonymous true\npersistence false\nuser {getpass.getuser()}\n"
        setpriv = shutil.which("setpriv")
        ends_with_us = [setpriv, "--pdeathsig", "TERM"] if setpriv else []
        with open(os.memfd_create("mosquitto.conf"), "wb") as file:  # noqa: PTH123  (no path: nothing is left behind)
            file.write(config.encode())
            file.flush()
            self._process = subprocess.Popen(  # noqa: S603  (a found binary and our own arguments)
                [*ends_with_us, str(binary), "-c", f"/dev/fd/{file.fileno()}"],
                pass_fds=[file.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Ctrl-C at the terminal is for the daemon: its last messages still need the broker.
                start_new_session=True,
            )

    def is_listening(self, port: int) -> bool:
        try:
            self._process.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            return _accepts(port)
        raise _does_not_start(port, f"it ended with code {self._process.returncode}")

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class _AmqttThread:
    def __init__(self, port: int) -> None:
        self._port = port
        self._control: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=self._run, name="amqtt", daemon=True)
        self._thread.start()

    def wait_until_listening(self) -> None:
        try:
            self._control.result(START_TIMEOUT_S)
        except Exception as error:
            raise _does_not_start(self._port, str(error)) from error

    def stop(self) -> None:
        if self._thread.is_alive():
            loop, ending = self._control.result(STOP_TIMEOUT_S)
            loop.call_soon_threadsafe(ending.set)
            self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        logging.getLogger("transitions").setLevel(logging.CRITICAL)
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        ending = asyncio.Event()
        try:
            broker = import_module("amqtt.broker").Broker(
                {
                    "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{self._port}"}},
                    "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
                }
            )
            await broker.start()
        except Exception as error:  # noqa: BLE001  (whatever it is: `wait_until_listening` tells it)
            self._control.set_exception(error)
            return
        self._control.set_result((asyncio.get_running_loop(), ending))
        await ending.wait()
        await broker.shutdown()


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _does_not_start(port: int, why: str) -> BrokerError:
    return BrokerError(f"the demo's broker does not start on {HOST}:{port}: {why}", f"Is the port taken? {INSTALL}")


def _free_port(wanted: int) -> int:
    """The wanted one, or any for 0. Whoever listens on it already would answer for a broker that is still to fail."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            raise _does_not_start(wanted, str(error)) from error
        return int(probe.getsockname()[1])
