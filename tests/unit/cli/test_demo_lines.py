from __future__ import annotations

from makers import MS, make_fault, make_inspection, make_part, make_recipe

from edge_runtime.cli.demo import stopped_parts
from edge_runtime.decision.judge import judge
from edge_runtime.domain.verdict import Reason


def test_a_log_of_the_demo_names_each_part_that_did_not_pass_once() -> None:
    """In a pipe there is no live view: without these lines a newcomer would look at nothing until the end."""
    outcomes = [make_inspection(0.5), make_inspection(1.5), make_inspection(2.5), make_fault(Reason.OVERLOAD)]
    verdicts = [judge(found, make_part(n), make_recipe(), 1_010 * MS) for n, found in enumerate(outcomes, start=1)]
    assert list(stopped_parts(verdicts, 0)) == [
        "part 2: REVIEW between_limits, score 1.500",
        "part 3: REJECT above_limit, score 2.500",
        "part 4: REJECT overload",
    ]
    assert list(stopped_parts(verdicts, 3)) == ["part 4: REJECT overload"]
    assert list(stopped_parts(verdicts, 4)) == []
