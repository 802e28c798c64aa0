from __future__ import annotations

import json
from http import HTTPStatus

import pytest
from typer.testing import CliRunner

from edge_runtime.cli.main import app
from edge_runtime.ops.server import Answer, LocalServer

FOUND = {
    "ready": True,
    "state": "ready",
    "reasons": [],
    "bundle": "fast 1",
    "parts": 30,
    "backlog": 0,
    "combination": None,
}


def model(name: str, looked: int, decided: int) -> dict:
    """As `/health` has it."""
    return {"bundle": {"name": name, "version": "1"}, "looked": looked, "decided": decided}


TOGETHER = {"rule": "cascade", "models": [model("fast", 30, 27), model("exact", 3, 3)]}
SAID = "  cascade: fast 1 looked at 30 parts and decided 27; exact 1 looked at 3 parts and decided 3"


@pytest.mark.parametrize(("combination", "lines"), [(None, []), (TOGETHER, [SAID])])
def test_how_often_each_of_several_models_looked_is_said(combination, lines) -> None:
    """A technician sees whether the second look is as rare as it should be; with one model nothing is said."""
    body = json.dumps({**FOUND, "combination": combination}).encode()
    server = LocalServer(0, {"/health": lambda _: Answer(HTTPStatus.OK, "application/json", body)})
    try:
        result = CliRunner().invoke(app, ["health", "--port", str(server.port)])
    finally:
        server.close()
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == ["READY  30 parts, bundle fast 1, 0 unsent", *lines]
