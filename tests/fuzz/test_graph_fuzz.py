from __future__ import annotations

import signal

import graph_fuzz
import pytest
from graph_fuzz import ENGINES, FEWEST, Tally, _count, fuzz

SECONDS = 4.0


@pytest.mark.parametrize("engine", ENGINES)
def test_a_damaged_graph_is_refused_with_a_typed_error_or_runs_and_never_has_its_digest(engine) -> None:
    """In processes of their own: one that the engine kills is counted, and what comes behind it is tried as well."""
    tally = fuzz(engine, SECONDS, 7, None)
    assert tally.tried >= FEWEST, tally.line(engine)
    assert (tally.untyped, tally.not_refused_by_digest) == ([], 0), tally.line(engine)
    assert tally.refused + tally.ran + len(tally.died) == tally.tried


def test_a_process_that_an_engine_kills_is_a_finding_and_not_the_end(tmp_path, monkeypatch) -> None:
    """The graph is kept, and the next process goes on behind it."""
    monkeypatch.setattr(graph_fuzz, "__file__", str(_killer(tmp_path)))
    tally = fuzz("onnxruntime", 1.0, 1, tmp_path / "kept")
    assert tally.died
    assert all(found.startswith(signal.SIGSEGV.name) for found in tally.died)
    assert list((tmp_path / "kept").rglob("*"))


def test_what_is_no_typed_error_would_be_noticed() -> None:
    """The check above can fail; what an engine says for itself is no outcome."""
    tally = Tally()
    _count(tally, 'onnxruntime says hello\n[3, "KeyError: x", false]\n[4, "ran", true]\n')
    assert (tally.untyped, tally.not_refused_by_digest, tally.tried) == (["3: KeyError: x"], 1, 2)


def _killer(folder):
    script = folder / "killer.py"
    script.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    return script
