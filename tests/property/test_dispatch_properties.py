from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from makers import BUNDLE, MS, make_inspection, make_part, make_recipe

from edge_runtime.decision.judge import judge
from edge_runtime.domain.recipe import GateAction
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.services.dispatch import DispatchStage
from edge_runtime.services.flow import Judged, Opened, RecipeCell
from edge_runtime.services.monitor import LineMonitor
from edge_runtime.services.queues import BoundedQueue

actions = st.lists(
    st.one_of(
        st.just(("open", 0)),
        st.tuples(st.just("judge"), st.integers(0, 30)),
        st.tuples(st.just("wait"), st.integers(1, 150)),
    ),
    max_size=80,
)


@given(actions)
def test_every_opened_part_gets_exactly_one_verdict(script) -> None:
    """Whatever comes twice, late or never: as many verdicts and gate commands as parts, and none passes unjudged."""
    clock = SimulatedClock(start_monotonic_ns=1_000 * MS)
    recipe = RecipeCell(make_recipe(), BUNDLE)
    inbox, commands, records = (BoundedQueue(name, 1_000) for name in ("inbox", "commands", "records"))
    stage = DispatchStage(recipe, "camera", inbox, commands, records, None, LineMonitor(), clock)
    parts, judged = [], set()
    for action, argument in script:
        if action == "open":
            parts.append(make_part(len(parts) + 1, clock.monotonic_ns()))
            inbox.offer(Opened(parts[-1]))
        elif action == "judge" and argument < len(parts):
            part = parts[argument]
            judged.add(part.part_sequence)
            verdict = judge(make_inspection(0.5), part, recipe.current, clock.monotonic_ns())
            inbox.offer(Judged(part, verdict))
        elif action == "wait":
            clock.advance(argument * MS)
        if len(inbox):
            stage.step()
    stage.finish()
    verdicts = Counter()
    while (item := records.get(0)) is not None:
        verdicts[item.record.verdict.part_sequence] += 1
    assert verdicts == Counter(part.part_sequence for part in parts)
    passed = set()
    while (command := commands.get(0)) is not None:
        if command.action is GateAction.LET_PASS:
            passed.add(command.part_sequence)
    assert passed <= judged
