"""A bundle that is loaded as often as parts are to be looked at side by side."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from brightest import write_brightest

from edge_runtime.app.models import prove
from edge_runtime.app.side_by_side import line_inspector
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.config.engine import EngineSettings
from edge_runtime.detectors.port import Detection
from edge_runtime.detectors.side_by_side import SideBySideDetector, each_of
from edge_runtime.domain.errors import BundleError, EngineError

TWICE = EngineSettings(name="onnxruntime", threads=1, at_once=2)
FRAME = (np.full((8, 8), 51, dtype=np.uint8),)
SHIPPED = Path(__file__).parents[3] / "models" / "demo.bundle"


class Counted:
    """Says which one it is, and how many look with it."""

    bundle = None

    def __init__(self, score: float, meeting: threading.Barrier | None = None) -> None:
        self.score, self._meeting = score, meeting

    def inspect(self, exposures) -> Detection:
        """Waits for the others where there is a meeting."""
        if self._meeting is not None:
            self._meeting.wait(60)
        return Detection(self.score, None)


def test_a_line_has_as_many_engines_as_it_asks_for_and_says_so(tmp_path: Path, no_leaks: None) -> None:
    """Each of them gives the bundle's score, and the file is closed with the inspector."""
    opened = open_bundle(write_brightest(tmp_path / "b.bundle"), trust="development")
    with line_inspector(opened, TWICE) as inspector:
        prove(inspector)
        assert inspector.engine_description.startswith("2 times onnxruntime")
        assert [detector.inspect(FRAME).score for detector in each_of(inspector.detector)] == pytest.approx([0.2, 0.2])
        assert inspector.inspect(FRAME).score == pytest.approx(0.2)


def test_one_at_a_time_is_the_model_itself(tmp_path: Path) -> None:
    """A line that does not ask for more pays nothing for it."""
    opened = open_bundle(write_brightest(tmp_path / "b.bundle"), trust="development")
    with line_inspector(opened, EngineSettings(name="onnxruntime", threads=1)) as inspector:
        assert each_of(inspector.detector) == (inspector.detector,)


def test_the_memory_bank_is_in_memory_once() -> None:
    """Of the shipped demonstration: only what an engine makes of a bundle is there for each."""
    with line_inspector(open_bundle(SHIPPED, trust="development"), TWICE) as inspector:
        banks = [detector._detector._search._search.rows for detector in each_of(inspector.detector)]
    assert len(banks) == 2
    assert np.shares_memory(*banks)


def test_every_one_of_them_has_to_give_the_golden_scores(tmp_path: Path) -> None:
    """The second is asked as the first is: whichever looks, the verdict is the model's."""
    opened = open_bundle(write_brightest(tmp_path / "b.bundle"), trust="development")
    with line_inspector(opened, TWICE) as inspector:
        first, second = each_of(inspector.detector)
        second.inspect = Counted(0.9).inspect
        with pytest.raises(BundleError, match=r"score 0\.9, expected 0\.2"):
            prove(inspector)
        del second.inspect
        first.inspect = Counted(0.9).inspect
        with pytest.raises(BundleError, match=r"score 0\.9, expected 0\.2"):
            prove(inspector)


def test_a_bundle_that_does_not_load_leaves_nothing_open(tmp_path: Path, no_leaks: None) -> None:
    """Neither its file nor the engine that was loaded first."""
    opened = open_bundle(write_brightest(tmp_path / "b.bundle", golden_px=None), trust="development")
    opened.payloads.read = lambda _: b"no graph"
    with pytest.raises(EngineError, match="cannot load"):
        line_inspector(opened, TWICE)
    with pytest.raises(ValueError, match="closed"):
        opened._file.read(1)


def test_so_many_threads_look_at_once_and_no_detector_is_shared() -> None:
    """Two meet inside, in two detectors; each thread gets its own again; what fails gives its place back."""
    meeting = threading.Barrier(2)
    pair = SideBySideDetector([Counted(1.0, meeting), Counted(2.0, meeting)])
    found: list[set[float]] = []

    def look() -> None:
        found.append({pair.inspect(()).score for _ in range(20)})

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(found, key=min) == [{1.0}, {2.0}]
    meeting.abort()
    for _ in range(3):
        with pytest.raises(threading.BrokenBarrierError):
            pair.inspect(())
