"""Records as a Parquet file, with pyarrow (the extra `parquet`)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edge_runtime.domain.errors import LedgerError
from edge_runtime.ledger.export_tables import FRACTIONS, NUMBERS, RECORDS

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.ledger.export_tables import Cell, Table
    from edge_runtime.ledger.reader import StoredRecord

GROUP_ROWS = 10_000
"""Lines in one row group: so many are in memory at a time, some 10 MB."""


class ParquetWriter:
    """See `export.RecordWriter`. The columns of the CSV, typed; `time` is a UTC timestamp in microseconds."""

    def __init__(self, path: Path, table: Table = RECORDS) -> None:
        """Begin the file `path`.

        Raises:
            LedgerError: pyarrow is not installed.
            OSError: the file cannot be written.
        """
        try:  # an extra; by name, because it has no type information
            arrow = importlib.import_module("pyarrow")
            parquet = importlib.import_module("pyarrow.parquet")
        except ImportError as error:
            raise LedgerError(
                "Parquet needs pyarrow, which is not installed",
                'Install it with `pip install "edge-runtime[parquet]"`, or export --format csv or jsonl.',
            ) from error
        self._arrow: Any = arrow
        self._table = table
        self._schema = _schema(arrow, table)
        self._file: Any = parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[dict[str, Cell | bytes]] = []

    def write(self, record: StoredRecord) -> int:
        """See `RecordWriter`."""
        _, channel, payload, digest = record
        lines = list(self._table.lines(payload))
        for line in lines:
            time_ns = line["time_ns"]
            line["time"] = time_ns // 1_000 if isinstance(time_ns, int) else None
            self._rows.append({**line, "channel": channel, "hash": digest})
        if len(self._rows) >= GROUP_ROWS:
            self._flush()
        return len(lines)

    def close(self) -> None:
        """See `RecordWriter`; the file is complete."""
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        if self._rows:
            self._file.write_table(self._arrow.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []


def _schema(arrow: Any, table: Table) -> Any:
    def kind(column: str) -> Any:
        if column == "time":
            return arrow.timestamp("us", tz="UTC")
        if column in NUMBERS:
            return arrow.int64()
        return arrow.float64() if column in FRACTIONS else arrow.string()

    fields = [arrow.field(column, kind(column)) for column in table.columns]
    return arrow.schema([*fields, arrow.field("channel", arrow.string()), arrow.field("hash", arrow.binary())])
