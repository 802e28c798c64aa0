"""`edge-runtime ledger`: is the record what was committed, and how do people and programs get at it?"""

from __future__ import annotations

import json
import sys
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_runtime.domain.errors import LedgerError
from edge_runtime.ledger.chain import HASH_BYTES
from edge_runtime.ledger.port import Head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from edge_runtime.ledger.export import RecordWriter
    from edge_runtime.ledger.verify import Verification

BROKEN_CHAIN = 3
"""Exit code when a record is not what was committed; 1 means that the ledger could not be read."""
PROGRESS_EVERY = 512

ledger_app = typer.Typer(
    name="ledger",
    help="The durable record: verify its hash chain, export it, measure what it costs the disk.",
    no_args_is_help=True,
)

Place = Annotated[Path, typer.Argument(help="The line's configuration (TOML), its state_dir, or the ledger's file.")]


class Format(StrEnum):
    """What an export is written as."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


@ledger_app.command("verify")
def verify_command(
    place: Place,
    anchor: Annotated[
        str | None,
        typer.Option(
            help="SEQUENCE:HASH that was kept outside the device: from a status message or an earlier verify."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Check every record against the hash chain; exit 3 and name the first broken one if it does not hold.

    The daemon may run: nothing is locked, nothing is written.
    """
    from edge_runtime.ledger.reader import LedgerReader  # noqa: PLC0415
    from edge_runtime.ledger.verify import verify  # noqa: PLC0415

    expected = None if anchor is None else _anchor(anchor)
    with closing(LedgerReader(ledger_file(place))) as reader, _progress("verifying", shown=not as_json) as progress:
        found = verify(reader, expected, progress)
    if as_json:
        typer.echo(json.dumps({"ok": found.is_sound, **_plain(found)}, indent=2))
    else:
        _print(found)
    if not found.is_sound:
        raise typer.Exit(BROKEN_CHAIN)


@ledger_app.command("export")
def export_command(
    place: Place,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; without it, standard output.")] = None,
    form: Annotated[
        Format, typer.Option("--format", help="parquet needs the extra `parquet`, and --out.")
    ] = Format.JSONL,
    first: Annotated[int, typer.Option("--from", min=1, help="First record, by its sequence.")] = 1,
    last: Annotated[int | None, typer.Option("--to", min=1, help="Last record, by its sequence.")] = None,
    since: Annotated[str | None, typer.Option(help="Not before this time (UTC): 2026-01-31T06:00.")] = None,
    until: Annotated[str | None, typer.Option(help="Not after this time.")] = None,
    looks: Annotated[
        bool,
        typer.Option("--looks", help="Csv and parquet: a line for each look of combined models, not for each record."),
    ] = False,
) -> None:
    """Write the records of a range, oldest first. The daemon may run. Nothing is checked: see `verify`."""
    from edge_runtime.ledger.export import Range, export  # noqa: PLC0415
    from edge_runtime.ledger.reader import LedgerReader  # noqa: PLC0415

    wanted = Range(first, 2**63 - 1 if last is None else last, _time_ns(since), _time_ns(until))
    with (
        closing(LedgerReader(ledger_file(place))) as reader,
        _writer(form, out, looks=looks) as writer,
        _progress("exporting", shown=out is not None) as progress,
    ):
        written = export(reader, wanted, writer, progress)
    typer.echo(f"{written} {'looks' if looks else 'records'}{'' if out is None else f' in {out}'}", err=True)


@ledger_app.command("wear")
def wear_command(
    folder: Annotated[
        Path, typer.Argument(help="A folder on the disk or memory card in question, e.g. the state_dir.")
    ],
    records: Annotated[int, typer.Option(min=100, max=100_000, help="How many are written.")] = 1_000,
    per_commit: Annotated[
        list[int] | None,
        typer.Option("--per-commit", min=1, max=1_000, help="Records that share a commit; may be given several times."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Measure what a record costs this disk: bytes written, syncs, time. A temporary ledger is written and deleted.

    Records share a commit when they come within ledger.group_commit_ms.
    """
    from edge_runtime.app.wear import measure_wear  # noqa: PLC0415

    found = [measure_wear(folder, records, count) for count in per_commit or (1, 10)]
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=2))
        return
    for one in found:
        written = "unknown" if one.written_bytes is None else f"{one.written_bytes:.0f} bytes written"
        cost = f"{written} and {one.syncs:.2f} syncs per record, {one.stored_bytes:.0f} bytes stored"
        took = f"a commit takes {one.commit_p50_ms:.2f} ms (p99 {one.commit_p99_ms:.2f})"
        typer.echo(f"{one.per_commit} per commit: {cost}; {took}, {one.records_per_s:.0f} records/s")


def ledger_file(place: Path) -> Path:
    """The ledger that `place` means.

    Raises:
        ConfigError: `place` is a configuration that cannot be used.
    """
    if place.suffix == ".toml":
        from edge_runtime.config.load import load_config  # noqa: PLC0415

        place = load_config(place).device.state_dir
    return place / "ledger.sqlite" if place.is_dir() else place


def _anchor(text: str) -> Head:
    sequence, _, digest = text.partition(":")
    try:
        anchor = Head(int(sequence), bytes.fromhex(digest))
    except ValueError:
        anchor = Head(0, b"")
    if anchor.sequence < 0 or len(anchor.hash) != HASH_BYTES:
        raise typer.BadParameter("expected SEQUENCE:HASH, a number and 64 hexadecimal digits", param_hint="--anchor")
    return anchor


def _time_ns(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time like 2026-01-31T06:00", param_hint="--since/--until") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1_000


@contextmanager
def _writer(form: Format, out: Path | None, *, looks: bool) -> Iterator[RecordWriter]:
    """Writes beside `out` and puts it in place when all is written: half an export never looks like a whole one."""
    from edge_runtime.ledger.export import CsvWriter, JsonLinesWriter  # noqa: PLC0415
    from edge_runtime.ledger.export_tables import LOOKS, RECORDS  # noqa: PLC0415

    table = LOOKS if looks else RECORDS

    def text_writer(file: TextIO) -> RecordWriter:
        return CsvWriter(file, table) if form is Format.CSV else JsonLinesWriter(file)

    if looks and form is Format.JSONL:
        raise typer.BadParameter(
            "each JSON line holds all looks of its part: choose --format csv or parquet", param_hint="--looks"
        )
    if out is None:
        if form is Format.PARQUET:
            raise typer.BadParameter("parquet cannot be written to standard output", param_hint="--out")
        yield text_writer(sys.stdout)
        return
    draft = out.with_name(out.name + ".part")
    try:
        if form is Format.PARQUET:
            from edge_runtime.ledger.parquet import ParquetWriter  # noqa: PLC0415  (needs an extra)

            yield ParquetWriter(draft, table)
        else:
            with draft.open("w", encoding="utf-8", newline="") as file:
                yield text_writer(file)
        draft.replace(out)
    except OSError as error:
        raise LedgerError(f"{out} cannot be written: {error}", "Name another file with --out, or make room.") from error
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _progress(title: str, *, shown: bool) -> Iterator[Callable[[int, int], None] | None]:
    if not shown or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415  (only for people)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def report(done: int, total: int) -> None:
            if done % PROGRESS_EVERY == 0 or done == total:
                bar.update(task, completed=done, total=total)

        yield report


def _plain(found: Verification) -> dict[str, object]:
    return {**asdict(found), "head": {"sequence": found.head.sequence, "hash": found.head.hash.hex()}}


def _print(found: Verification) -> None:
    said = f"{found.records} records, {found.first} to {found.head.sequence}" if found.records else "no records"
    if found.unchained:
        said += f"; the first {found.unchained} are from before there was a chain: nothing is proved about them"
    typer.echo(said)
    for finding in found.findings:
        typer.echo(f"record {finding.sequence} is {finding.kind}: {finding.detail}", err=True)
    if found.breaks > len(found.findings):
        typer.echo(f"… and {found.breaks - len(found.findings)} more", err=True)
    if found.is_sound:
        against = "and with the anchor" if found.anchored else "(no anchor from outside was compared)"
        typer.echo(f"the chain holds {against}; its head is {found.head.sequence}:{found.head.hash.hex()}")
    else:
        typer.echo(f"the chain is broken, first at record {found.findings[0].sequence}", err=True)
