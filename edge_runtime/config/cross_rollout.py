"""What contradicts itself in `[rollout]`, and what is probably not meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.config.finding import finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.config.finding import Finding
    from edge_runtime.config.line import LineConfig


def rollout_contradictions(config: LineConfig) -> Iterator[Finding]:
    """Errors between keys that are each fine."""
    rollout, bundle = config.rollout, config.bundle
    if rollout.candidate is not None and bundle.product is not None:
        yield finding(
            "goes with bundle.path; on a line with bundle.product the candidates are the releases that wait",
            "rollout.candidate",
            "bundle.product",
        )
    if rollout.enabled and rollout.candidate is None and bundle.product is None:
        yield finding("has nothing to compare: set rollout.candidate, or bundle.product", "rollout.enabled")


def rollout_doubts(config: LineConfig) -> Iterator[Finding]:
    """Works as configured, and is probably not meant."""
    rollout = config.rollout
    if rollout.candidate is not None and not rollout.enabled:
        yield finding("has no effect without rollout.enabled = true", "rollout.candidate")
    if not rollout.enabled:
        return
    if config.bundle.product is not None and config.updates.after_install == "trial":
        yield finding(
            'a release goes on trial as soon as it is installed, and none waits to be compared: set "wait"',
            "updates.after_install",
            "rollout.enabled",
        )
    if rollout.promote == "rule" and rollout.on_difference == "hold":
        yield finding(
            "a candidate with another reject rate waits for a person for ever, and nobody is asked",
            "rollout.on_difference",
            "rollout.promote",
        )
