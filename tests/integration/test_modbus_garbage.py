from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plc_rigs import make_command, reconnect

from edge_runtime.config.plc import ModbusRtuSettings, ModbusTcpSettings
from edge_runtime.domain.errors import PlcError
from edge_runtime.ops.clock import SystemClock
from edge_runtime.plc import create
from edge_runtime.plc.modbus_server import PlcServer, RtuEndpoint
from edge_runtime.plc.model import SimulatedPlcModel
from edge_runtime.plc.virtual_cable import VirtualCable

if TYPE_CHECKING:
    from collections.abc import Iterator


class Babbler:
    """A TCP server that answers every request with the bytes that it was given."""

    def __init__(self) -> None:
        self.answer = b""
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._server.accept()
            with connection:
                request = connection.recv(300)
                if request == b"stop":
                    return
                # The transaction number is right, so that the rest is looked at.
                connection.sendall(request[:2] + self.answer if len(self.answer) % 2 else self.answer)
                connection.settimeout(1.0)
                with contextlib.suppress(TimeoutError):  # whoever is slow to hang up finds the line cut
                    connection.recv(300)

    def close(self) -> None:
        """End the server."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(b"stop")
        self._thread.join()
        self._server.close()


@pytest.fixture(scope="module")
def babbler() -> Iterator[Babbler]:
    """See Babbler."""
    server = Babbler()
    yield server
    server.close()


MBAP = st.builds(lambda body: b"\x00\x00" + len(body).to_bytes(2, "big") + body, st.binary(min_size=1, max_size=40))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answer=st.one_of(st.binary(min_size=1, max_size=60), MBAP))
def test_no_bytes_can_make_anything_but_a_plc_error(babbler, answer: bytes) -> None:
    """Whatever bytes a device sends, the caller sees a PlcError: no other exception, no result."""
    babbler.answer = answer
    plc = create(
        ModbusTcpSettings(kind="modbus_tcp", host="127.0.0.1", port=babbler.port, timeout_ms=20), SystemClock()
    )
    plc.connect()
    with pytest.raises(PlcError):
        plc.read()
    plc.close()


@settings(max_examples=60, deadline=None)
@given(frame=st.binary(min_size=1, max_size=60))
def test_no_serial_bytes_can_make_anything_but_a_plc_error(frame: bytes) -> None:
    """The same on a serial line, where the noise is already there when the line is opened or comes afterwards."""
    cable = VirtualCable()
    try:
        with cable.far.open("wb", buffering=0) as noise:
            settings_ = ModbusRtuSettings(kind="modbus_rtu", device=cable.near, parity="N", timeout_ms=15)
            plc = create(settings_, SystemClock())
            stop = threading.Event()

            def babble() -> None:
                while not stop.wait(0.003):
                    noise.write(frame)

            thread = threading.Thread(target=babble)
            thread.start()
            try:
                with pytest.raises(PlcError):
                    plc.connect()
            finally:
                stop.set()
                thread.join()
                plc.close()
    finally:
        cable.close()


def test_serial_line_that_never_falls_silent_is_an_error_in_bounded_time() -> None:
    """A babbling converter floods the line without a pause: opening it ends all the same."""
    cable = VirtualCable()
    stop = threading.Event()
    plc = create(ModbusRtuSettings(kind="modbus_rtu", device=cable.near, parity="N", timeout_ms=50), SystemClock())
    with cable.far.open("wb", buffering=0) as noise:
        os.set_blocking(noise.fileno(), False)

        def flood() -> None:
            while not stop.is_set():
                noise.write(bytes(512))

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            begun = time.monotonic()
            with pytest.raises(PlcError):
                plc.connect()
            assert time.monotonic() - begun < 10.0  # the flood has no end
        finally:
            stop.set()
            thread.join()
            plc.close()
            cable.close()


def test_serial_server_survives_garbage_from_its_client() -> None:
    """The simulated PLC answers the next sound request after noise on its line."""
    cable = VirtualCable()
    server = PlcServer(SimulatedPlcModel(), SystemClock(), RtuEndpoint(cable.far, parity="N"))
    server.start()
    try:
        with cable.near.open("wb", buffering=0) as noise:
            noise.write(bytes(range(64)))
        plc = create(ModbusRtuSettings(kind="modbus_rtu", device=cable.near, parity="N"), SystemClock())
        reconnect(plc)
        plc.publish_result(make_command(3))
        assert plc.read().acknowledged_sequence == 3
        plc.close()
    finally:
        server.stop()
        cable.close()
