"""Wires one line: its stages around its devices, joined by queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.app.activation import activation_stage
from edge_runtime.app.audit import opening_records
from edge_runtime.app.beside import beside_of, rollout_service
from edge_runtime.app.combine import member_models
from edge_runtime.app.conditions import line_conditions
from edge_runtime.app.models import ModelMaker
from edge_runtime.app.numbering import start_numbering
from edge_runtime.app.products import file_products, product_switch
from edge_runtime.app.recording import evidence_stage, publish_stage, record_stage
from edge_runtime.app.side_by_side import line_inspector
from edge_runtime.app.stages import (
    Common,
    capture_stage,
    dispatch_stage,
    inspect_stage,
    make_queues,
    plc_link,
)
from edge_runtime.decision.part_tracker import PartTracker
from edge_runtime.services.condition import ConfigProbe
from edge_runtime.services.events import Events
from edge_runtime.services.flow import LoadShed, RecipeCell
from edge_runtime.services.line import Line, Stages
from edge_runtime.services.model_swap import Models
from edge_runtime.services.monitor import LineMonitor
from edge_runtime.services.vitals import Vitals

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.app.devices import Devices
    from edge_runtime.app.sharing import Shared
    from edge_runtime.config.line import LineConfig
    from edge_runtime.domain.frame import Frame
    from edge_runtime.domain.inspection import MapSource
    from edge_runtime.domain.verdict import Verdict
    from edge_runtime.ops.clock import Clock


def build_line(
    config: LineConfig,
    devices: Devices,
    clock: Clock,
    preview: Callable[[Frame, MapSource | None, Verdict], None] | None = None,
    progress: Callable[[], None] | None = None,
    shared: Shared | None = None,
) -> Line:
    """Wire the stages around the devices. Nothing runs yet.

    Args:
        preview: gets every inspected frame with its verdict, in the inspect stage's thread.
        progress: called by the inspect stage in every round while the whole deadline path is alive; feeds the
            watchdog.
        shared: what the line shares with others of this process; None: it is alone.
    """
    maker = ModelMaker(config, devices.plc.capabilities, clock, line_inspector if shared is None else shared.assemble)
    beside = beside_of(config)
    line = _common(config, devices, maker, clock)
    dispatch = dispatch_stage(line, shared)
    vitals = Vitals(dispatch, line.recipe, clock)
    link = plc_link(line, vitals)
    last = start_numbering(line, link, opening_records(config, devices, line.recipe.current.limits, clock))
    activation = activation_stage(line, maker, vitals)
    switch = product_switch(line, activation, link, vitals)
    stages = Stages(
        capture=capture_stage(line, PartTracker(last), link),
        inspect=inspect_stage(line, vitals, preview, progress, file_products(line, switch), beside, shared),
        dispatch=dispatch,
        record=record_stage(config.ledger, devices, line.queues.records, clock),
        plc=link,
        publish=publish_stage(config, devices, line.events, clock, switch),
        evidence=evidence_stage(config, line.models, line.queues.evidence, clock),
        activation=activation,
        rollout=rollout_service(line, maker, beside, vitals),
    )
    return _assembled(line, stages, vitals, "" if shared is None else shared.name)


def _common(config: LineConfig, devices: Devices, maker: ModelMaker, clock: Clock) -> Common:
    queues = make_queues(config)
    events = Events(queues.records, clock)
    model = maker.made(devices.inspector, devices.opener, config.bundle.product or "")
    recipe = RecipeCell(model.recipe, model.bundle.identity)
    return Common(
        config=config,
        devices=devices,
        recipe=recipe,
        models=Models(model, recipe, clock, events, member_models(devices.members, maker)),
        queues=queues,
        monitor=LineMonitor(),
        events=events,
        reload=ConfigProbe(),
        shed=LoadShed(),
        clock=clock,
    )


def _assembled(line: Common, stages: Stages, vitals: Vitals, label: str) -> Line:
    return Line(
        stages,
        line.devices.camera,
        line.devices.ledger,
        line.devices.broker,
        line.recipe,
        line.queues.inspect,
        line.queues.others(),
        line.monitor,
        vitals,
        line_conditions(line, stages, vitals),
        line.reload,
        line.shed,
        line.events,
        line.clock,
        label,
    )
