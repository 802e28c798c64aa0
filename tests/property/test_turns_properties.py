from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.decision.turns import Turns, Want


@dataclass
class Job:
    """A part: when it is ready, how long its inspection takes, and by when it has to be judged."""

    ready: int
    takes: int
    deadline: int


@dataclass
class Course:
    """What became of each line's parts, in order: when each was asked for, begun and ended."""

    asked: list[list[int]] = field(default_factory=list)
    begun: list[list[int]] = field(default_factory=list)
    ended: list[list[int]] = field(default_factory=list)
    idle_while_wanted: bool = False


def run(lines: list[list[Job]]) -> Course:
    """One processor, each line's parts in their order, exact durations."""
    turns, now = Turns(len(lines)), 0
    course = Course([[] for _ in lines], [[] for _ in lines], [[] for _ in lines])
    while any(len(done) < len(jobs) for done, jobs in zip(course.ended, lines, strict=True)):
        for line, jobs in enumerate(lines):
            number = len(course.ended[line])
            if number < len(jobs) and jobs[number].ready <= now and len(course.asked[line]) == number:
                job = jobs[number]
                turns.ask(line, Want(job.deadline, job.ready, job.takes, frozenset({line})))
                course.asked[line].append(now)
        begun = turns.begin(now)
        if begun:
            (line,) = begun
            course.begun[line].append(now)
            now += lines[line][len(course.ended[line])].takes
            course.ended[line].append(now)
            turns.end(line, now)
            continue
        course.idle_while_wanted |= any(len(a) > len(e) for a, e in zip(course.asked, course.ended, strict=True))
        now = min(jobs[len(e)].ready for e, jobs in zip(course.ended, lines, strict=True) if len(e) < len(jobs))
    return course


@st.composite
def belts(draw: st.DrawFn) -> list[list[Job]]:
    """Two to four lines: some within their share, with time to spare or none, some with many times too much."""
    count = draw(st.integers(2, 4))
    lines = []
    for _ in range(count):
        patience, flood = draw(st.sampled_from([10, 40, 200])), draw(st.booleans())
        ready, jobs = 0, []
        for takes in draw(st.lists(st.integers(1, 10), max_size=30)):
            ready += draw(st.integers(0, 2)) if flood else draw(st.sampled_from([0, 1, 2, 5])) * count * takes
            jobs.append(Job(ready, takes, ready + max(patience, count * takes)))
        lines.append(jobs)
    return lines


def is_within_its_share(jobs: list[Job], lines: int) -> bool:
    """Whether a processor of its own, slower by the number of lines, would be in time with every part."""
    free = 0
    for job in jobs:
        free = max(free, job.ready) + lines * job.takes
        if free > job.deadline:
            return False
    return True


@given(belts())
def test_a_line_within_its_share_is_late_by_one_inspection_at_most(lines: list[list[Job]]) -> None:
    """Whatever the other lines do: the one that was running when its part came is all that it waits for in vain."""
    course = run(lines)
    for line, jobs in enumerate(lines):
        longest = max((job.takes for other in lines if other is not jobs for job in other), default=0)
        if is_within_its_share(jobs, len(lines)):
            for job, ended in zip(jobs, course.ended[line], strict=True):
                assert ended <= job.deadline + longest


@given(belts())
def test_nobody_starves_and_nothing_idles(lines: list[list[Job]]) -> None:
    """A line that wants has its turn within the longest deadline and a round of inspections, however much it had."""
    course = run(lines)
    assert not course.idle_while_wanted
    everything = [job for jobs in lines for job in jobs]
    longest = max((job.takes for job in everything), default=0)
    patience = max((job.deadline - job.ready for job in everything), default=0)
    for asked, begun in zip(course.asked, course.begun, strict=True):
        for wanted, got in zip(asked, begun, strict=True):
            assert got - wanted <= patience + (len(lines) + 1) * longest


@given(st.integers(2, 4), st.integers(1, 10))
def test_lines_that_all_want_too_much_get_the_same(count: int, takes: int) -> None:
    """Equal shares, whoever floods more: after any number of rounds they differ by little."""
    lines = [[Job(number * line, takes, number * line + 50) for number in range(60)] for line in range(count)]
    course = run(lines)
    until = min(ended[-1] for ended in course.ended)
    busy = [sum(end <= until for end in ended) for ended in course.ended]
    assert max(busy) - min(busy) <= 2 + 50 // takes


@given(st.integers(2, 4), st.integers(1, 10), st.integers(1, 10), st.integers(1, 8), st.integers(0, 200))
def test_a_burst_within_the_share_is_in_time_among_lines_that_flood(
    count: int, takes: int, others_take: int, burst: int, start: int
) -> None:
    """Its parts come together and have just the time that its share needs; the others have had the processor before."""
    patience = count * takes * burst
    polite = [
        Job(start + batch * patience, takes, start + (batch + 1) * patience) for batch in range(3) for _ in range(burst)
    ]
    flood = [Job(number, others_take, number + 5) for number in range((start + 4 * patience) // others_take)]
    lines = [polite] + [flood] * (count - 1)
    assert is_within_its_share(polite, count)
    for job, ended in zip(polite, run(lines).ended[0], strict=True):
        assert ended <= job.deadline + others_take
