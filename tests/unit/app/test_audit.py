from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_records import DEVICE, WALL_NS
from makers import BUNDLE

from edge_runtime.app.audit import attribution, opening_records
from edge_runtime.broker.encoding import encoder
from edge_runtime.config.flat import HIDDEN, flat
from edge_runtime.config.line import LedgerSettings, LineConfig
from edge_runtime.config.load import load_config
from edge_runtime.domain.audit import Attribution, configuration_changed, configuration_digest, operator_override
from edge_runtime.domain.verdict import Limits
from edge_runtime.ledger import create
from edge_runtime.ops.clock import SimulatedClock

BASE = """
[device]
name = "line-1"
state_dir = "state"
[bundle]
path = "model.bundle"
[camera]
kind = "sim"
{rest}
"""


@pytest.fixture
def start(tmp_path):
    """Start a line with this end of the configuration, on one ledger; gives the records that the start made."""

    def run(rest: str = "", *, digest: str = "a", limits: Limits | None = None, revision: int = 0, notes=None) -> list:
        file = tmp_path / "line.toml"
        file.write_text(BASE.format(rest=rest))
        config = load_config(file)
        bundle = SimpleNamespace(identity=replace(BUNDLE, digest=digest * 64), revision=revision, notes=notes or {})
        inspector = SimpleNamespace(bundle=bundle, engine_description="onnxruntime")
        with closing(
            create(LedgerSettings(reserve_mb=0), tmp_path / "ledger.sqlite", DEVICE, encoder(DEVICE))
        ) as ledger:
            devices = SimpleNamespace(ledger=ledger, inspector=inspector, release=None, members=())
            found = opening_records(config, devices, limits or Limits(1.0, 2.0), SimulatedClock())
            ledger.append(found)
            return found

    return run


def _kinds(found) -> list[str]:
    return [event.kind for event in found]


def test_the_first_start_records_everything(start) -> None:
    """The ledger, the whole configuration, the model and the limits."""
    found = start('[change]\nby = "A. Meier"\nwhy = "commissioning"')
    assert _kinds(found) == ["ledger_begun", "configuration_changed", "model_activated", "limits_changed"]
    attributes = found[1].attributes
    assert (attributes["who"], attributes["why"]) == ("A. Meier", "commissioning")
    assert attributes["camera.kind"] == "unset → sim"
    assert attributes["recipe.decision_deadline_ms"] == "unset → 500.0"


def test_a_start_without_a_change_records_nothing(start) -> None:
    """Restarts do not fill the ledger."""
    start()
    assert start() == []


def test_a_changed_key_is_recorded_with_its_values_and_digests(start) -> None:
    """Old → new, and both digests: the earlier record's new one is this one's old one."""
    first = start()[1]
    (event,) = start("[recipe]\ndecision_deadline_ms = 300.0\n[change]\nby = 'B. Koch'\nwhy = 'CR-18'")
    assert event.attributes["recipe.decision_deadline_ms"] == "500.0 → 300.0"
    assert event.attributes["changed_keys"] == 1
    assert event.attributes["old_digest"] == first.attributes["new_digest"] != event.attributes["new_digest"]
    assert (event.attributes["who"], event.attributes["why"]) == ("B. Koch", "CR-18")


def test_nobody_is_blamed_for_what_another_one_did(start) -> None:
    """A change without a new signature is recorded as not signed, and names whose signature still stands there."""
    signed = "[change]\nby = 'B. Koch'\nwhy = 'CR-18'"
    start(signed)
    (event,) = start(f"[recipe]\ndecision_deadline_ms = 300.0\n{signed}")
    assert event.attributes["who"] == "not stated ([change] is that of an earlier change, by B. Koch)"
    assert event.attributes["why"] == "not stated"


def test_without_a_signature_the_owner_of_the_file_is_recorded(tmp_path) -> None:
    """Better than nothing, and said as what it is."""
    file = tmp_path / "line.toml"
    file.write_text(BASE.format(rest=""))
    assert attribution(load_config(file)) == Attribution(f"owner of the file: {file.owner()}", "not stated")


def test_another_bundle_is_an_activation(start) -> None:
    """With the digest of the one before; who put it there is not known unless the configuration says so."""
    start()
    (event,) = start(digest="b")
    assert event.kind == "model_activated"
    assert (event.attributes["previous_digest"], event.attributes["digest"]) == ("a" * 64, "b" * 64)
    assert event.attributes["who"] == "not stated"


def test_a_revision_of_the_limits_says_why(start) -> None:
    """`edge-convert relimit --reason` is carried in the bundle to the record of its activation and of its limits."""
    start()
    notes = {"revision_1": "limits changed: C. Roth, too many false rejects on Monday", "revision_2": "later"}
    model, limits = start(digest="b", limits=Limits(1.5, 2.5), revision=1, notes=notes)
    assert (model.kind, model.attributes["revision"]) == ("model_activated", 1)
    assert model.attributes["why"] == limits.attributes["why"] == notes["revision_1"]
    assert (limits.attributes["old_reject"], limits.attributes["new_reject"]) == (2.0, 2.5)


def test_an_override_is_recorded_with_who_and_why() -> None:
    """The record kind that overrides of every sort use."""
    event = operator_override("gate opened by hand", Attribution("D. Wolf", "jam"), WALL_NS, part_sequence=7)
    assert (event.kind, event.severity) == ("operator_override", "warning")
    assert event.attributes == {"part_sequence": 7, "who": "D. Wolf", "why": "jam"}


def test_no_secret_is_recorded() -> None:
    """User, password and query of an address are hidden; files and credentials with secrets appear by name."""
    config = LineConfig.model_validate(
        {
            "device": {"name": "line-1", "state_dir": "state"},
            "bundle": {"path": "model.bundle"},
            "camera": {"kind": "opencv", "source": "rtsp://admin:hunter2@10.0.0.5/live?token=s3cret"},
            "mqtt": {"user_name": "line-1", "password_file": "/etc/edge/password"},
        }
    )
    found = flat(config)
    assert found["camera.source"] == f"rtsp://{HIDDEN}@10.0.0.5/live?{HIDDEN}"
    assert found["mqtt.password_file"] == "/etc/edge/password"
    assert not [key for key, value in found.items() if "hunter2" in value or "s3cret" in value]
    assert not any(key.startswith("change") for key in found)


def test_every_shipped_configuration_can_be_recorded() -> None:
    """Flat, as text, and of a size that fits into a message."""
    for file in Path("configs").glob("*.toml"):
        found = flat(load_config(file))
        assert all(isinstance(value, str) for value in found.values())
        assert len(json.dumps(found)) < 20_000


@given(
    old=st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=6),
    new=st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=6),
)
def test_a_difference_is_recorded_and_only_a_difference(old, new) -> None:
    """No record for the same content in another order; else both digests, and every changed key."""
    note = configuration_changed(None, old, Attribution(), WALL_NS).notes["configuration"]
    event = configuration_changed(note, dict(reversed(new.items())), Attribution(), WALL_NS)
    if old == new:
        assert event is None
        return
    assert event.attributes["old_digest"] == configuration_digest(old)
    assert event.attributes["new_digest"] == configuration_digest(new)
    assert event.attributes["changed_keys"] == len({k for k in {*old, *new} if old.get(k) != new.get(k)})
