from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from plc_rigs import SLACK_S, TIMEOUT_MS, GpioRig, ModelRig, RelayRig, make_command, wait_until

from edge_runtime.domain.errors import PlcError
from edge_runtime.domain.recipe import GateAction
from edge_runtime.plc.codes import GateCode, StatusBit
from edge_runtime.plc.port import DeviceState, PlcCapability

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plc_rigs import Rig

READY = DeviceState(online=True, ready=True, busy=False, fault=False, development_trust=True)
HANDSHAKE_KINDS = ["tcp", "rtu", "sim"]
BARE_KINDS = ["relay", "gpio"]
ALL_KINDS = HANDSHAKE_KINDS + BARE_KINDS
BOUND_S = 3 * TIMEOUT_MS / 1e3 + SLACK_S
"""`connect` makes up to three steps, each bounded by the timeout; the rest is the scheduler of a busy machine."""


def _rig(kind: str, folder: Path) -> Rig:
    if kind == "relay":
        return RelayRig(folder)
    return GpioRig() if kind == "gpio" else ModelRig(kind)


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture(params=ALL_KINDS)
def rig(request, tmp_path) -> Iterator[Rig]:
    """Every adapter with its other end."""
    built = _rig(request.param, tmp_path)
    yield built
    built.close()


@pytest.fixture(params=HANDSHAKE_KINDS)
def handshake(request) -> Iterator[ModelRig]:
    """The adapters with a handshake."""
    built = ModelRig(request.param)
    assert PlcCapability.HANDSHAKE in built.plc.capabilities
    yield built
    built.close()


@pytest.fixture(params=BARE_KINDS)
def bare(request, tmp_path) -> Iterator[Rig]:
    """The adapters without a handshake."""
    built = _rig(request.param, tmp_path)
    assert PlcCapability.HANDSHAKE not in built.plc.capabilities
    yield built
    built.close()


class TestPlcContract:
    """What `plc.port.Plc` promises, for every adapter and its twin."""

    def test_name_tells_where_it_is(self, rig) -> None:
        """Messages can name the device before it is connected."""
        assert len(rig.plc.name) > 3

    def test_every_adapter_switches_the_ejector_on_and_off(self, rig) -> None:
        """The ejector line follows, in order, and is off after connecting and after closing."""
        assert PlcCapability.EJECTOR in rig.plc.capabilities
        rig.plc.connect()
        before = rig.ejector()
        assert True not in before
        for state in (True, False, True):
            rig.plc.set_ejector(on=state)
        rig.plc.close()
        assert rig.ejector()[len(before) :] == [True, False, True, False]

    def test_result_reaches_the_plc_and_is_acknowledged(self, handshake) -> None:
        """Each result arrives once, with its own part sequence, and its acknowledgement can be read."""
        handshake.plc.connect()
        sequences = [1, 2, 70_000, 2**32 - 1]
        for sequence in sequences:
            action = GateAction.EJECT if sequence % 2 else GateAction.LET_PASS
            handshake.plc.publish_result(make_command(sequence, action))
            assert handshake.plc.read().acknowledged_sequence == sequence
        assert [result.part_sequence for result in handshake.results()] == sequences
        assert [result.gate for result in handshake.results()] == [
            GateCode.REJECT,
            GateCode.PERMIT,
            GateCode.PERMIT,
            GateCode.REJECT,
        ]

    def test_heartbeat_carries_the_state_and_no_new_result(self, handshake) -> None:
        """A beat changes heartbeat and status bits; the last result is not delivered a second time."""
        handshake.plc.connect()
        handshake.plc.publish_result(make_command(5))
        seen = set()
        for _ in range(3):
            handshake.plc.beat(READY)
            device = handshake.model.device
            seen.add(device.heartbeat)
        assert len(seen) == 3
        assert device.status == StatusBit.ONLINE | StatusBit.READY | StatusBit.DEVELOPMENT_TRUST
        assert len(handshake.results()) == 1

    def test_plc_heartbeat_moves(self, handshake) -> None:
        """The PLC's own heartbeat can be watched."""
        handshake.plc.connect()
        assert handshake.plc.read().heartbeat != handshake.plc.read().heartbeat

    def test_adapter_without_handshake_refuses_it_and_knows_nothing(self, bare) -> None:
        """What a relay or GPIO line cannot do is an error with advice, and its inputs are unknown, not zero."""
        bare.plc.connect()
        for call in (lambda: bare.plc.publish_result(make_command(1)), lambda: bare.plc.beat(READY)):
            with pytest.raises(PlcError, match="no handshake") as caught:
                call()
            assert caught.value.action
        inputs = bare.plc.read()
        assert (inputs.acknowledged_sequence, inputs.trigger_count, inputs.encoder_ticks) == (None, None, None)

    def test_silent_device_is_an_error_in_bounded_time(self, rig) -> None:
        """A device that is gone or hangs raises PlcError soon, at every call until it is connected again."""
        rig.plc.connect()
        rig.hang()
        for call in (lambda: rig.plc.set_ejector(on=True), lambda: rig.plc.set_ejector(on=False), rig.plc.connect):
            begun = time.monotonic()
            with pytest.raises(PlcError) as caught:
                call()
            assert time.monotonic() - begun < BOUND_S
            assert caught.value.action

    def test_hung_plc_holds_no_exchange_longer_than_its_timeout(self, handshake) -> None:
        """publish_result, beat and read end within the configured timeout."""
        for call in (lambda: handshake.plc.publish_result(make_command(1)), lambda: handshake.plc.beat(READY)):
            handshake.plc.connect()
            handshake.hang()
            begun = time.monotonic()
            with pytest.raises(PlcError):
                call()
            assert time.monotonic() - begun < TIMEOUT_MS / 1e3 + SLACK_S
            handshake.heal()

    def test_works_again_after_reconnecting(self, rig) -> None:
        """After a failure `connect` leads back to a working device with its ejector off."""
        rig.plc.connect()
        rig.plc.set_ejector(on=True)
        rig.hang()
        with pytest.raises(PlcError):
            rig.plc.set_ejector(on=False)
        rig.heal()
        rig.plc.connect()
        rig.plc.set_ejector(on=True)
        rig.plc.set_ejector(on=False)
        assert rig.ejector()[-2:] == [True, False]

    def test_unconnected_device_is_an_error(self, rig) -> None:
        """Before `connect` and after `close` nothing is switched silently."""
        with pytest.raises(PlcError, match="not connected"):
            rig.plc.set_ejector(on=True)
        rig.plc.connect()
        rig.plc.close()
        with pytest.raises(PlcError, match="not connected"):
            rig.plc.set_ejector(on=True)

    def test_close_is_idempotent_and_silent(self, rig) -> None:
        """Closing twice, unconnected, or with the device gone raises nothing."""
        rig.plc.close()
        rig.plc.connect()
        rig.hang()
        rig.plc.close()
        rig.plc.close()

    def test_connecting_again_and_again_leaks_nothing(self, rig) -> None:
        """Neither descriptors nor threads remain, however often a line is opened, lost and closed."""
        rig.plc.connect()
        rig.plc.close()
        descriptors, threads = _descriptors(), threading.active_count()
        for _ in range(5):
            rig.plc.connect()
            rig.plc.connect()
            rig.plc.close()
        # A server closes its end of a connection a moment later, in its own thread.
        assert wait_until(lambda: _descriptors() <= descriptors)
        assert threading.active_count() <= threads


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_closed_rig_leaves_no_thread(kind: str, tmp_path) -> None:
    """Adapters, twins and servers end their threads."""
    before = set(threading.enumerate())
    rig = _rig(kind, tmp_path)
    rig.plc.connect()
    rig.close()
    assert set(threading.enumerate()) <= before
