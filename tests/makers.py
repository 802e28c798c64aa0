"""Small values for tests."""

from __future__ import annotations

import numpy as np

from edge_runtime.domain.frame import Frame, LostFrame, Trigger
from edge_runtime.domain.inspection import Inspection, InspectionFault
from edge_runtime.domain.part import Part
from edge_runtime.domain.recipe import GateAction, GateMode, Recipe, RejectTiming
from edge_runtime.domain.verdict import BundleIdentity, Disposition, Limits, Reason

BUNDLE = BundleIdentity(name="test", version="1", digest="0" * 64, trust="development")
MS = 1_000_000


def make_recipe(
    *,
    review: float = 1.0,
    reject: float = 2.0,
    review_action: GateAction = GateAction.EJECT,
    fail_safe: Disposition = Disposition.REJECT,
    gate_mode: GateMode = GateMode.PERMIT,
    timing: RejectTiming | None = None,
    deadline_ms: int = 100,
) -> Recipe:
    """A recipe with a gate 800 ms behind the trigger."""
    return Recipe(
        name="test",
        limits=Limits(review, reject),
        review_action=review_action,
        fail_safe=fail_safe,
        gate_mode=gate_mode,
        timing=timing or RejectTiming(delay_ns=800 * MS, encoder_ticks=None, pulse_ns=50 * MS),
        decision_deadline_ns=deadline_ms * MS,
    )


def make_trigger(number: int = 1, triggered_ns: int = 1_000 * MS, encoder_ticks: int | None = None) -> Trigger:
    """A trigger without a number from the PLC."""
    return Trigger(number, f"part-{number}", triggered_ns, 1_700_000_000 * 10**9 + triggered_ns, encoder_ticks)


def make_frame(number: int = 1, triggered_ns: int = 1_000 * MS, part_sequence: int | None = None) -> Frame:
    """A grey 8×8 frame."""
    pixels = np.full((8, 8, 3), number % 256, dtype=np.uint8)
    pixels.setflags(write=False)
    trigger = Trigger(number, f"part-{number}", triggered_ns, triggered_ns, None, part_sequence)
    return Frame(trigger, (pixels,), triggered_ns)


def make_part(number: int = 1, triggered_ns: int = 1_000 * MS, deadline_ms: int = 100) -> Part:
    """A part with a frame."""
    frame = make_frame(number, triggered_ns)
    return Part(frame.trigger, number, triggered_ns + deadline_ms * MS, frame)


def make_lost(number: int = 1, triggered_ns: int = 1_000 * MS) -> LostFrame:
    """A trigger whose image is corrupt."""
    return LostFrame(make_trigger(number, triggered_ns), Reason.IMAGE_CORRUPT, "cut short")


def make_inspection(score: float, part_id: str = "part-1") -> Inspection:
    """A finished inspection without a map."""
    return Inspection(part_id, score, None, BUNDLE, 0, 1)


def make_fault(reason: Reason = Reason.ENGINE_ERROR) -> InspectionFault:
    """A failed inspection."""
    return InspectionFault("part-1", reason, "it broke", BUNDLE, 0, 1)
