from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import atexit, sys, threading, time
from edge_runtime.ops.ending import run_to_the_end

def command():
    if {leaves}:
        threading.Thread(target=threading.Event().wait, name="loader", daemon=True).start()
    threading.Thread(target=time.sleep, args=(0.1,), name="about to end", daemon=True).start()
    print("said", end="")
    {end}

atexit.register(lambda: print(" and torn down", end="", flush=True))
run_to_the_end(command)
"""


def end_of(end: str, *, leaves: bool) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command that ends so."""
    words = [sys.executable, "-c", PROGRAM.format(leaves=leaves, end=end)]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(("end", "code"), [("pass", 0), ("sys.exit(3)", 3), ("sys.exit()", 0), ("sys.exit('no')", 1)])
def test_a_thread_that_cannot_be_stopped_is_left_and_the_exit_code_stays(end: str, code: int) -> None:
    """Nothing is torn down under it, what was said is written, and it is named."""
    found, said, errors = end_of(end, leaves=True)
    assert (found, said) == (code, "said")
    assert errors.splitlines()[-1] == "ended without waiting for: loader"
    assert ("no" in errors.splitlines()) == (end == "sys.exit('no')")


def test_without_one_the_process_ends_as_any_other() -> None:
    """The interpreter tidies up; a thread that is about to end is waited for."""
    assert end_of("sys.exit(3)", leaves=False) == (3, "said and torn down", "")
