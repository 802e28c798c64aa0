from __future__ import annotations

import itertools

import pytest

from edge_runtime.app.lamp import Blinking, LampDriver, Led, OutputLamp, make_lamp, pattern_of
from edge_runtime.config.signal_lamp import GpioSignalSettings, LedSignalSettings, NoSignalSettings, RelaySignalSettings
from edge_runtime.domain.errors import PlcError
from edge_runtime.domain.status import LineHealth, LineReason, LineState, Standing, Weight
from edge_runtime.ops.clock import SimulatedClock

TICK_NS = 200_000_000
RUNNING, REFUSED, TAKEN = LineReason.UPDATE_RUNNING, LineReason.UPDATE_REFUSED, LineReason.UPDATE_TAKEN


class Bulb:
    """A lamp that remembers, and fails if it is told to."""

    def __init__(self) -> None:
        self.on = False
        self.switched = 0
        self.broken = False

    def switch(self, *, on: bool) -> None:
        """See `Lamp`."""
        self.switched += 1
        if self.broken:
            raise PlcError("the relay is gone", "plug it in")
        self.on = on

    def close(self) -> None:
        """See `Lamp`."""
        self.on = False


def health(*reasons: LineReason) -> LineHealth:
    """A line with these reasons."""
    return LineHealth(
        LineState.READY, tuple(Standing(r, Weight.NOTICE, "", 0, present=True, latched=False) for r in reasons)
    )


def watched(bulb: Bulb, *reasons: LineReason, ticks: int = 50) -> list[bool]:
    """What somebody sees in ten seconds."""
    clock = SimulatedClock()
    driver = LampDriver(bulb, clock)
    seen = []
    for _ in range(ticks):
        driver.show(health(*reasons))
        seen.append(bulb.on)
        clock.advance(TICK_NS)
    return seen


def changes(seen: list[bool]) -> int:
    """How often it went on or off."""
    return sum(one != other for one, other in itertools.pairwise(seen))


def test_work_success_and_refusal_look_different() -> None:
    """Slow blinking, on, fast blinking; dark otherwise."""
    assert 8 <= changes(watched(Bulb(), RUNNING)) <= 13
    assert changes(watched(Bulb(), REFUSED)) >= 40
    assert all(watched(Bulb(), TAKEN))
    assert not any(watched(Bulb()))


def test_what_is_still_going_on_is_shown_first() -> None:
    """Then what went wrong, then what went well."""
    assert pattern_of({RUNNING, REFUSED, TAKEN}) == pattern_of({RUNNING})
    assert pattern_of({REFUSED, TAKEN}) == pattern_of({REFUSED})
    assert isinstance(pattern_of({REFUSED}), Blinking)
    assert pattern_of({LineReason.BROKER_DOWN}) is False


def test_a_lamp_that_fails_is_left_alone_for_a_while() -> None:
    """The line is not held up by it: one attempt in ten seconds."""
    bulb = Bulb()
    bulb.broken = True
    watched(bulb, REFUSED)
    assert bulb.switched <= 2


def test_a_steady_lamp_is_not_switched_again_and_again() -> None:
    """Once on, once off."""
    bulb = Bulb()
    watched(bulb, TAKEN)
    assert bulb.switched == 1


def test_an_led_is_a_file_of_the_kernel(tmp_path) -> None:
    """Full brightness and none."""
    (tmp_path / "max_brightness").write_text("255\n")
    (tmp_path / "brightness").write_text("0\n")
    led = Led(tmp_path)
    led.switch(on=True)
    assert (tmp_path / "brightness").read_text() == "255\n"
    led.close()
    assert (tmp_path / "brightness").read_text() == "0\n"
    Led(tmp_path / "gone").close()


def test_each_kind_of_lamp_is_made(tmp_path) -> None:
    """From its settings; nothing is opened before it is switched."""
    clock = SimulatedClock()
    assert make_lamp(NoSignalSettings(kind="none"), clock) is None
    assert isinstance(make_lamp(LedSignalSettings(kind="led", led="led0"), clock), Led)
    assert isinstance(make_lamp(GpioSignalSettings(kind="gpio", line=4), clock), OutputLamp)
    relay = make_lamp(RelaySignalSettings(kind="serial_relay", device=tmp_path / "no"), clock)
    with pytest.raises(PlcError, match="cannot be opened"):
        relay.switch(on=True)
    relay.close()
