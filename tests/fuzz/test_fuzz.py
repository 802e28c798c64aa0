from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import fuzz_run
import pytest
from fuzz_run import FOUND, try_one
from mutation import LARGEST_BYTES, mutated
from targets import Target, targets

SECONDS = 5.0
TARGETS = {target.name: target for target in targets()}


def test_no_parser_lets_anything_but_its_typed_error_escape() -> None:
    """A short run of the long one, in a process of its own with bounded memory; its findings are the message."""
    command = [sys.executable, str(Path(__file__).with_name("fuzz_run.py")), "--minutes", str(SECONDS / 60)]
    done = subprocess.run([*command, "--seed", "7"], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-2_000:]}"
    assert all(f"{name} " in done.stdout for name in TARGETS)


@pytest.mark.parametrize("path", sorted(FOUND.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found_once_stays_repaired(path) -> None:
    """Inputs that broke a rule before."""
    assert try_one(TARGETS[path.parent.name], path.read_bytes())[1] is None


@pytest.mark.parametrize(
    ("feed", "said"),
    [
        (lambda _: {}["x"], "KeyError"),
        (lambda _: (_ for _ in ()).throw(MemoryError), "MemoryError"),
        (lambda _: sum(range(10_000)), "took"),
    ],
)
def test_a_parser_that_breaks_a_rule_would_be_noticed(feed, said, monkeypatch) -> None:
    """The check above can fail."""
    if said == "took":
        monkeypatch.setattr(fuzz_run, "SLOW_S", 0.0)
    refused, wrong = try_one(Target("bad", (b"",), feed, (ValueError,)), b"")
    assert (refused, said in wrong) == (False, True)
    monkeypatch.undo()
    assert try_one(Target("good", (b"",), int, (ValueError,)), b"x") == (True, None)


def test_damage_is_repeatable_and_bounded() -> None:
    """The same seed damages in the same way; no input grows beyond its bound."""
    dices = [random.Random(5), random.Random(5)]  # noqa: S311  (repeatable, guards nothing)
    runs = [[mutated(b"abc" * 9, [b"xyz"], dice) for _ in range(20)] for dice in dices]
    assert runs[0] == runs[1]
    dice = dices[0]
    data = b"seed"
    for _ in range(300):
        data = mutated(data, [b"other"], dice)
        assert len(data) <= LARGEST_BYTES
