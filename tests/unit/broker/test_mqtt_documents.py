from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from ledger_records import DEVICE, WALL_NS, event_record, file_identity, verdict_record
from rollout_parts import make_pairs, rollout_record

from edge_runtime.broker.encoding import encode, offline_status
from edge_runtime.broker.schemas import MODELS, asyncapi, documents, json_schema, main
from edge_runtime.domain.rollout import RolloutStage
from edge_runtime.domain.verdict import Disposition, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).resolve().parents[3] / "docs" / "mqtt"


def _validator(name: str) -> Draft202012Validator:
    schema = json_schema(name)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker())


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for item in node:
            yield from _references(item)


def _resolve(document: Any, reference: str) -> Any:
    assert reference.startswith("#/"), reference
    for step in reference[2:].split("/"):
        document = document[step]
    return document


def test_the_published_documents_are_the_generated_ones(tmp_path) -> None:
    """Whoever changes a message runs `python -m edge_runtime.broker.schemas --out docs/mqtt`."""
    main(["--out", str(tmp_path)])
    made = {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}
    published = {path.name: path.read_text("utf-8") for path in DOCS.glob("*.json")}
    assert made == documents() == published


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("inspection", encode(verdict_record(1, file=file_identity(1)), 1, DEVICE)),
        (
            "inspection",
            encode(
                verdict_record(1, score=None, disposition=Disposition.REJECT, reason=Reason.IMAGE_CORRUPT), 2, DEVICE
            ),
        ),
        ("event", encode(event_record(1, count=1, share=0.5, hard=True, name="x"), 3, DEVICE)),
        ("status", offline_status(DEVICE, "1.0", WALL_NS, "stopped")),
        ("rollout", encode(rollout_record(RolloutStage.SHADOW, make_pairs(90, only_candidate=2)), 4, DEVICE)),
        ("rollout", encode(rollout_record(RolloutStage.ROLLED_BACK, make_pairs(0)), 5, DEVICE)),
    ],
)
def test_real_messages_fit_their_schema(name, payload) -> None:
    """What the device sends is what the documents promise."""
    _validator(name).validate(json.loads(payload))


@pytest.mark.parametrize("name", list(MODELS))
def test_a_schema_refuses_what_is_not_its_message(name) -> None:
    """A missing device and a later schema version are not the same message."""
    payload = {
        "inspection": encode(verdict_record(1), 1, DEVICE),
        "event": encode(event_record(1), 1, DEVICE),
        "status": offline_status(DEVICE, "1.0", WALL_NS, ""),
        "rollout": encode(rollout_record(RolloutStage.CANARY, make_pairs(9)), 1, DEVICE),
    }[name]
    message = json.loads(payload)
    assert not _validator(name).is_valid(message | {"schema_version": 2})
    assert not _validator(name).is_valid({key: value for key, value in message.items() if key != "device"})


def test_a_subscriber_may_meet_new_fields() -> None:
    """Fields are added within a schema version: the schemas are open, on every level."""
    message = json.loads(encode(verdict_record(1), 1, DEVICE))
    _validator("inspection").validate(message | {"new": 1, "bundle": message["bundle"] | {"new": 1}})


def test_the_asyncapi_document_hangs_together() -> None:
    """AsyncAPI 3.0.0: required fields, an operation and a message per channel, and every reference resolves."""
    document = asyncapi()
    assert document["asyncapi"] == "3.0.0"
    assert document["info"]["title"]
    assert document["info"]["version"]
    for reference in _references(document):
        assert _resolve(document, reference), reference
    for name in MODELS:
        channel = document["channels"][name]
        assert channel["address"] == f"{{root}}/{{device}}/{name}"
        assert set(channel["parameters"]) == {"root", "device"}
        operation = document["operations"][f"send_{name}"]
        assert operation["action"] == "send"
        assert operation["channel"] == {"$ref": f"#/channels/{name}"}
        message = _resolve(document, _resolve(document, operation["messages"][0]["$ref"])["$ref"])
        assert _resolve(document, message["payload"]["$ref"])["required"]
    assert document["operations"]["send_status"]["bindings"]["mqtt"]["retain"] is True
