"""The tables of the ledger's database.

A record is stored once, as the message that is published: what the hash covers is what there is. For whoever asks in
SQL, `inspections` and `events` show the messages as columns. A commit of one record touches one or two pages.
"""

from __future__ import annotations

SCHEMA_VERSION = 2

RECORDS = """
-- Only ever appended to; the oldest go by pruning.
CREATE TABLE records (
    sequence INTEGER PRIMARY KEY,
    channel TEXT NOT NULL,
    payload BLOB NOT NULL,
    hash BLOB NOT NULL,
    newest_part INTEGER NOT NULL
)
"""
FILES = """
-- Identities outlive their records (see prune): a file that stays in its folder stays inspected.
CREATE TABLE files (
    path TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    digest TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (path, size_bytes, mtime_ns, digest)
) WITHOUT ROWID;
CREATE INDEX files_sequence ON files (sequence)
"""
REFUSED = """
-- Undelivered records that a broker which takes others refuses; `delivery` counts them as done, so that nothing waits
-- for them. A copy, since records are pruned.
CREATE TABLE IF NOT EXISTS refused (
    sequence INTEGER PRIMARY KEY,
    channel TEXT NOT NULL,
    payload BLOB NOT NULL,
    hash BLOB NOT NULL
)
"""
META = "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
CHAIN = """
-- One row: the last record before the oldest that is kept. Its hash is empty where there was no chain yet.
CREATE TABLE chain_base (sequence INTEGER NOT NULL, hash BLOB NOT NULL);
-- One row: everything up to here is delivered.
CREATE TABLE delivery (upto INTEGER NOT NULL);
-- What is delivered beyond that, while something before it is not.
CREATE TABLE delivered (sequence INTEGER PRIMARY KEY);
CREATE VIEW inspections AS
SELECT
    sequence,
    json_extract(message, '$.time_ns') AS wall_ns,
    json_extract(message, '$.part_id') AS part_id,
    json_extract(message, '$.part_sequence') AS part_sequence,
    json_extract(message, '$.frame_sequence') AS frame_sequence,
    json_extract(message, '$.disposition') AS disposition,
    json_extract(message, '$.reason') AS reason,
    json_extract(message, '$.score') AS score,
    json_extract(message, '$.limits.review') AS review_limit,
    json_extract(message, '$.limits.reject') AS reject_limit,
    json_extract(message, '$.bundle.name') AS bundle_name,
    json_extract(message, '$.bundle.version') AS bundle_version,
    json_extract(message, '$.bundle.digest') AS bundle_digest,
    json_extract(message, '$.bundle.trust') AS bundle_trust,
    CAST(round(json_extract(message, '$.latency_ms') * 1000000) AS INTEGER) AS latency_ns,
    json_extract(message, '$.camera') AS camera,
    json_extract(message, '$.recipe') AS recipe,
    json_extract(message, '$.file.path') AS file_path,
    json_extract(message, '$.evidence') AS evidence,
    json_extract(message, '$.detail') AS detail
FROM (SELECT sequence, channel, CAST(payload AS TEXT) AS message FROM records)
WHERE channel = 'inspection';
CREATE VIEW events AS
SELECT
    sequence,
    json_extract(message, '$.time_ns') AS wall_ns,
    json_extract(message, '$.kind') AS kind,
    json_extract(message, '$.severity') AS severity,
    json_extract(message, '$.message') AS message,
    json_extract(message, '$.attributes') AS attributes
FROM (SELECT sequence, channel, CAST(payload AS TEXT) AS message FROM records)
WHERE channel = 'event'
"""


def statements(*scripts: str) -> list[str]:
    """The single statements of `scripts`: `executescript` would commit between them."""
    return [statement for script in scripts for statement in script.split(";\n")]
