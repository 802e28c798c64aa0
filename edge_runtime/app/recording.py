"""The stages beside the deadline path: they commit records, publish them, and keep images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.app.evidence import evidence_renderer
from edge_runtime.bundles.delivery_files import FOLDER as DELIVERY_FOLDER
from edge_runtime.bundles.delivery_files import CheckRequest
from edge_runtime.domain.records import Channel
from edge_runtime.ledger.evidence import EvidenceStore
from edge_runtime.ledger.retention import Quota
from edge_runtime.services.check_request import CHECK_UPDATES, CheckUpdates
from edge_runtime.services.evidence import EvidenceStage
from edge_runtime.services.product_request import PRODUCT, ProductCommand
from edge_runtime.services.publish import REPLAY, PublishStage
from edge_runtime.services.record import RecordStage

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.app.devices import Devices
    from edge_runtime.broker.port import Request
    from edge_runtime.config.line import LedgerSettings, LineConfig
    from edge_runtime.domain.records import OutboxRow
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.events import Events
    from edge_runtime.services.flow import EvidenceItem, RecordItem
    from edge_runtime.services.model_swap import Models
    from edge_runtime.services.product_switch import ProductSwitch
    from edge_runtime.services.queues import BoundedQueue

MEGABYTE = 1_000_000
DAY_NS = 86_400_000_000_000


def record_stage(keep: LedgerSettings, devices: Devices, queue: BoundedQueue[RecordItem], clock: Clock) -> RecordStage:
    """The stage that commits what comes through `queue`, within the quota of the ledger."""
    age_ns = None if keep.keep_days is None else round(keep.keep_days * DAY_NS)
    return RecordStage(
        devices.ledger,
        devices.camera,
        queue,
        clock,
        group_commit_s=keep.group_commit_ms / 1e3,
        quota=Quota(keep.keep_rows, keep.quota_mb * MEGABYTE, age_ns),
    )


def publish_stage(
    config: LineConfig, devices: Devices, events: Events, clock: Clock, switch: ProductSwitch | None = None
) -> PublishStage | None:
    """The stage that sends records to the broker and carries out the commands that are allowed; None without one."""
    if devices.broker is None:
        return None
    allowed, replayer = config.mqtt.commands, None
    if REPLAY in allowed:
        from edge_runtime.services.replay import Replayer  # noqa: PLC0415  (off unless it is allowed)

        replayer = Replayer(devices.ledger, config.mqtt.replay_per_s, events.record, clock)
    commands: dict[str, Callable[[Request], None]] = {}
    if CHECK_UPDATES in allowed:
        request = CheckRequest(config.device.state_dir / DELIVERY_FOLDER)
        commands[CHECK_UPDATES] = CheckUpdates(request.ask, events.record, clock)
    if PRODUCT in allowed and switch is not None:
        commands[PRODUCT] = ProductCommand(switch, events.record, clock)

    def told(row: OutboxRow, reason: str) -> None:
        if row.channel is Channel.INSPECTION:  # where events are refused, an event about each would never end
            text = f"the broker takes others and refuses record {row.sequence} ({reason}): offered again every minute"
            events("record_refused", "error", text)

    return PublishStage(devices.ledger, devices.broker, clock, replayer, commands, told)


def evidence_stage(
    config: LineConfig, models: Models, queue: BoundedQueue[EvidenceItem] | None, clock: Clock
) -> EvidenceStage | None:
    """The stage that keeps images; None where none are wanted (no queue)."""
    if queue is None:
        return None
    keep = config.evidence
    store = EvidenceStore(config.device.state_dir / "evidence", keep.quota_mb * MEGABYTE, keep.keep_free_mb * MEGABYTE)
    return EvidenceStage(store, evidence_renderer(keep, models.manifest), queue, clock)
