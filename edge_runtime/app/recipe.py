"""From the configuration and the bundle to the recipe in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.domain.recipe import GateAction, GateMode, Recipe, RejectTiming
from edge_runtime.domain.verdict import Disposition, Limits
from edge_runtime.plc.port import PlcCapability

if TYPE_CHECKING:
    from edge_runtime.config.combine import MemberSettings
    from edge_runtime.config.line import RecipeSettings


def limits_in_force(settings: RecipeSettings | MemberSettings, bundle_limits: Limits) -> Limits:
    """The configuration's limits where it has some, else the bundle's."""
    if settings.limits is None:
        return bundle_limits
    return Limits(settings.limits.review, settings.limits.reject)


def build_recipe(settings: RecipeSettings, bundle_limits: Limits, capabilities: PlcCapability) -> Recipe:
    """The recipe. With `gate = "auto"`, permit where the PLC has a handshake, else fire."""
    gate = settings.gate
    if gate == "auto":
        gate = "permit" if PlcCapability.HANDSHAKE in capabilities else "fire"
    reject = settings.reject
    return Recipe(
        name=settings.name,
        limits=limits_in_force(settings, bundle_limits),
        review_action=GateAction.EJECT if settings.on_review == "eject" else GateAction.LET_PASS,
        fail_safe=Disposition(settings.fail_safe),
        gate_mode=GateMode(gate),
        timing=RejectTiming(
            delay_ns=None if reject.delay_ms is None else round(reject.delay_ms * 1e6),
            encoder_ticks=reject.encoder_ticks,
            pulse_ns=round(reject.pulse_ms * 1e6),
            window_ticks=reject.window_ticks,
        ),
        decision_deadline_ns=round(settings.decision_deadline_ms * 1e6),
    )
