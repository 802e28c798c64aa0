from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.config.plc import SerialRelaySettings
from edge_runtime.domain.errors import PlcError
from edge_runtime.ops.clock import SystemClock
from edge_runtime.plc import create
from edge_runtime.plc.serial_relay import relay_command
from edge_runtime.plc.twins import RelayTwin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.plc.port import Plc


@pytest.fixture
def twin(tmp_path) -> Iterator[RelayTwin]:
    """A relay that is plugged in."""
    relay = RelayTwin(tmp_path / "usb-1a86_USB_Serial")
    yield relay
    relay.close()


@pytest.fixture
def relay(twin) -> Iterator[Plc]:
    """Its adapter, connected."""
    plc = create(SerialRelaySettings(kind="serial_relay", device=twin.link), SystemClock())
    plc.connect()
    twin.listen(1.0)
    yield plc
    plc.close()


@pytest.mark.parametrize(
    ("channel", "on", "expected"),
    [(1, True, "a00101a2"), (1, False, "a00100a1"), (2, True, "a00201a3"), (16, False, "a01000b0")],
)
def test_relay_bytes_are_those_of_the_board(channel: int, *, on: bool, expected: str) -> None:
    """A0, channel, state, sum: as the boards' own documentation gives them."""
    assert relay_command(channel, on=on).hex() == expected


@given(channel=st.integers(1, 16), on=st.booleans())
def test_relay_sum_covers_every_channel(channel: int, *, on: bool) -> None:
    """The fourth byte is always the low byte of the sum of the first three."""
    command = relay_command(channel, on=on)
    assert len(command) == 4
    assert sum(command[:3]) % 256 == command[3]


def test_relay_is_switched_off_when_connecting(twin, relay) -> None:
    """A contact that a dead predecessor left closed is opened."""
    assert twin.commands == [(1, False)]


def test_relay_replugged_between_two_calls_is_opened_afresh(twin, relay) -> None:
    """The by-id link leads to another tty after replugging: the command goes there, not into the old descriptor."""
    relay.set_ejector(on=True)
    twin.listen(1.0)
    twin.unplug()
    twin.plug()
    relay.set_ejector(on=True)
    assert twin.listen(1.0)
    assert twin.commands == [(1, False), (1, True), (1, True)]


def test_relay_replugged_under_the_same_link_while_the_old_device_lives_is_noticed(twin, relay, tmp_path) -> None:
    """Two boards swapped: the link decides, although writing to the old board would still succeed."""
    old_link = twin.link.readlink()
    other = RelayTwin(tmp_path / "other")
    try:
        twin.link.unlink()
        twin.link.symlink_to(other.link.readlink())
        relay.set_ejector(on=True)
        assert other.listen(1.0)
        assert other.commands == [(1, True)]
        assert not twin.listen(0.0)
        assert twin.commands == [(1, False)]
        assert old_link != other.link.readlink()
    finally:
        other.close()


@pytest.mark.parametrize("keep_link", [False, True])
def test_relay_that_was_pulled_out_is_an_error_not_silence(twin, relay, *, keep_link: bool) -> None:
    """Unplugged, before or after udev has removed the link: the line learns that nothing was switched."""
    twin.unplug(keep_link=keep_link)
    with pytest.raises(PlcError) as caught:
        relay.set_ejector(on=True)
    assert str(twin.link) in caught.value.what
    assert "by-id" in caught.value.action


def test_relay_that_is_not_there_is_named(tmp_path) -> None:
    """A missing relay is an error with its path and what to do."""
    plc = create(SerialRelaySettings(kind="serial_relay", device=tmp_path / "usb-none"), SystemClock())
    with pytest.raises(PlcError, match="usb-none"):
        plc.connect()


def test_path_that_is_no_serial_device_is_refused(tmp_path) -> None:
    """An ordinary file is not written with relay commands."""
    plain = tmp_path / "notes.txt"
    plain.write_bytes(b"")
    plc = create(SerialRelaySettings(kind="serial_relay", device=plain), SystemClock())
    with pytest.raises(PlcError, match=r"notes\.txt"):
        plc.connect()
    assert plain.read_bytes() == b""


def test_twin_refuses_what_is_no_command(twin) -> None:
    """The twin tells a wrong sum from a command, so that a test cannot pass on noise."""
    with twin.link.open("wb", buffering=0) as port:
        port.write(bytes.fromhex("a00101a3") + relay_command(3, on=True))
    assert twin.listen(1.0)
    assert twin.commands == [(3, True)]
    assert twin.refused == [bytes.fromhex("a00101a3")]
