from __future__ import annotations

import csv
import io
import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from ledger_records import DEVICE, event_record, verdict_record
from makers import BUNDLE, make_part, make_recipe
from typer.testing import CliRunner

from edge_runtime.broker.encoding import encoder
from edge_runtime.cli.ledger import ledger_app
from edge_runtime.decision.combine import combined_verdict, look_of
from edge_runtime.domain.combination import Combination, Rule, Terms
from edge_runtime.domain.inspection import Inspection
from edge_runtime.domain.verdict import Limits
from edge_runtime.ledger.database import SqliteLedger
from edge_runtime.ledger.export_tables import LOOKS, RECORDS

OTHER = replace(BUNDLE, name="exact", digest="f" * 64)
DOCS = Path(__file__).parents[3] / "docs" / "ledger.md"


def _record(number: int, *scores: float):
    """A part at which so many models of a cascade have looked."""
    said = zip((BUNDLE, OTHER), scores, (Limits(1.0, 2.0), Limits(10.0, 20.0)), strict=False)
    looks = [look_of(Inspection("p", score, None, bundle, 0, 3_000_000), limits) for bundle, score, limits in said]
    cascade = Combination(Rule.CASCADE, (Terms(), Terms()))
    return replace(
        verdict_record(number), verdict=combined_verdict(cascade, looks, None, make_part(), make_recipe(), 0)
    )


@pytest.fixture
def path(tmp_path) -> Path:
    """A ledger: one look, two looks, a line with one model, an event."""
    path = tmp_path / "ledger.sqlite"
    with closing(SqliteLedger(path, DEVICE, encoder(DEVICE))) as ledger:
        ledger.append([_record(1, 0.5), _record(2, 1.5, 25.0), verdict_record(3), event_record(4)])
    return path


def _exported(path: Path, *arguments: str) -> list[dict[str, str]]:
    result = CliRunner().invoke(ledger_app, ["export", str(path), "--format", "csv", *arguments])
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(io.StringIO(result.stdout)))


def test_a_record_has_its_looks_as_the_message_has_them(path) -> None:
    """Rule and looks; empty where one model decides, and for events."""
    one, two, single, event = _exported(path)
    assert (one["combined_rule"], two["combined_rule"]) == ("cascade", "cascade")
    assert [look["score"] for look in json.loads(one["combined_looks"])] == [0.5]
    assert [look["bundle"]["name"] for look in json.loads(two["combined_looks"])] == [BUNDLE.name, "exact"]
    assert {row[name] for row in (single, event) for name in ("combined_rule", "combined_looks")} == {""}


def test_with_looks_each_look_has_a_line_of_its_own(path) -> None:
    """Which model scored what by its own limits, and whose word it was; what has no looks is left out."""
    rows = _exported(path, "--looks")
    assert [(row["sequence"], row["look"], row["decided"]) for row in rows] == [
        ("1", "1", "1"),
        ("2", "1", "0"),
        ("2", "2", "1"),
    ]
    last = rows[-1]
    assert (last["bundle_name"], last["score"], last["reject_limit"]) == ("exact", "25.0", "20.0")
    assert (last["disposition"], last["part_disposition"], last["took_ms"]) == ("REJECT", "REJECT", "3.0")
    assert rows[1]["disposition"] == "REVIEW"
    assert list(last)[-2:] == ["channel", "hash"]


def test_looks_in_parquet_are_typed(path, tmp_path) -> None:
    """With the extra: scores are numbers, and the file has as many lines as there are looks."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra `parquet`")
    out = tmp_path / "looks.parquet"
    arguments = ["export", str(path), "--format", "parquet", "--looks", "--out", str(out)]
    result = CliRunner().invoke(ledger_app, arguments)
    assert (result.exit_code, "3 looks in " in result.output) == (0, True)
    table = parquet.read_table(out).to_pydict()
    assert (table["score"], table["look"], table["decided"]) == ([0.5, 1.5, 25.0], [1, 1, 2], [1, 0, 1])


def test_json_lines_need_no_other_form(path) -> None:
    """They hold all looks as they are: the wrong command line says so."""
    result = CliRunner().invoke(ledger_app, ["export", str(path), "--looks"])
    assert (result.exit_code, "choose --format csv or" in result.output) == (2, True)


def test_every_column_is_documented() -> None:
    """What a quality engineer reads by name stands in the manual."""
    manual = DOCS.read_text("utf-8")
    assert [name for table in (RECORDS, LOOKS) for name in table.columns if f"`{name}`" not in manual] == []
