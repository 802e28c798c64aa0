from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge_runtime.app.rollout import rollout_terms
from edge_runtime.config.cross import contradictions, doubts
from edge_runtime.config.describe import describe
from edge_runtime.config.line import LineConfig

if TYPE_CHECKING:
    from collections.abc import Iterable


def _config(bundle: dict[str, Any], rollout: dict[str, Any], **other: Any) -> LineConfig:
    document = {
        "device": {"name": "line", "state_dir": "state"},
        "bundle": bundle,
        "camera": {"kind": "sim"},
        "rollout": rollout,
    }
    return LineConfig.model_validate(document | other)


def _keys(findings: Iterable[Any]) -> list[str]:
    return [".".join(finding.keys[0]) for finding in findings if "rollout" in {key[0] for key in finding.keys}]


FILE, PRODUCT = {"path": "a.bundle"}, {"product": "lid", "trust": "production"}


def test_a_candidate_is_not_compared_with_a_model_beside_which_others_look() -> None:
    """With a core to itself it would seem faster than it is."""
    found = list(contradictions(_config(FILE, {"enabled": True, "candidate": "b.bundle"}, engine={"at_once": 2})))
    assert [[".".join(key) for key in finding.keys] for finding in found] == [["engine.at_once", "rollout.enabled"]]


@pytest.mark.parametrize(
    ("bundle", "rollout", "expected"),
    [
        (FILE, {}, []),
        (FILE, {"enabled": True, "candidate": "b.bundle"}, []),
        (FILE, {"enabled": True}, ["rollout.enabled"]),
        (PRODUCT, {"enabled": True}, []),
        (PRODUCT, {"enabled": True, "candidate": "b.bundle"}, ["rollout.candidate"]),
    ],
)
def test_a_rollout_has_something_to_compare(bundle, rollout, expected) -> None:
    """A file beside a file, or the releases that wait beside the active one."""
    assert _keys(contradictions(_config(bundle, rollout))) == expected


@pytest.mark.parametrize(
    ("bundle", "rollout", "updates", "expected"),
    [
        (PRODUCT, {"enabled": True}, {"after_install": "wait"}, []),
        (PRODUCT, {"enabled": True}, {}, ["updates.after_install"]),
        (FILE, {"candidate": "b.bundle"}, {}, ["rollout.candidate"]),
        (
            PRODUCT,
            {"enabled": True, "promote": "rule", "on_difference": "hold"},
            {"after_install": "wait"},
            ["rollout.on_difference"],
        ),
    ],
)
def test_what_is_probably_not_meant_is_said(bundle, rollout, updates, expected) -> None:
    """A rollout that never has a candidate, or that can never end by itself."""
    assert _keys(doubts(_config(bundle, rollout, updates=updates))) == expected


def test_a_technician_is_told_what_will_be_compared() -> None:
    """Only where something is."""
    told = describe(_config(PRODUCT, {"enabled": True, "promote": "rule"}))["rollout"]
    assert told == (
        "the newest release that waits is compared in the shadow, then decides 10% of the parts; promoted by rule"
    )
    assert "rollout" not in describe(_config(PRODUCT, {}))


def test_the_rules_are_given_what_is_configured() -> None:
    """Minutes become nanoseconds, and the deadline is the recipe's."""
    terms = rollout_terms(
        _config(
            PRODUCT,
            {"enabled": True, "on_difference": "hold", "shadow": {"parts": 40, "minutes": 1.5}},
            recipe={"decision_deadline_ms": 250, "reject": {"delay_ms": 900}},
        )
    )
    assert (terms.shadow.parts, terms.shadow.dwell_ns) == (40, 90 * 10**9)
    assert terms.deadline_ns == 250_000_000
    assert not terms.stops_at_difference
    assert terms.alpha == 0.01
    assert terms.share == 0.1
