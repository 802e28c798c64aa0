from __future__ import annotations

import pytest

from edge_runtime.bundles.delivery_files import DeliveryFile
from edge_runtime.domain.delivery import Delivery, Fate, Outcome, Step, Via
from edge_runtime.domain.status import LineReason
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.update_probe import OLD_NS, SILENT_NS, UpdateProbe

EVIL = Fate("evil.bundle", Outcome.REFUSED, what="it is not signed", action="Do not use it.")
GOOD = Fate("a.bundle", Outcome.TAKEN, "part 1.0 (release 2)", "part", "ab" * 32)


class Rig:
    """A line that hears of deliveries."""

    def __init__(self, folder) -> None:
        self.clock = SimulatedClock()
        self.told = []
        self.files = {via: DeliveryFile(folder, via) for via in Via}
        self.probe = UpdateProbe([DeliveryFile(folder, via) for via in Via], self.told.append, self.clock)

    def look(self) -> dict[LineReason, str]:
        """What holds now."""
        return dict(self.probe(self.clock.monotonic_ns()))

    def end(self, *fates: Fate, via: Via = Via.STICK, detail: str = "", action: str = "") -> dict[LineReason, str]:
        """A delivery ends, and the line looks."""
        self.clock.advance(1_000_000)
        now_ns = self.clock.wall_ns()
        self.files[via].tell(Delivery(via, now_ns, Step.ENDED, fates, detail, action, ended_ns=now_ns))
        return self.look()

    def kinds(self) -> list[str]:
        """The events."""
        return [event.kind for event in self.told]


@pytest.fixture
def rig(tmp_path) -> Rig:
    """Nothing has come yet."""
    return Rig(tmp_path)


def test_silence_is_no_reason(rig) -> None:
    """Nothing came, nothing is said."""
    assert rig.look() == {}
    assert rig.told == []


@pytest.mark.parametrize(
    ("step", "via", "is_told"),
    [
        (Step.LOOKING, Via.STICK, True),
        (Step.INSTALLING, Via.STICK, True),
        (Step.LOOKING, Via.NETWORK, False),
        (Step.DOWNLOADING, Via.NETWORK, True),
        (Step.WAITING, Via.NETWORK, False),
    ],
)
def test_work_in_progress_is_told(rig, step, via, is_told) -> None:
    """Somebody stands there with a stick; a mere look over the network every hour is nobody's business."""
    rig.files[via].tell(Delivery(via, rig.clock.wall_ns(), step, detail="a.bundle"))
    assert (LineReason.UPDATE_RUNNING in rig.look()) is is_told
    assert (LineReason.UPDATE_RUNNING in rig.look()) is is_told
    assert rig.told == []


def test_an_import_that_was_killed_does_not_run_for_ever(rig) -> None:
    """After a quarter of an hour without a word."""
    rig.files[Via.STICK].tell(Delivery(Via.STICK, rig.clock.wall_ns(), Step.INSTALLING))
    assert rig.look()
    rig.clock.advance(SILENT_NS)
    assert rig.look() == {}


def test_a_result_is_a_reason_and_an_event(rig) -> None:
    """Taken and refused side by side, with all that a dashboard needs."""
    found = rig.end(EVIL, GOOD)
    assert found[LineReason.UPDATE_REFUSED] == "evil.bundle: it is not signed"
    assert found[LineReason.UPDATE_TAKEN] == "part 1.0 (release 2)"
    assert rig.kinds() == ["update_refused", "update_taken"]
    assert rig.told[0].severity == "warning"
    assert "Do not use it." in rig.told[0].message
    assert rig.told[1].attributes == {
        "via": "stick",
        "offered": "a.bundle",
        "outcome": "taken",
        "release": "part 1.0 (release 2)",
        "product": "part",
        "digest": "ab" * 32,
    }
    assert rig.look() == {}  # the rule of the reason holds it, not the probe


def test_the_same_trouble_at_every_check_is_one_event(rig) -> None:
    """A repository that is away all weekend does not fill the ledger; a stick that is inserted again is told again."""
    for _ in range(5):
        assert LineReason.UPDATE_REFUSED in rig.end(EVIL, via=Via.NETWORK)
    assert rig.kinds() == ["update_refused"]
    rig.end(via=Via.NETWORK)
    rig.end(EVIL, via=Via.NETWORK)
    assert len(rig.told) == 2
    for _ in range(2):
        rig.end(EVIL)
    assert len(rig.told) == 4


def test_an_empty_stick_is_answered_and_a_bad_one_is_a_reason(rig) -> None:
    """No folder: an event and nothing more. Unreadable: somebody has to act."""
    assert rig.end(detail="the stick has no folder edge-updates") == {}
    assert LineReason.UPDATE_REFUSED in rig.end(detail="the stick cannot be read", action="Format it.")
    assert rig.kinds() == ["update_nothing", "update_nothing"]


def test_what_ended_long_ago_is_history(rig, tmp_path) -> None:
    """A daemon that starts in the morning does not report yesterday's stick."""
    rig.end(EVIL)
    later = Rig(tmp_path)
    later.clock.advance(OLD_NS + 1_000_000_000)
    assert later.look() == {}
    assert later.told == []
