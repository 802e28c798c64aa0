"""The handshake over registers: one adapter for every link that can move words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from edge_runtime.domain.errors import PlcError
from edge_runtime.plc.codes import LINE_REASON_CODES, StatusBit
from edge_runtime.plc.port import PlcCapability, PlcInputs
from edge_runtime.plc.registers import (
    DEVICE_WORDS,
    DOUBLE_WORD,
    PLC_WORDS,
    SPARE_WORDS,
    WORD,
    BlockError,
    DeviceBlock,
    PlcBlock,
    Result,
    decode_plc_block,
    encode_device_block,
    result_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.domain.reject import RejectCommand
    from edge_runtime.plc.port import DeviceState


NO_PRODUCT = 0xFFFF
"""What we tell the PLC while no product can be inspected."""


class RegisterLink(Protocol):
    """Moves words and coils. After any PlcError it is closed and has to be opened again."""

    @property
    def name(self) -> str:
        """Kind and address, for messages."""

    def open(self, spare_address: int) -> None:
        """Open afresh and in step: no reply to an earlier exchange is taken for the reply to a later one.

        Args:
            spare_address: a holding register that nobody reads; a line without transaction numbers proves with it that
                requests and replies are in step.

        Raises:
            PlcError: not reachable.
        """

    def write(self, address: int, words: Sequence[int], spare: int) -> None:
        """Write holding registers in one exchange; up to `spare` zero words may follow `words`.

        Raises:
            PlcError: no answer in time, or one that does not fit.
        """

    def read(self, address: int, count: int, spare: int) -> Sequence[int]:
        """Read `count` holding registers in one exchange; up to `spare` more may be asked for.

        Raises:
            PlcError: see `write`.
        """

    def write_coil(self, address: int, *, on: bool) -> None:
        """Write one coil.

        Raises:
            PlcError: see `write`.
        """

    def close(self) -> None:
        """Idempotent, never raises."""


class HandshakePlc:
    """A PLC with the register map of `registers`, over any RegisterLink.

    One call is one exchange, but that `read` looks a second time when it met the PLC in the middle of an update.
    """

    def __init__(
        self,
        link: RegisterLink,
        *,
        result_address: int,
        status_address: int,
        ejector_coil: int | None,
        product_address: int | None = None,
    ) -> None:
        self._link = link
        self._result_address = result_address
        self._status_address = status_address
        self._ejector_coil = ejector_coil
        self._product_address = product_address
        self._product_code: int | None = None
        self._heartbeat = 0
        self._status = StatusBit(0)
        self._line_reason = 0
        self._result: Result | None = None
        self._result_count = 0
        self._ticks: int | None = None
        self._open = False

    @property
    def name(self) -> str:
        """See `Plc`."""
        return self._link.name

    @property
    def capabilities(self) -> PlcCapability:
        """See `Plc`."""
        offered = PlcCapability.HANDSHAKE | PlcCapability.ENCODER | PlcCapability.TRIGGER_COUNT
        return offered if self._ejector_coil is None else offered | PlcCapability.EJECTOR

    def connect(self) -> None:
        """See `Plc`. The ejector coil is switched off: a predecessor may have died while it was on."""
        self._open = False
        self._link.open(self._result_address + DEVICE_WORDS)
        if self._ejector_coil is not None:
            self._link.write_coil(self._ejector_coil, on=False)
        self._open = True

    def publish_result(self, command: RejectCommand) -> None:
        """See `Plc`. Every heartbeat that follows repeats this result, so the block is always whole."""
        self._result = result_of(command)
        self._result_count = (self._result_count + 1) % WORD
        self._write_block()

    def beat(self, state: DeviceState) -> None:
        """See `Plc`."""
        flags = {
            StatusBit.ONLINE: state.online,
            StatusBit.READY: state.ready,
            StatusBit.BUSY: state.busy,
            StatusBit.FAULT: state.fault,
            StatusBit.DEVELOPMENT_TRUST: state.development_trust,
            StatusBit.DEGRADED: state.degraded,
        }
        self._status = StatusBit(sum(bit for bit, is_set in flags.items() if is_set))
        self._line_reason = 0 if state.reason is None else LINE_REASON_CODES[state.reason]
        self._write_block()
        if self._product_address is not None:
            told = NO_PRODUCT if state.product_code is None else state.product_code
            self._link.write(self._product_address + 1, (told,), SPARE_WORDS)
            self._product_code = self._link.read(self._product_address, 1, SPARE_WORDS)[0]

    def read(self) -> PlcInputs:
        """See `Plc`. The encoder is continued beyond its 32 bits for as long as this object lives."""
        block = self._read_block()
        self._ticks = _continued(self._ticks, block.encoder_ticks)
        return PlcInputs(
            acknowledged_sequence=block.acknowledged_sequence,
            trigger_count=block.trigger_count,
            encoder_ticks=self._ticks,
            heartbeat=block.heartbeat,
            product_code=self._product_code,
        )

    def set_ejector(self, *, on: bool) -> None:
        """See `Plc`."""
        if self._ejector_coil is None:
            raise PlcError(f"{self.name} has no ejector coil", 'set ejector_coil in [plc], or use gate = "permit"')
        self._link.write_coil(self._ejector_coil, on=on)

    def close(self) -> None:
        """See `Plc`."""
        if self._open and self._ejector_coil is not None:
            try:
                self._link.write_coil(self._ejector_coil, on=False)
            except PlcError:
                # A link that is already down cannot be told; the PLC's own watchdog on our heartbeat has to act.
                self._open = False
        self._open = False
        self._link.close()

    def _write_block(self) -> None:
        self._heartbeat = (self._heartbeat + 1) % WORD
        block = DeviceBlock(self._heartbeat, self._status, self._result_count, self._result, self._line_reason)
        try:
            words = encode_device_block(block)
        except BlockError as error:
            self._result = None
            raise PlcError(f"the result cannot be written to {self.name}: {error}", "report this") from error
        self._link.write(self._result_address, words, SPARE_WORDS)

    def _read_block(self) -> PlcBlock:
        try:
            return self._read_block_once()
        except BlockError:
            # A PLC that fills the block while it is being read is met once in a while; twice in a row is another fault.
            pass
        try:
            return self._read_block_once()
        except BlockError as error:
            raise PlcError(
                f"{self.name}: holding registers {self._status_address}…{self._status_address + PLC_WORDS - 1} "
                f"are not the PLC block: {error}",
                "check status_address, and that the PLC program fills the block as docs/modbus-map.md says",
            ) from error

    def _read_block_once(self) -> PlcBlock:
        return decode_plc_block(self._link.read(self._status_address, PLC_WORDS, SPARE_WORDS))


def _continued(before: int | None, raw: int) -> int:
    """`raw` (modulo 2³²) as the next position after `before`, taking the shorter way round."""
    if before is None:
        return raw
    step = (raw - before + DOUBLE_WORD // 2) % DOUBLE_WORD - DOUBLE_WORD // 2
    return before + step
