"""The simulated PLC in this process: the same registers and the same model as behind a wire, without the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.domain.errors import PlcError
from edge_runtime.plc.faults import FaultPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.ops.clock import Clock
    from edge_runtime.plc.model import SimulatedPlcModel


class ModelLink:
    """RegisterLink straight into a SimulatedPlcModel. Every injected fault is a missing answer here."""

    def __init__(self, model: SimulatedPlcModel, clock: Clock, faults: FaultPlan | None = None) -> None:
        self._model = model
        self._clock = clock
        self._faults = FaultPlan() if faults is None else faults
        self._open = False

    @property
    def name(self) -> str:
        """See `RegisterLink`."""
        return "simulated PLC"

    def open(self, spare_address: int) -> None:  # noqa: ARG002  (always in step)
        """See `RegisterLink`."""
        self._open = True

    def write(self, address: int, words: Sequence[int], spare: int) -> None:  # noqa: ARG002  (no reply to tell apart)
        """See `RegisterLink`."""
        self._exchange()
        self._model.write_registers(address, words, self._clock.monotonic_ns())

    def read(self, address: int, count: int, spare: int) -> Sequence[int]:  # noqa: ARG002  (no reply to tell apart)
        """See `RegisterLink`."""
        self._exchange()
        return self._model.read_registers(address, count, self._clock.monotonic_ns())

    def write_coil(self, address: int, *, on: bool) -> None:
        """See `RegisterLink`."""
        self._exchange()
        self._model.write_coil(address, on=on, now_ns=self._clock.monotonic_ns())

    def close(self) -> None:
        """See `RegisterLink`."""
        self._open = False

    def _exchange(self) -> None:
        if not self._open:
            raise PlcError("simulated PLC is not connected", "connect first")
        if (planned := self._faults.take()) is not None:
            self._open = False
            raise PlcError(f"simulated PLC does not answer (injected fault {planned.fault})", "connect again")
