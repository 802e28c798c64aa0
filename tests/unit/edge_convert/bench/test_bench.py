from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from typer.testing import CliRunner

from edge_convert.bench.frames import FrameForm, bench_frames
from edge_convert.bench.measure import Bench, Spread
from edge_convert.bench.peers import Peer, write_frames
from edge_convert.bench.process import EnergyMeter, memory_of, processor_ns
from edge_convert.bench.result import Ratio
from edge_convert.bench.timed import Stopwatch, TimedEngine
from edge_convert.cli import app
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.detectors.port import Detection
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.inspection import DeferredMap
from edge_runtime.domain.model_bundle import ColourOrder, InputSpec, Layout, Resize
from edge_runtime.engine.sim import SimulatedEngine
from edge_runtime.ops.clock import SimulatedClock
from edge_runtime.vision.decode import decode_image

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_convert.bench.frames import BenchFrame

ROOT = Path(__file__).resolve().parents[4]
FAST = ROOT / "models" / "demo_fast.bundle"
WORKER = ROOT / "tools" / "bench" / "worker.py"
MS = 1_000_000
SPEC = InputSpec("x", 4, 4, Resize.AREA, ColourOrder.MONO, Layout.NCHW, "uint8")
DOUBLE = json.dumps(
    {
        "inputs": [{"name": "x", "shape": [1], "dtype": "float32"}],
        "steps": [{"output": "y", "operation": "affine", "input": "x", "factor": 2.0}],
        "outputs": [{"name": "y", "shape": [1], "dtype": "float32"}],
    }
).encode()


def frames(form: FrameForm) -> list[BenchFrame]:
    """Of the shipped bundle's golden images."""
    with open_bundle(FAST, trust="development") as opened:
        return bench_frames(opened.manifest, opened.payloads, form, None)


class TickingClock(SimulatedClock):
    """Every look at it takes a millisecond."""

    def monotonic_ns(self) -> int:
        """See `Clock`."""
        self.advance(MS)
        return super().monotonic_ns()


class TwoGraphs:
    """A detector that runs its first graph once per part and its second only sometimes."""

    class bundle:  # noqa: N801  (an attribute of the port)
        """Only the input matters here."""

        input_spec = SPEC
        parameters: Mapping[str, float] = {}

    def __init__(self, engine: TimedEngine) -> None:
        self._graphs = [engine.load(DOUBLE), engine.load(DOUBLE)]
        self.parts = 0

    def inspect(self, exposures) -> Detection:
        """Runs them."""
        self.parts += 1
        feeds = {"x": np.ones(1, np.float32)}
        for graph in self._graphs[: 1 + self.parts % 2]:
            graph.run(feeds, ["y"])
        return Detection(float(self.parts), None)


def test_the_parts_of_an_inspection_add_up() -> None:
    """Graphs are told apart, one that is not needed for a part counts as 0, and nothing is counted twice."""
    stopwatch = Stopwatch(TickingClock())
    engine = TimedEngine(SimulatedEngine(), stopwatch)
    bench = Bench(TwoGraphs(engine), frames(FrameForm((8, 8), mono=True))[:1], stopwatch, 2)
    bench.run(4)
    timings = bench.timings
    assert timings.graphs == {0: [MS] * 4, 1: [MS, 0] * 2}
    assert timings.scores == [1.0, 2.0, 3.0, 4.0]
    assert len(timings.verdict) == len(timings.processor) == len(timings.prepare) == 4
    known = [sum(spent) for spent in zip(timings.prepare, timings.rest(), *timings.graphs.values(), strict=True)]
    assert known == timings.verdict
    assert list(timings.spreads({0: "features", 1: "search"})) == ["prepare", "features", "search", "rest"]


def test_a_timed_engine_changes_no_answer() -> None:
    """It looks on."""
    graph = TimedEngine(SimulatedEngine(), Stopwatch(SimulatedClock())).load(DOUBLE)
    assert graph.run({"x": np.ones(1, np.float32)}, ["y"])["y"] == 2.0
    assert [info.name for info in (*graph.inputs, *graph.outputs)] == ["x", "y"]


@pytest.mark.parametrize(
    ("form", "shape", "dtype"),
    [
        (FrameForm((60, 90)), (60, 90, 3), np.uint8),
        (FrameForm((60, 90), mono=True), (60, 90), np.uint8),
        (FrameForm((60, 90), bits=16), (60, 90, 3), np.uint16),
        (FrameForm((60, 90), mono=True, bits=16), (60, 90), np.uint16),
        (FrameForm((60, 90), jpeg=True), (60, 90, 3), np.uint8),
    ],
)
def test_frames_have_the_camera_s_form(form: FrameForm, shape: tuple[int, ...], dtype: type) -> None:
    """Size, colour and depth; 16 bits hold noise in the low byte; a JPEG decodes to the very pixels."""
    for frame in frames(form):
        assert frame.pixels.shape == shape
        assert frame.pixels.dtype == dtype
        assert not frame.pixels.flags.writeable
        assert (frame.jpeg is not None) == form.jpeg
        if frame.jpeg is not None:
            np.testing.assert_array_equal(decode_image(frame.jpeg).array, frame.pixels)
        if dtype is np.uint16:
            assert len(np.unique(frame.pixels & 0xFF)) > 16


def test_a_jpeg_of_16_bits_is_refused() -> None:
    """There is none."""
    with pytest.raises(ConfigError, match="8 bits"):
        frames(FrameForm(bits=16, jpeg=True))


def test_memory_is_told_by_owner(tmp_path: Path) -> None:
    """Mappings of a package's libraries are the package's, unnamed ones the heap; all add up to what is resident."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "smaps").write_text(
        "7f00-7f10 r-xp 0 08:01 5   /v/lib/python3.11/site-packages/openvino/libs/libov.so\nRss:    100 kB\n"
        "7f10-7f20 r--p 0 08:01 5   /v/lib/python3.11/site-packages/numpy.libs/libblas.so\nRss:    20 kB\n"
        "7f20-7f30 rw-p 0 00:00 0 \nRss:    300 kB\n"
        "7f30-7f40 rw-p 0 00:00 0   [heap]\nRss:    40 kB\n"
        "7f40-7f50 r-xp 0 08:01 5   /usr/lib/libc.so.6\nRss:    5 kB\n"
        "7f50-7f60 r-xp 0 08:01 5   /usr/lib/libpython3.11.so.1.0\nRss:    7 kB\n"
        "7f60-7f70 rw-p 0 00:00 0   [stack]\nRss:    8 kB\n"
    )
    memory = memory_of(7, tmp_path)
    kib = {owner: size // 1024 for owner, size in memory.by_owner}
    expected = {"heap": 340, "openvino": 100, "numpy": 20, "stacks": 8, "python": 7, "system": 5}
    assert kib == expected
    assert memory.resident == sum(expected.values()) * 1024
    assert memory.allocated == 348 * 1024
    assert memory_of(8, tmp_path).resident == 0


def test_this_process_has_memory_and_uses_its_processor() -> None:
    """On the machine itself."""
    assert memory_of().resident > 10_000_000
    before = processor_ns()
    sum(number * number for number in range(300_000))
    assert processor_ns() > before


def test_energy_is_read_across_the_counters_wrap(tmp_path: Path) -> None:
    """Packages add up, their parts are not counted again, and a counter that starts anew loses nothing."""
    for name, value in (("intel-rapl:0", 900), ("intel-rapl:1", 10), ("intel-rapl:0:0", 5)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(f"{value}\n")
        (tmp_path / name / "max_energy_range_uj").write_text("1000\n")
    meter = EnergyMeter(tmp_path)
    assert meter.readable
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("100\n")
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text("40\n")
    meter.update()
    assert meter.joules == pytest.approx(230e-6)
    assert not EnergyMeter(tmp_path / "none").readable


def test_energy_is_that_of_the_inspections(tmp_path: Path) -> None:
    """Not of the map that is drawn behind each, which may take several times as much, nor of what else takes turns."""
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()

    def use(microjoules: int) -> None:
        zone.joinpath("energy_uj").write_text(str(int(zone.joinpath("energy_uj").read_text()) + microjoules))

    def draw() -> np.ndarray:
        use(1_000)
        return np.zeros((2, 2), np.float32)

    class Hungry(TwoGraphs):
        def inspect(self, exposures) -> Detection:
            use(10)
            return Detection(1.0, DeferredMap(draw))

    zone.joinpath("energy_uj").write_text("0")
    stopwatch, meter = Stopwatch(SimulatedClock()), EnergyMeter(tmp_path)
    detector = Hungry(TimedEngine(SimulatedEngine(), stopwatch))
    bench = Bench(detector, frames(FrameForm((8, 8), mono=True))[:1], stopwatch, 2, meter)
    bench.run(2)
    use(5_000)  # a peer's turn
    bench.run(2)
    assert meter.joules == pytest.approx(40e-6)


def test_a_ratio_is_taken_within_a_round() -> None:
    """A round in which the machine was busy slows both, and bends nothing."""
    ratio = Ratio.of([20.0, 200.0, 30.0], [10.0, 100.0, 10.0])
    assert (ratio.median, ratio.low, ratio.high) == (2.0, 2.0, 3.0)
    spread = Spread.of([1 * MS, 2 * MS, 9 * MS])
    assert (spread.shortest, spread.p50, spread.longest, spread.mean) == (1.0, 2.0, 9.0, 4.0)


def worker(path: Path, look: str) -> list[str]:
    """Command of a worker whose `look(frame)` returns this."""
    path.write_text(
        f"import sys; sys.path.insert(0, {str(WORKER.parent)!r})\nfrom worker import serve\n"
        f"print('a library greets')\nserve('peer', 'its detail', 0.5, lambda frame: {look})\n"
    )
    return [sys.executable, str(path)]


def test_a_peer_sees_the_very_frames(tmp_path: Path, no_leaks: None) -> None:
    """Pixels as they are in memory, JPEG as a file; what the peer prints besides is no answer."""
    sent = frames(FrameForm((20, 30)))
    with Peer(worker(tmp_path / "w.py", "float(frame.mean())"), tmp_path / "log") as peer:
        assert (peer.name, peer.detail, peer.load_s) == ("peer", "its detail", 0.5)
        for frame, file in zip(sent, write_frames(sent, tmp_path), strict=True):
            peer.run(file, 3)
            assert peer.runs.scores[-1] == pytest.approx(float(frame.pixels.mean()))
        assert len(peer.runs.ns) == 3 * len(sent)
        assert peer.runs.rss_bytes > 1_000_000
    [jpeg] = write_frames(frames(FrameForm((20, 30), jpeg=True))[:1], tmp_path)
    with Peer(worker(tmp_path / "w.py", "len(frame.read_bytes())"), tmp_path / "log") as peer:
        peer.run(jpeg, 1)
        assert peer.runs.scores == [jpeg.stat().st_size]


def test_a_peer_that_fails_says_why(tmp_path: Path, no_leaks: None) -> None:
    """At its start and in the middle, with its own last words."""
    with pytest.raises(ConfigError, match="cannot be started"):
        Peer(["/no/such/program"], tmp_path / "log")
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        Peer([sys.executable, "-c", "1 / 0"], tmp_path / "log")
    [file, *_] = write_frames(frames(FrameForm((20, 30))), tmp_path)
    with (
        Peer(worker(tmp_path / "w.py", "1 / 0"), tmp_path / "log") as peer,
        pytest.raises(ConfigError, match="ZeroDivisionError"),
    ):
        peer.run(file, 1)


def test_the_command_measures_a_bundle_and_draws_it(tmp_path: Path) -> None:
    """A table, every figure as JSON, and a picture that can be decoded; `bundle` need not be named."""
    png, figures = tmp_path / "b.png", tmp_path / "b.json"
    peer = " ".join(worker(tmp_path / "w.py", "0.0"))
    options = ["--engine", "onnxruntime", "--threads", "1", "--rounds", "2", "--per-round", "2", "--frame", "240x320"]
    done = CliRunner().invoke(
        app, ["bench", str(FAST), *options, "--peer", peer, "--png", str(png), "--json", str(figures)]
    )
    assert done.exit_code == 0, done.output
    assert "frame to score" in done.output
    found = json.loads(figures.read_text())
    assert found["verdict"]["count"] == 4
    assert found["peers"][0]["name"] == "peer"
    assert found["engine_tool"] is None  # only OpenVINO has one
    picture = decode_image(png.read_bytes()).array
    assert picture.shape[1] > picture.shape[0] > 100
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 3


def test_the_command_says_what_it_cannot_do(tmp_path: Path) -> None:
    """Exit code 2, and what to do."""
    done = CliRunner().invoke(app, ["bench", str(tmp_path / "none.bundle")])
    assert done.exit_code == 2
    assert "cannot be opened" in done.output
