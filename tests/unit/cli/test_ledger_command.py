from __future__ import annotations

import csv
import io
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from ledger_records import DEVICE, WALL_NS, event_record, verdict_record
from typer.testing import CliRunner

from edge_runtime.broker.encoding import encode, encoder
from edge_runtime.cli.ledger import BROKEN_CHAIN, ledger_app
from edge_runtime.domain.errors import LedgerDamagedError, LedgerError
from edge_runtime.ledger.chain import record_hash
from edge_runtime.ledger.database import SqliteLedger

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def path(tmp_path) -> Path:
    """A closed ledger: nine verdicts and an event in the middle."""
    path = tmp_path / "ledger.sqlite"
    with closing(SqliteLedger(path, DEVICE, encoder(DEVICE))) as ledger:
        for number in range(1, 11):
            ledger.append([event_record(5, retries=3) if number == 5 else verdict_record(number)])
    return path


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(ledger_app, [str(argument) for argument in arguments])


def _alter(path: Path, sequence: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE records SET payload = CAST('{}' AS BLOB) WHERE sequence = ?", (sequence,))
        connection.commit()


def test_a_sound_ledger_exits_zero_and_tells_its_head(path) -> None:
    """What it prints is an anchor for the next time."""
    first = _run("verify", path)
    assert first.exit_code == 0
    anchor = first.stdout.rsplit(" ", 1)[1].strip()
    again = _run("verify", path.parent, "--anchor", anchor)
    assert (again.exit_code, "and with the anchor" in again.stdout) == (0, True)


def test_a_broken_ledger_exits_3_and_names_the_first_record(path) -> None:
    """For people and, with --json, for machines."""
    _alter(path, 7)
    _alter(path, 9)
    said = _run("verify", path)
    assert (said.exit_code, "first at record 7" in said.output) == (BROKEN_CHAIN, True)
    found = json.loads(_run("verify", path, "--json").stdout)
    assert found["ok"] is False
    assert [(one["sequence"], one["kind"]) for one in found["findings"]] == [(7, "altered"), (9, "altered")]


@pytest.mark.parametrize("anchor", ["10", "ten:00", "10:00ff", f"-1:{'00' * 32}"])
def test_an_anchor_that_is_none_is_a_wrong_command_line(path, anchor) -> None:
    """Not a broken chain: exit 2."""
    assert _run("verify", path, f"--anchor={anchor}").exit_code == 2


def test_no_ledger_is_an_error_of_its_own(tmp_path) -> None:
    """The place is named; `main` makes exit 1 of it."""
    assert isinstance(_run("verify", tmp_path).exception, LedgerError)


def test_json_lines_carry_the_messages_byte_for_byte(path) -> None:
    """What stands behind `"record":` is what was committed: another program can verify an export."""
    lines = _run("export", path).stdout.encode().splitlines()
    previous = None
    for number, line in enumerate(lines[:10], start=1):
        payload = line.partition(b'"record":')[2][:-1]
        about = json.loads(line)
        entry = event_record(5, retries=3) if number == 5 else verdict_record(number)
        assert payload == encode(entry, number, DEVICE)
        if previous is not None:
            assert record_hash(previous, number, about["channel"], payload).hex() == about["hash"]
        previous = bytes.fromhex(about["hash"])


def test_a_table_has_a_line_per_record(path, tmp_path) -> None:
    """Verdicts and events in their columns; text with quotes and line feeds comes back as it was."""
    out = tmp_path / "out.csv"
    assert _run("export", path, "--format", "csv", "--out", out).exit_code == 0
    rows = list(csv.DictReader(io.StringIO(out.read_text("utf-8"))))
    assert [row["sequence"] for row in rows] == [str(number) for number in range(1, 11)]
    assert (rows[0]["part_id"], rows[0]["review_limit"], rows[0]["event_kind"]) == ("part-1", "1.0", "")
    assert (rows[4]["part_id"], rows[4]["event_kind"], json.loads(rows[4]["event_attributes"])) == (
        "",
        "camera_lost",
        {"retries": 3},
    )


def test_parquet_has_typed_columns(path, tmp_path) -> None:
    """With the extra: numbers are numbers, times are times."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra `parquet`")
    out = tmp_path / "out.parquet"
    assert _run("export", path, "--format", "parquet", "--out", out).exit_code == 0
    table = parquet.read_table(out).to_pydict()
    assert table["sequence"] == list(range(1, 11))
    assert table["score"][:5] == [0.5, 0.5, 0.5, 0.5, None]
    assert table["time"][0] == datetime.fromtimestamp(WALL_NS // 1_000 / 1e6, UTC)
    assert len(table["hash"][0]) == 32


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--from", "8"], [8, 9, 10]),
        (["--to", "2"], [1, 2]),
        (["--from", "4", "--to", "5"], [4, 5]),
        (["--from", "50"], []),
        (["--since", "2023-11-14T22:13:20"], list(range(1, 11))),
        (["--since", "2023-11-15"], []),
        (["--until", "2023-11-14T23:13:20+01:00"], []),
        (["--until", "2023-11-14T22:13:21", "--from", "10"], [10]),
    ],
)
def test_a_range_by_number_and_by_time(path, arguments, expected) -> None:
    """Every bound is included; a time without a zone is UTC."""
    lines = _run("export", path, *arguments).stdout.splitlines()
    assert [json.loads(line)["sequence"] for line in lines if line.startswith("{")] == expected


def test_half_an_export_is_never_left_behind(path, tmp_path) -> None:
    """A record that is no message ends a table; the file of an earlier export stays as it was."""
    out = tmp_path / "out.csv"
    out.write_text("earlier")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE records SET payload = CAST('{' AS BLOB) WHERE sequence = 7")
        connection.commit()
    failed = _run("export", path, "--format", "csv", "--out", out)
    assert isinstance(failed.exception, LedgerDamagedError)
    assert "record 7" in failed.exception.what
    assert (out.read_text(), sorted(place.name for place in tmp_path.glob("out*"))) == ("earlier", ["out.csv"])


def test_parquet_needs_a_file(path) -> None:
    """Its end refers to its beginning: no pipe."""
    assert _run("export", path, "--format", "parquet").exit_code == 2


def test_a_time_that_is_none_is_a_wrong_command_line(path) -> None:
    """Exit 2, and nothing is written."""
    assert _run("export", path, "--since", "yesterday").exit_code == 2


def test_the_wear_of_a_disk_is_measured_on_that_disk(tmp_path) -> None:
    """Fewer syncs where records share a commit; nothing is left behind."""
    found = json.loads(
        _run("wear", tmp_path, "--records", "100", "--per-commit", "1", "--per-commit", "20", "--json").stdout
    )
    assert [one["per_commit"] for one in found] == [1, 20]
    assert found[0]["syncs"] > 4 * found[1]["syncs"]
    assert found[0]["stored_bytes"] > 300
    assert list(tmp_path.iterdir()) == []
