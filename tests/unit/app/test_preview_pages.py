from __future__ import annotations

import json
import re
import time
from http.client import HTTPConnection
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from makers import make_fault, make_inspection

from edge_runtime.app.preview import PreviewFeed, PreviewPages, Said, measure
from edge_runtime.decision.combine import look_of
from edge_runtime.domain.combination import Combined, Rule
from edge_runtime.domain.model_bundle import ColourOrder, InputSpec, Layout, Resize
from edge_runtime.domain.verdict import Disposition, Limits, Reason
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.ops.server import LocalServer
from edge_runtime.vision.decode import decode_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

TICK_NS = 200_000_000
SHOWN = SimpleNamespace(
    calibration=SimpleNamespace(map_range=(0.0, 1.0)),
    input_spec=InputSpec("image", 24, 32, Resize.AREA, ColourOrder.RGB, Layout.NCHW, "uint8"),
    identity=SimpleNamespace(trust="development"),
)
"""What a bundle says about its map and itself."""


def scene(shade: int = 90) -> npt.NDArray[np.uint8]:
    """A frame with an edge in the middle."""
    frame = np.full((240, 320, 3), shade, dtype=np.uint8)
    frame[:, 160:] = shade // 2
    return frame


@pytest.fixture
def clock() -> SimulatedClock:
    """Time moves only when the test says so."""
    return SimulatedClock()


@pytest.fixture
def feed(clock: SimulatedClock) -> PreviewFeed:
    """Where the line drops its pictures."""
    return PreviewFeed(clock)


@pytest.fixture
def get(feed: PreviewFeed, clock: SimulatedClock) -> Iterator[Callable[[str], tuple[int, str, bytes]]]:
    """Asks the real server: status, content type, body."""
    pages = PreviewPages(feed, clock, lambda: SHOWN, lambda: "camera connected")
    server = LocalServer(0, pages.routes())

    def ask(path: str) -> tuple[int, str, bytes]:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, str(answer.getheader("Content-Type")), body

    yield ask
    server.close()


def figures(get: Callable[[str], tuple[int, str, bytes]]) -> dict[str, Any]:
    """The figures as the page gets them."""
    return json.loads(get("/preview/figures")[2])


def test_the_page_needs_nothing_from_elsewhere(get: Callable[[str], tuple[int, str, bytes]]) -> None:
    """A line has no internet: no script, font or picture from another host."""
    status, kind, body = get("/preview")
    assert (status, kind) == (200, "text/html; charset=utf-8")
    assert not re.search(rb"https?://|src=\"//|@import", body)


def test_before_the_first_frame_the_page_says_so(get: Callable[[str], tuple[int, str, bytes]]) -> None:
    """No picture is no error."""
    assert figures(get) == {"state": "camera connected", "trust": "development", "frame": 0, "heatmap": 0}
    assert get("/preview/frame.jpg")[0] == 404


def test_a_frame_is_shown_with_its_figures(
    feed: PreviewFeed, clock: SimulatedClock, get: Callable[[str], tuple[int, str, bytes]]
) -> None:
    """The picture is a JPEG of the frame; sharpness, exposure and age stand beside it."""
    feed.offer(scene(), None)
    clock.advance(1_500_000_000)
    shown = figures(get)
    assert (shown["frame"], shown["heatmap"], shown["age_ms"]) == (1, 0, 1_500)
    assert (shown["width_px"], shown["height_px"]) == (320, 240)
    assert shown["sharpness"] > 0
    status, kind, body = get("/preview/frame.jpg")
    assert (status, kind) == (200, "image/jpeg")
    assert np.abs(decode_image(body).array.astype(int) - scene()).mean() < 3


def test_what_each_of_several_models_said_stands_beside_the_frame(
    feed: PreviewFeed, get: Callable[[str], tuple[int, str, bytes]]
) -> None:
    """One line for each model that looked; a model that could not judge says why."""
    looks = (
        look_of(make_inspection(1.5), Limits(1.0, 2.0)),
        look_of(make_fault(), Limits(1.0, 2.0)),
    )
    feed.offer(scene(), None, SHOWN, Combined(Rule.CASCADE, looks))
    assert figures(get)["models"] == ["test 1: REVIEW, 1.5", "test 1: it broke"]


def test_the_verdict_on_its_part_stands_beside_the_heatmap(
    feed: PreviewFeed, clock: SimulatedClock, get: Callable[[str], tuple[int, str, bytes]]
) -> None:
    """Of the part that the heatmap shows, not of a newer one without a map; a score that is none is left out."""
    anomaly_map = np.ones((24, 32), dtype=np.float32)
    feed.offer(scene(), anomaly_map, SHOWN, said=Said(Disposition.REJECT, Reason.ABOVE_LIMIT, 7.51))
    clock.advance(TICK_NS)
    feed.offer(scene(), None, SHOWN, said=Said(Disposition.REJECT, Reason.IMAGE_UNEXPECTED, None))
    shown = figures(get)
    assert (shown["verdict"], shown["reason"], shown["score"]) == ("REJECT", "above_limit", "7.51")
    clock.advance(TICK_NS)
    feed.offer(scene(), anomaly_map, SHOWN, said=Said(Disposition.REJECT, Reason.SCORE_INVALID, float("nan")))
    assert figures(get)["score"] == ""


def test_the_last_heatmap_stays_until_the_next(
    feed: PreviewFeed, clock: SimulatedClock, get: Callable[[str], tuple[int, str, bytes]]
) -> None:
    """Frames without a map (faults, score-only models) do not wipe it away; it glows where the map is high."""
    anomaly_map = np.zeros((24, 32), dtype=np.float32)
    anomaly_map[:, :8] = 1.0
    feed.offer(scene(), anomaly_map, SHOWN)
    clock.advance(TICK_NS)
    feed.offer(scene(40), None)
    assert (figures(get)["frame"], figures(get)["heatmap"]) == (2, 1)
    glow = np.abs(decode_image(get("/preview/heatmap.jpg")[2]).array.astype(int) - scene())
    assert glow[:, :60].mean() > 40
    assert glow[:, 100:].mean() < 5


def test_at_most_five_pictures_a_second_are_taken(feed: PreviewFeed, clock: SimulatedClock) -> None:
    """However fast the line is."""
    taken = set()
    for _ in range(1_000):  # 1 s at 1000 frames/s
        feed.offer(scene(), None)
        sample = feed.newest()
        assert sample is not None
        taken.add(sample.number)
        clock.advance(1_000_000)
    assert len(taken) == 5


def test_an_offer_costs_the_line_microseconds(feed: PreviewFeed, clock: SimulatedClock) -> None:
    """A 20-megapixel frame is not copied, measured or encoded: nobody may be watching."""
    frame = np.zeros((4_000, 5_000, 3), dtype=np.uint8)
    costs = []
    for _ in range(50):
        clock.advance(TICK_NS)
        started = time.perf_counter()
        feed.offer(frame, None)
        costs.append(time.perf_counter() - started)
    assert sorted(costs)[25] < 0.001
    sample = feed.newest()
    assert sample is not None
    assert sample.pixels is frame


def test_a_large_frame_is_shrunk_for_the_browser(
    feed: PreviewFeed, get: Callable[[str], tuple[int, str, bytes]]
) -> None:
    """1280 pixels are enough to aim."""
    feed.offer(np.zeros((2_000, 3_000), dtype=np.uint8), None)
    assert max(decode_image(get("/preview/frame.jpg")[2]).array.shape[:2]) == 1_280


@pytest.mark.parametrize(
    ("frame", "bright", "dark"),
    [
        (np.full((50, 50), 255, np.uint8), 100.0, 0.0),
        (np.full((50, 50), 254, np.uint8), 0.0, 0.0),
        (np.zeros((50, 50), np.uint8), 0.0, 100.0),
        (np.full((50, 50, 3), 128, np.uint8), 0.0, 0.0),
        (np.array([[0, 4_095], [4_095, 4_095]], np.uint16), 75.0, 25.0),
        (np.zeros((1, 1), np.uint16), 0.0, 100.0),
    ],
)
def test_exposure_is_judged_at_the_cameras_own_depth(frame: npt.NDArray[Any], bright: float, dark: float) -> None:
    """Full scale is 255, or 4095 for a 12-bit camera in 16-bit pixels."""
    found = measure(frame)
    assert found.bright_percent == pytest.approx(bright)
    assert found.dark_percent == pytest.approx(dark)


def test_sharpness_grows_with_focus() -> None:
    """The figure a technician turns the lens by: the same scene, less and less blurred."""
    rng = np.random.default_rng(1)
    sharp = np.kron(rng.integers(40, 200, (60, 60)), np.ones((4, 4))).astype(np.uint8)
    blurred = sharp.astype(float)
    found = [measure(sharp).sharpness]
    for _ in range(3):
        blurred = (blurred + np.roll(blurred, 1, 0) + np.roll(blurred, 1, 1) + np.roll(blurred, -1, 0)) / 4
        found.append(measure(blurred.astype(np.uint8)).sharpness)
    assert found == sorted(found, reverse=True)
