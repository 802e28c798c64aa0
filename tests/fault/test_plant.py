"""Short schedules of faults on the real daemon, Mosquitto and PLC as processes; the long ones are `run_plant.py`."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from line_process import DEMO_BUNDLE
from plant_run import PlantRun
from plant_schedule import PlantSchedule
from run_plant import impossible
from schedule import Fault

from edge_runtime.app.soak.belt import draw_pictures

LINE_S = 4.0


@pytest.fixture(scope="module")
def pictures():
    """Good and bad parts, and what the detector says of each."""
    return draw_pictures(DEMO_BUNDLE, 320, 240)


@pytest.mark.needs_mosquitto
@pytest.mark.parametrize(
    "faults",
    [
        (Fault("broker", "queue_lost", 0.5, 2.0), Fault("daemon", "killed", 2.0, 1.0)),
        (Fault("plc", "late_request", 0.5, 1.5), Fault("disk", "full", 1.0, 2.0), Fault("folder", "half", 3.0, 0.5)),
        (Fault("disk", "slow", 0.5, 2.0), Fault("plc", "killed", 1.5, 1.0), Fault("clock", "year_back", 2.0, 1.0)),
        (Fault("broker", "wrong_certificate", 0.5, 1.5), Fault("ledger", "corrupt", 2.5, 0.1)),
        (Fault("serial", "replugged", 1.0, 1.0), Fault("thread", "stopped", 2.5, 1.0)),
        (Fault("model", "damaged", 0.5, 1.0), Fault("daemon", "killed", 2.0, 1.0), Fault("disk", "full", 2.5, 1.0)),
    ],
    ids=[
        "killed, and the broker's queue is lost",
        "disk full, late requests",
        "slow syncs, PLC killed, clock set",
        "the broker's certificate is a stranger's, the ledger damaged",
        "the serial adapter comes back under another name, a thread stands still",
        "a release comes damaged, killed with it, disk full at the start",
    ],
)
def test_the_books_agree_whatever_happens_to_the_processes(faults, pictures, tmp_path, mosquitto) -> None:
    """Four seconds of line time: every trigger has its verdict and all arrive, no bad part passed, the chain holds."""
    possible = tuple(fault for fault in faults if fault.device not in impossible())
    with ExitStack() as stack:
        link = "serial" if any(fault.device == "serial" for fault in faults) else "tcp"
        found = PlantRun(PlantSchedule(1, LINE_S, 6.0, possible, link), pictures, tmp_path / "run", stack).run()
    assert found.findings == (), found.account
