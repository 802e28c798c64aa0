"""The MQTT interface as documents: a JSON Schema per message and one AsyncAPI 3 document, made from the models.

python -m edge_runtime.broker.schemas --out docs/mqtt
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import models_json_schema

from edge_runtime import __version__
from edge_runtime.broker.cloudevents import TYPE_PREFIX
from edge_runtime.broker.messages import (
    EventMessage,
    InspectionMessage,
    RolloutMessage,
    StatusMessage,
)
from edge_runtime.broker.requests import CheckUpdatesRequest, ProductRequest, ReplayRequest

if TYPE_CHECKING:
    from pydantic import BaseModel

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Document = dict[str, Any]

MODELS: dict[str, type[BaseModel]] = {
    "inspection": InspectionMessage,
    "status": StatusMessage,
    "event": EventMessage,
    "rollout": RolloutMessage,
}
"""Last level of the topic → the message on it."""

REQUESTS: dict[str, type[BaseModel]] = {
    "replay": ReplayRequest,
    "check_updates": CheckUpdatesRequest,
    "product": ProductRequest,
}
"""Last level of the topic → what may be sent to the device there, if `mqtt.commands` names it."""
_ALL = {**MODELS, **REQUESTS}


def documents() -> dict[str, str]:
    """File name → content, everything that belongs into `docs/mqtt`."""
    made = {f"{name}.schema.json": json_schema(name) for name in _ALL}
    return {name: _text(document) for name, document in {**made, "asyncapi.json": asyncapi()}.items()}


def json_schema(name: str) -> Document:
    """The JSON Schema (2020-12) of one message. Open to new fields: subscribers must ignore what they do not know."""
    schema = _ALL[name].model_json_schema(mode="validation" if name in REQUESTS else "serialization")
    return {"$schema": DIALECT, **_opened(schema)}


def asyncapi() -> Document:
    """The AsyncAPI 3.0.0 document: who sends what on which topic."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "edge_runtime",
            "version": __version__,
            "description": "What an inspection line says over MQTT. Inspections, events and rollouts are delivered "
            "at least once: drop duplicates by (device, sequence).",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "plant": {
                "host": "broker.example:1883",
                "protocol": "mqtt",
                "protocolVersion": "5.0",
                "description": "The plant's broker; 3.1.1 and TLS (mqtts) by configuration.",
            }
        },
        "channels": {name: _channel(name) for name in _ALL},
        "operations": {
            **{f"send_{name}": _operation(name) for name in MODELS},
            **{f"receive_{name}": _operation(name, "receive") for name in REQUESTS},
        },
        "components": {
            "messages": {name: _message(name) for name in _ALL},
            "schemas": _schemas(),
            "messageTraits": {"cloudEvents": _cloud_events_trait()},
            "parameters": {
                "root": {"description": "mqtt.topic_root of the configuration.", "default": "edge"},
                "device": {"description": "device.name of the configuration."},
            },
        },
    }


def main(arguments: list[str] | None = None) -> None:
    """Write the documents."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="folder that receives the documents")
    out: Path = parser.parse_args(arguments).out
    out.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (out / name).write_text(text, "utf-8")


def _channel(name: str) -> Document:
    return {
        "address": f"{{root}}/{{device}}/{name}",
        "description": _summary(name),
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "parameters": {key: {"$ref": f"#/components/parameters/{key}"} for key in ("root", "device")},
    }


def _operation(name: str, action: str = "send") -> Document:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": _summary(name),
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
        "bindings": {"mqtt": {"qos": 1, "retain": name == "status", "bindingVersion": "0.2.0"}},
    }


def _schemas() -> Document:
    _, schema = models_json_schema(
        [(model, "validation" if name in REQUESTS else "serialization") for name, model in _ALL.items()],
        ref_template="#/components/schemas/{model}",
    )
    definitions: Document = _opened(schema["$defs"])
    return definitions


def _message(name: str) -> Document:
    return {
        "name": f"{TYPE_PREFIX}.{name}",
        "title": _ALL[name].__name__,
        "summary": _summary(name),
        "contentType": "application/json",
        **({} if name in REQUESTS else {"traits": [{"$ref": "#/components/messageTraits/cloudEvents"}]}),
        "payload": {"$ref": f"#/components/schemas/{_ALL[name].__name__}"},
    }


def _cloud_events_trait() -> Document:
    names = {
        "specversion": "Always 1.0.",
        "id": "<device>/<sequence>, unique within the source.",
        "source": "/<root>/<device>",
        "type": f"{TYPE_PREFIX}.<channel>.v1",
        "time": "As in the payload.",
        "recordhash": "All but the status: the record's place in the hash chain of the ledger (docs/ledger.md).",
        "replay": "`true` on a record that was asked for again; else absent.",
    }
    return {
        "description": "With MQTT 5 the CloudEvents 1.0 attributes travel as user properties.",
        "headers": {
            "type": "object",
            "properties": {name: {"type": "string", "description": text} for name, text in names.items()},
        },
    }


def _summary(name: str) -> str:
    return (_ALL[name].__doc__ or "").splitlines()[0]


def _opened(node: Any) -> Any:
    """Without `additionalProperties: false`: our models refuse unknown fields, a subscriber must not."""
    if isinstance(node, dict):
        return {
            key: _opened(value) for key, value in node.items() if not (key == "additionalProperties" and value is False)
        }
    return [_opened(item) for item in node] if isinstance(node, list) else node


def _text(document: Document) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    main()
