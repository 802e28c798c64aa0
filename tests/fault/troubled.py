"""The twins of a line, each with a knob for what goes wrong with it. Time passes in them on a simulated world."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from trouble import MS, SAVED_AFTER_NS, SIDE_PX

from edge_runtime.broker.sim import SimulatedBroker
from edge_runtime.camera.port import CameraState, CameraStatus
from edge_runtime.camera.sim import ConveyorCamera
from edge_runtime.domain.errors import EngineError, PlcError
from edge_runtime.domain.frame import Frame, LostFrame
from edge_runtime.domain.verdict import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from baton import World
    from trouble import Trouble

    from edge_runtime.camera.port import Arrival
    from edge_runtime.detectors.port import Detection, Detector
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.records import OutboxRow
    from edge_runtime.ops.belt import BeltPart
    from edge_runtime.plc.model import SimulatedPlcModel


class TroubledCamera(ConveyorCamera):
    """Sees the parts that pass from now on. `lost`, `frozen`, `half`, `wrong_size`, `late`, `no_memory`."""

    def __init__(self, settings: Any, clock: Any, belt: Any, world: World, trouble: Trouble) -> None:
        super().__init__(settings, clock, belt)
        self._world = world
        self._trouble = trouble
        self._next_part = belt.triggered_until(world.now_ns) + 1

    def next_frame(self, timeout_s: float) -> Arrival | None:
        """As the conveyor camera; or not."""
        arrival = super().next_frame(timeout_s)
        if not isinstance(arrival, Frame):
            return arrival
        trigger = arrival.trigger
        match self._trouble.now():
            case "lost":
                return None
            case "frozen":
                return LostFrame(trigger, Reason.CAMERA_FROZEN, "the same picture again")
            case "half":
                return LostFrame(trigger, Reason.IMAGE_CORRUPT, "half a picture")
            case "wrong_size":
                return replace(arrival, exposures=(np.zeros((SIDE_PX // 2, SIDE_PX), np.uint8),))
            case "late":
                self._world.sleep(self._trouble.random.randrange(50, 1_500) * MS)
            case "no_memory":
                raise MemoryError
        return arrival

    def status(self) -> CameraStatus:
        """As the camera's adapter tells it."""
        status, lasting = super().status(), self._trouble.lasting
        if lasting in {"lost", "frozen"} and status.state is not CameraState.EXHAUSTED:
            return CameraStatus(CameraState(lasting), f"the camera is {lasting}", 0, 0)
        return status

    def _render(self, part: BeltPart) -> Any:
        return np.full((SIDE_PX, SIDE_PX), self._belt.grey(part.sequence), np.uint8)


class TroubledDetector:
    """Takes its time. `throws`, `crashes`, `no_memory`, `nan`, `infinite`, `slow`, `hangs`."""

    def __init__(self, inner: Detector, world: World, trouble: Trouble, usual_ns: int) -> None:
        self._inner = inner
        self._world = world
        self._trouble = trouble
        self._usual_ns = usual_ns

    @property
    def bundle(self) -> Any:
        """See `Detector`."""
        return self._inner.bundle

    def inspect(self, exposures: tuple[Exposure, ...]) -> Detection:
        """As the real one; or not."""
        kind = self._trouble.now()
        self._world.sleep(self._usual_ns * (10 if kind == "slow" else 1))
        match kind:
            case "throws":
                raise EngineError("the engine lost its device", "restart it")
            case "crashes":
                raise ZeroDivisionError
            case "no_memory":
                raise MemoryError
            case "hangs":
                while self._trouble.lasting == "hangs":
                    self._world.sleep(20 * MS)
            case "nan" | "infinite":
                return replace(self._inner.inspect(exposures), score=float("nan" if kind == "nan" else "-inf"))
        return self._inner.inspect(exposures)


class TroubledLink:
    """A `RegisterLink` into a PLC model.

    `hung`, `slow`, `lost_reply`, `late_request`, `wrong_address`, `gone`, `replugged`: a serial adapter that was pulled
    comes back under another name, so that whatever was open before is never answered again.
    """

    name = "troubled PLC"

    def __init__(self, model: SimulatedPlcModel, world: World, trouble: Trouble, timeout_ns: int = 100 * MS) -> None:
        self._model = model
        self._world = world
        self._trouble = trouble
        self._timeout_ns = timeout_ns
        self._open = False
        self._adapter = 0

    def open(self, spare_address: int) -> None:
        """See `RegisterLink`."""
        if self._trouble.holds("gone") or self._trouble.holds("replugged"):
            raise PlcError("connection refused", "look at the cable")
        self._open = True
        self._adapter = self._trouble.begun["replugged"]

    def write(self, address: int, words: Sequence[int], spare: int) -> None:
        """See `RegisterLink`."""
        self._exchange(lambda now_ns: self._model.write_registers(address, words, now_ns))

    def read(self, address: int, count: int, spare: int) -> Sequence[int]:
        """See `RegisterLink`."""
        return self._exchange(lambda now_ns: self._model.read_registers(address, count, now_ns))

    def write_coil(self, address: int, *, on: bool) -> None:
        """See `RegisterLink`."""
        self._exchange(lambda now_ns: self._model.write_coil(address, on=on, now_ns=now_ns))

    def close(self) -> None:
        """See `RegisterLink`."""
        self._open = False

    def _exchange(self, carry_out: Callable[[int], Any]) -> Any:
        if not self._open:
            raise PlcError("not connected", "connect first")
        kind, world = self._trouble.now(), self._world
        if self._adapter != self._trouble.begun["replugged"]:
            self._fail(self._timeout_ns)
        world.sleep(self._trouble.random.randrange(15, 90) * MS if kind == "slow" else 300_000)
        match kind:
            case "hung":
                self._fail(self._timeout_ns)
            case "gone":
                self._fail(0)
            case "lost_reply":
                carry_out(world.now_ns)
                self._fail(self._timeout_ns)
            case "late_request":
                late_ns = world.now_ns + self._trouble.random.randrange(100, 3_000) * MS
                world.call_at(late_ns, lambda: carry_out(world.now_ns))
                self._fail(self._timeout_ns)
            case "wrong_address":
                carry_out(world.now_ns)
                self._fail(200_000)
        answer = carry_out(world.now_ns)
        world.sleep(200_000)
        return answer

    def _fail(self, after_ns: int) -> None:
        self._world.sleep(after_ns)
        self._open = False
        raise PlcError("no answer that fits", "look at the cable")


class TroubledBroker(SimulatedBroker):
    """A broker that can forget what it acknowledged a moment ago, as a killed one does."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._taken: list[tuple[int, OutboxRow]] = []
        self.out_of_memory = False

    def publish(self, row: OutboxRow) -> bool:
        """As the twin; or there is no memory for it."""
        if self.out_of_memory and self._world.random.random() < 0.3:
            raise MemoryError
        return super().publish(row)

    def begin(self, kind: str, end_ns: int) -> None:
        """Trouble of this kind, until this instant."""
        world = self._world
        match kind:
            case "away" | "away_for_minutes" | "queue_lost":
                self.lose_queue() if kind == "queue_lost" else self.go_away()
                world.call_at(end_ns, self.come_back)
            case "over_quota" | "refusing":
                self.refuse("Quota exceeded" if kind == "over_quota" else "not authorized")
                world.call_at(end_ns, lambda: self.refuse(None))
            case "flapping":
                for instant_ns in range(world.now_ns, end_ns, 300 * MS):
                    world.call_at(instant_ns, self.go_away)
                    world.call_at(instant_ns + 150 * MS, self.come_back)
            case "holding":
                self.hold()
                world.call_at(end_ns, self.release)
            case "no_memory":
                self.out_of_memory = True
                world.call_at(end_ns, lambda: setattr(self, "out_of_memory", False))

    def lose_queue(self) -> None:
        """Killed: away, and what came last was never written to its disk."""
        self.go_away()
        self._taken = [entry for entry in self._taken if entry[0] < self._world.now_ns - SAVED_AFTER_NS]

    @property
    def delivered(self) -> list[OutboxRow]:
        """What the subscriber got, duplicates included."""
        return [row for _, row in self._taken]

    def _answer(self, row: OutboxRow) -> None:
        if self._refusal is None:
            self._taken.append((self._world.now_ns, row))
        super()._answer(row)
