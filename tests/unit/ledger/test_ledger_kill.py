from __future__ import annotations

import random
import subprocess
import sys
from contextlib import closing

import pytest
from ledger_records import DEVICE

from edge_runtime.broker.encoding import encoder
from edge_runtime.ledger.database import SqliteLedger

KILLS = 20
CHILD = f"""
import sys
from pathlib import Path
from edge_runtime.domain.records import EventRecord
from edge_runtime.ledger.database import SqliteLedger

ledger = SqliteLedger(Path(sys.argv[1]), "{DEVICE}", lambda entry, sequence: b"payload %d" % sequence)
number = 0
while True:
    number += 1
    print(*ledger.append([EventRecord("killed", "info", "x" * 500, number)] * (number % 4 + 1)), flush=True)
    if number % 7 == 0:
        ledger.mark_sent([row.sequence for row in ledger.unsent(0, 5)])
"""


@pytest.mark.timeout(60)
def test_what_append_returned_survives_sigkill(tmp_path) -> None:
    """Twenty kills at random instants: every sequence reported as committed is there, and none is given twice."""
    path = tmp_path / "ledger.sqlite"
    draw = random.Random(7)  # noqa: S311  (repeatable)
    given: set[int] = set()
    for _ in range(KILLS):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(draw.randrange(1, 120))]
        child.kill()
        lines += child.stdout.read().splitlines(keepends=True)
        child.stdout.close()
        child.wait()
        # The kill may have cut the last line short.
        reported = {int(word) for line in lines if line.endswith("\n") for word in line.split()}
        assert reported
        assert not reported & given
        given |= reported
        with closing(SqliteLedger(path, DEVICE, encoder(DEVICE))) as ledger:
            there = {row.sequence: row.payload for row in ledger.recent(1_000_000)}
        assert given <= there.keys()
        assert all(payload == b"payload %d" % sequence for sequence, payload in there.items())
        given = set(there)  # committed, though the kill came before the report
