from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge_runtime.domain.status import LineHealth, LineReason, LineState, Standing, Weight
from edge_runtime.plc.codes import LINE_REASON_CODES, StatusBit
from edge_runtime.plc.handshake import HandshakePlc
from edge_runtime.plc.port import DeviceState
from edge_runtime.plc.registers import DeviceBlock, decode_device_block

if TYPE_CHECKING:
    from collections.abc import Sequence


class RememberingLink:
    """A PLC's registers, as last written."""

    name = "memory"

    def __init__(self) -> None:
        self.words: Sequence[int] = ()

    def write(self, address: int, words: Sequence[int], spare: int) -> None:
        """Remember."""
        self.words = words

    def told(self) -> DeviceBlock:
        """What the PLC reads there."""
        return decode_device_block(self.words)


@pytest.mark.parametrize("reason", [None, *LineReason])
def test_the_plc_is_told_the_worst_reason_with_every_heartbeat(reason) -> None:
    """As the number of docs/modbus-map.md, in the high byte of the status word; the bits stay what they were."""
    link = RememberingLink()
    plc = HandshakePlc(link, result_address=100, status_address=200, ejector_coil=None)
    state = DeviceState(
        online=True, ready=True, busy=False, fault=False, development_trust=False, degraded=True, reason=reason
    )
    plc.beat(state)
    told = link.told()
    assert told.line_reason == (0 if reason is None else LINE_REASON_CODES[reason])
    assert told.status == StatusBit.ONLINE | StatusBit.READY | StatusBit.DEGRADED
    assert link.words[2] >> 8 == told.line_reason


def test_the_worst_of_several_reasons_is_the_one_for_which_there_is_room() -> None:
    """The others are in the status message and on the health page."""
    reasons = tuple(
        Standing(reason, Weight.FAULT, "", 0, present=True, latched=False)
        for reason in (LineReason.CAMERA_LOST, LineReason.BROKER_DOWN)
    )
    assert LineHealth(LineState.FAULT, reasons).worst is LineReason.CAMERA_LOST
    assert LineHealth(LineState.READY).worst is None
