"""What is written down at the start besides verdicts: how the ledger was found, and what people have changed since."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edge_runtime.app.combine import combination_record
from edge_runtime.config.flat import flat
from edge_runtime.domain.audit import (
    COMBINATION_NOTE,
    CONFIGURATION_NOTE,
    LIMITS_NOTE,
    MODEL_NOTE,
    NOT_STATED,
    Attribution,
    configuration_changed,
    limits_changed,
    model_activated,
)
from edge_runtime.domain.records import EventRecord
from edge_runtime.services.activation_records import attribution_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.app.devices import Devices
    from edge_runtime.config.line import LineConfig
    from edge_runtime.domain.model_bundle import ModelBundle
    from edge_runtime.domain.verdict import Limits
    from edge_runtime.ledger.port import Ledger
    from edge_runtime.ops.clock import Clock

SIGNATURE_NOTE = "change"


def attribution(config: LineConfig) -> Attribution:
    """Who signed for the configuration."""
    return Attribution(config.change.by or NOT_STATED, config.change.why or NOT_STATED)


def opening_records(config: LineConfig, devices: Devices, limits: Limits, clock: Clock) -> list[EventRecord]:
    """The records of the start, in their order; those about changes only where something did change.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    wall_ns = clock.wall_ns()
    found = [*devices.ledger.opening.events(wall_ns), *_changes(config, devices, limits, wall_ns)]
    return [event for event in found if event is not None]


def _changes(config: LineConfig, devices: Devices, limits: Limits, wall_ns: int) -> Iterator[EventRecord | None]:
    ledger, inspector = devices.ledger, devices.inspector
    by = _signed(config, ledger)
    changed = configuration_changed(ledger.note(CONFIGURATION_NOTE), flat(config), by, wall_ns)
    if changed is not None:
        yield _with_signature(changed, config)
    model_by = _behind_model(inspector.bundle, by if changed is not None else Attribution())
    if devices.release is not None:
        model_by = attribution_of(devices.release)
    yield model_activated(
        ledger.note(MODEL_NOTE),
        inspector.bundle.identity,
        inspector.bundle.revision,
        inspector.engine_description,
        model_by,
        wall_ns,
    )
    yield combination_record(config, ledger.note(COMBINATION_NOTE), devices.members, by, wall_ns)
    limits_by = by if config.recipe.limits is not None else model_by
    yield limits_changed(ledger.note(LIMITS_NOTE), limits, limits_by, wall_ns)


def _signed(config: LineConfig, ledger: Ledger) -> Attribution:
    """Who signed, unless the signature is that of an earlier change: nobody is blamed for what another one did."""
    by, earlier = attribution(config), ledger.note(SIGNATURE_NOTE)
    if config.change.why is None or earlier != _signature(config):
        return by
    return Attribution(f"{NOT_STATED} ([change] is that of an earlier change, by {by.who})", NOT_STATED)


def _signature(config: LineConfig) -> str:
    return json.dumps([config.change.by, config.change.why])


def _with_signature(event: EventRecord, config: LineConfig) -> EventRecord:
    notes = {**event.notes, SIGNATURE_NOTE: _signature(config)}
    return EventRecord(event.kind, event.severity, event.message, event.wall_ns, event.attributes, notes)


def _behind_model(bundle: ModelBundle, by: Attribution) -> Attribution:
    """A new revision carries in its notes who wanted it and why (`edge-convert relimit --reason`)."""
    stated = bundle.notes.get(f"revision_{bundle.revision}")
    return by if stated is None else Attribution(by.who, stated)
