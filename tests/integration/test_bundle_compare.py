from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import cv2
import pytest
from line_process import DEMO_BUNDLE, wait_until
from makers import BUNDLE
from rollout_parts import FAST_BUNDLE, make_pairs, rollout_config
from shadow_bench import CANDIDATE
from typer.testing import CliRunner

from edge_runtime.app.rollout import books_file, request_file
from edge_runtime.camera.sim_scene import render_part
from edge_runtime.cli.main import app
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.rollout import RolloutStage
from edge_runtime.services.rollout_books import Books

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Path:
    """Ten pictures of parts, one of them in a folder below, and a file that is no picture any more."""
    folder: Path = tmp_path_factory.mktemp("parts")
    (folder / "below").mkdir()
    for number in range(1, 11):
        pixels = render_part(5, number, defective=number > 7, width_px=320, height_px=240, illumination_drift=0.0)
        place = folder / "below" / "10.png" if number == 10 else folder / f"{number}.PNG"
        place.write_bytes(cv2.imencode(".png", pixels[:, :, ::-1])[1].tobytes())
    (folder / "torn.jpg").write_bytes(b"\xff\xd8torn")
    return folder


@pytest.fixture
def line(tmp_path) -> Path:
    """A configuration, and a rollout in the shadow with 90 pairs."""
    config, state = rollout_config(tmp_path)
    books = Books(CANDIDATE, "", BUNDLE, RolloutStage.SHADOW, evidence=make_pairs(88, only_candidate=2))
    books.reason, books.lasted_ns = "compared with test 1", 60 * 10**9
    books.ended = {"abcdef" + "0" * 58: "rolled_back: too many faults"}
    books_file(state).save(books)
    return config


def _run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return f"{result.exit_code}\n{result.output}"


def test_two_bundles_are_compared_on_a_folder(parts) -> None:
    """A model agrees with itself in everything; what is no picture is skipped, and a few parts promote nobody."""
    told = _run("bundle", "compare", FAST_BUNDLE, FAST_BUNDLE, "--images", parts)
    assert told.startswith("4\nSHADOW since ")
    assert "10 parts, 3 rejected (30.00%)" in told
    assert "agreement       100.00%" in told
    assert "score distance  0.000 (p = 1)" in told
    assert "skipped         1 parts" in told
    assert "waits for       agreement of 95.0% at least" in told


def test_a_machine_reads_the_same_figures(parts) -> None:
    """JSON, on a few of the images, spread over the folder."""
    code, _, document = _run(
        "bundle", "compare", DEMO_BUNDLE, FAST_BUNDLE, "--images", parts, "--limit", 5, "--json"
    ).partition("\n")
    report = json.loads(document)
    assert code == "4"
    assert report["active"]["bundle"]["name"] == "demo"
    assert report["candidate"]["parts"] in {4, 5}
    assert report["rate_test"] == "mcnemar_exact"


def test_without_images_two_bundles_cannot_be_compared(parts, tmp_path) -> None:
    """Said, with what to do; so is a folder without images."""
    with pytest.raises(ConfigError, match="compared on images"):
        _run("bundle", "compare", DEMO_BUNDLE, FAST_BUNDLE)
    with pytest.raises(ConfigError, match="no image"):
        _run("bundle", "compare", DEMO_BUNDLE, FAST_BUNDLE, "--images", tmp_path)


def test_the_rollout_of_a_line_is_shown(line) -> None:
    """Whether the daemon runs or not: as it was last written down, with what is missing."""
    told = _run("bundle", "compare", "--config", line)
    assert "compared with test 1" in told
    assert "candidate  new 2 (cccccccccccc): 90 parts, 2 rejected (2.22%)" in told
    assert "agreement       97.78%" in told
    assert "waits for       410 more parts; 59.0 more minutes" in told


def test_a_line_without_a_rollout_says_so(line) -> None:
    """Instead of empty figures."""
    (line.parent / "state" / "rollout.json").unlink()
    with pytest.raises(ConfigError, match="no rollout is known"):
        _run("bundle", "compare", "--config", line)
    with pytest.raises(ConfigError, match="no rollout is running"):
        _run("bundle", "promote", "--why", "x", "--config", line)


class Daemon(threading.Thread):
    """Takes one request and does it, as the rollout's thread would."""

    def __init__(self, state: Path, stage: RolloutStage | None) -> None:
        super().__init__()
        self._state, self._stage = state, stage
        self.taken: list = []

    def run(self) -> None:
        """Until there is one."""
        requests = request_file(self._state)
        wait_until(lambda: requests.is_waiting, "a request")
        self.taken.append(requests.take(10**30 if self._stage is None else _now()))
        books = books_file(self._state).load()
        if self._stage is not None:
            books.stage, books.reason = self._stage, "as asked"
            books_file(self._state).save(books)


def _now() -> int:
    from edge_runtime.ops.clock import SystemClock  # noqa: PLC0415

    return SystemClock().wall_ns()


@pytest.mark.parametrize(("command", "stage"), [("promote", RolloutStage.CANARY), ("withdraw", RolloutStage.WITHDRAWN)])
def test_a_person_moves_the_candidate(line, command, stage) -> None:
    """The request names the candidate, who and why; the answer is what became of it."""
    daemon = Daemon(line.parent / "state", stage)
    daemon.start()
    told = _run("bundle", command, "--why", "Shift B has seen it", "--config", line)
    daemon.join()
    assert told == f"0\n{stage}: as asked\n"
    (request,) = daemon.taken
    assert (request.wish, request.digest, request.why) == (command, CANDIDATE.digest, "Shift B has seen it")
    assert request.who


def test_only_what_was_stopped_can_be_reconsidered(line) -> None:
    """By the beginning of its digest; the known ones are named."""
    with pytest.raises(ConfigError) as caught:
        _run("bundle", "reconsider", "123456", "--why", "x", "--config", line)
    assert "abcdef000000" in caught.value.action
