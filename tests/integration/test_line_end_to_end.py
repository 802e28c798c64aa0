from __future__ import annotations

import json
import shutil
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from line_process import DEMO_BUNDLE, DaemonProcess, PlcProcess, SubscriberProcess, free_port, wait_until
from mosquitto import Mosquitto, require_mosquitto

from edge_runtime.camera.sim_scene import render_part
from edge_runtime.vision.encode import encode_png

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARTS = 40
DEFECTIVE = frozenset(range(5, PARTS, 7))


class FolderLine:
    """The daemon on a folder, with broker, PLC and subscriber, all as processes of their own."""

    def __init__(self, work: Path, broker: Mosquitto, plc: str, stack: ExitStack) -> None:
        self.work = work
        self.folder = work / "in"
        self.folder.mkdir()
        self.config = work / "line.toml"
        self.stack = stack
        self.metrics_port = free_port()
        self.config.write_text(
            f"""
            [device]
            name = "line"
            state_dir = "{work / "state"}"
            [bundle]
            path = "{DEMO_BUNDLE}"
            [camera]
            kind = "folder"
            path = "{self.folder}"
            after = "move"
            [recipe]
            decision_deadline_ms = 5000
            reject.delay_ms = 8000
            [plc]
            {plc}
            [mqtt]
            port = {broker.port}
            [ops]
            metrics_port = {self.metrics_port}
            """,
            encoding="utf-8",
        )
        self.subscriber = SubscriberProcess(broker.port, "edge/line/inspection", work / "messages.jsonl")
        stack.callback(self.subscriber.close)

    def start(self) -> DaemonProcess:
        """Start the daemon and wait until it is ready."""
        daemon = DaemonProcess(self.config, self.work / "daemon.log")
        self.stack.callback(daemon.close)
        daemon.wait_ready()
        return daemon

    def put(self, numbers: range) -> None:
        """Parts arrive in the folder as a camera's software would put them there."""
        for number in numbers:
            content = encode_png(render_part(7, number, defective=number in DEFECTIVE, width_px=320, height_px=240))
            partial = self.folder / f"part-{number:04d}.png.part"
            partial.write_bytes(content)
            partial.rename(self.folder / f"part-{number:04d}.png")

    def wait_for(self, count: int) -> None:
        """Until so many distinct verdicts are at the subscriber."""
        wait_until(lambda: len(self.subscriber.distinct()) >= count, f"{count} verdicts at the subscriber", 60)

    def evidence_named(self) -> set[str]:
        """Pictures that messages at the subscriber tell of."""
        return {m["evidence"] for m in self.subscriber.distinct().values() if m["evidence"] is not None}

    def evidence_kept(self) -> set[str]:
        """Pictures on the disk."""
        return {path.name for path in (self.work / "state" / "evidence").rglob("*.jpg")}

    def page(self, path: str) -> str:
        """A local page of the daemon."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}{path}", timeout=10) as answer:
            return str(answer.read().decode())


def _total(page: str, metric: str) -> float:
    """Sum of a metric over its labels."""
    return sum(float(row.rsplit(" ", 1)[1]) for row in page.splitlines() if row.startswith(metric))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends every process that a test started."""
    with ExitStack() as stack:
        yield stack


def _tcp_line(work: Path, broker: Mosquitto, stack: ExitStack) -> tuple[FolderLine, PlcProcess]:
    port = free_port()
    plc = PlcProcess(work / "plc.jsonl", "--tcp", str(port))
    stack.callback(plc.close)
    kind = f'kind = "modbus_tcp"\nhost = "127.0.0.1"\nport = {port}'
    return FolderLine(work, broker, kind, stack), plc


@pytest.fixture
def tcp_line(tmp_path: Path, mosquitto: Mosquitto, stack: ExitStack) -> tuple[FolderLine, PlcProcess]:
    """A line with a PLC on Modbus TCP."""
    return _tcp_line(tmp_path, mosquitto, stack)


@dataclass(frozen=True, slots=True)
class Finished:
    """A line that has inspected all parts and was stopped."""

    line: FolderLine
    plc: PlcProcess
    pages: dict[str, str]
    """What it served before its end."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    """Good and bad parts, before and after the start, and a truncated one."""
    require_mosquitto()
    work = tmp_path_factory.mktemp("line")
    with ExitStack() as stack:
        broker = Mosquitto(work / "mosquitto").start()
        stack.callback(broker.stop)
        line, plc = _tcp_line(work, broker, stack)
        line.put(range(10))
        daemon = line.start()
        line.put(range(10, PARTS))
        whole = encode_png(render_part(7, 99, defective=False, width_px=320, height_px=240))
        (line.folder / "cut.png").write_bytes(whole[: len(whole) // 2])
        line.wait_for(PARTS + 1)
        wait_until(lambda: len(plc.results()) >= PARTS + 1, "all results at the PLC")
        wait_until(lambda: _total(line.page("/metrics"), "edge_verdicts_total") == PARTS + 1, "the counters follow")
        wait_until(lambda: line.evidence_named() <= line.evidence_kept(), "its thread stands back behind all others")
        pages = {path: line.page(path) for path in ("/metrics", "/health", "/preview")}
        assert daemon.terminate() == 0
        yield Finished(line, plc, pages)


@pytest.mark.needs_mosquitto
def test_every_image_gets_one_verdict_at_the_subscriber_and_one_result_at_the_plc(finished) -> None:
    """Folder, subscriber and PLC agree, and the files are moved."""
    line, plc = finished.line, finished.plc
    messages = list(line.subscriber.distinct().values())
    assert len(line.subscriber.messages()) == len(messages) == PARTS + 1
    by_part = {m["part_id"]: m for m in messages}
    assert len(by_part) == PARTS + 1
    assert by_part["cut.png"]["disposition"] == "REJECT"
    assert by_part["cut.png"]["reason"] == "image_corrupt"
    results = {entry["part_sequence"]: entry for entry in plc.results()}
    assert sorted(results) == list(range(1, PARTS + 2))
    for message in messages:
        expected = "permit" if message["disposition"] == "PASS" else "reject"
        assert results[message["part_sequence"]]["gate"] == expected
    assert {m["bundle"]["trust"] for m in messages} == {"development"}
    assert [path.name for path in line.folder.iterdir()] == []


@pytest.mark.needs_mosquitto
def test_a_restart_inspects_nothing_twice_and_skips_nothing(tcp_line) -> None:
    """What came while the daemon was down is inspected, what was inspected before is not; numbering goes on."""
    line, _ = tcp_line
    line.config.write_text(line.config.read_text().replace('after = "move"', 'after = "keep"'))
    line.put(range(5))
    daemon = line.start()
    line.wait_for(5)
    assert daemon.terminate() == 0
    line.put(range(5, 9))
    daemon = line.start()
    line.wait_for(9)
    assert daemon.terminate() == 0
    messages = line.subscriber.distinct().values()
    assert sorted(m["part_id"] for m in messages) == [f"part-{n:04d}.png" for n in range(9)]
    assert sorted(m["part_sequence"] for m in messages) == list(range(1, 10))


@pytest.mark.needs_mosquitto
def test_the_local_pages_tell_what_happened(finished) -> None:
    """Prometheus counts, readiness with its reasons, and the live view."""
    health = json.loads(finished.pages["/health"])
    assert health["ready"] is True
    assert health["trust"] == "development"
    assert 'edge_verdicts_total{disposition="PASS"}' in finished.pages["/metrics"]
    assert "<html" in finished.pages["/preview"]


@pytest.mark.needs_mosquitto
def test_evidence_pictures_are_kept_for_what_did_not_pass(finished) -> None:
    """Each REVIEW and REJECT with a frame names a picture that is there."""
    named = finished.line.evidence_named()
    assert named
    assert named <= finished.line.evidence_kept()


@pytest.mark.needs_mosquitto
def test_limits_are_reloaded_without_losing_a_part(tcp_line) -> None:
    """SIGHUP with limits that no part can meet: from then on everything is rejected; a broken file changes nothing."""
    line, _ = tcp_line
    daemon = line.start()
    line.put(range(1))
    line.wait_for(1)
    text = line.config.read_text()
    line.config.write_text(text + "\n[recipe.limits]\nreview = -2.0\nreject = -1.0\n")
    daemon.process.send_signal(1)
    wait_until(lambda: "limits_changed" in (line.work / "daemon.log").read_text(), "the reload")
    line.config.write_text(line.config.read_text().replace('name = "line"', 'name = "other"'))
    daemon.process.send_signal(1)
    wait_until(lambda: "restart_needed" in (line.work / "daemon.log").read_text(), "what else has changed is told")
    line.config.write_text("half a fi")
    daemon.process.send_signal(1)
    wait_until(lambda: "reload_refused" in (line.work / "daemon.log").read_text(), "the refusal")
    line.put(range(1, 4))
    line.wait_for(4)
    assert daemon.terminate() == 0
    by_part = {m["part_id"]: m for m in line.subscriber.distinct().values()}
    assert [by_part[f"part-{n:04d}.png"]["disposition"] for n in (1, 2, 3)] == ["REJECT"] * 3
    assert by_part["part-0003.png"]["limits"] == {"review": -2.0, "reject": -1.0}


@pytest.mark.needs_mosquitto
def test_a_hung_plc_never_blocks_inspection(tcp_line) -> None:
    """With the PLC's process stopped, verdicts still reach the subscriber."""
    line, plc = tcp_line
    daemon = line.start()
    plc._process.send_signal(19)
    line.put(range(12))
    line.wait_for(12)
    plc._process.send_signal(18)
    assert daemon.terminate() == 0


@pytest.mark.needs_mosquitto
def test_results_reach_a_plc_on_a_serial_line(tmp_path, mosquitto, stack) -> None:
    """Modbus RTU over a virtual cable: every result with its own part sequence."""
    link = tmp_path / "ttyPLC"
    plc = PlcProcess(tmp_path / "plc.jsonl", "--pty", str(link))
    stack.callback(plc.close)
    kind = f'kind = "modbus_rtu"\ndevice = "{link}"\nparity = "N"'
    line = FolderLine(tmp_path, mosquitto, kind, stack)
    daemon = line.start()
    line.put(range(15))
    line.wait_for(15)
    wait_until(lambda: len(plc.results()) >= 15, "all results at the PLC")
    assert daemon.terminate() == 0
    assert [entry["part_sequence"] for entry in plc.results()] == list(range(1, 16))


def test_a_start_that_cannot_work_says_what_to_do(tmp_path) -> None:
    """A missing bundle: exit code 1 and an instruction, no traceback."""
    shutil.copyfile(DEMO_BUNDLE, tmp_path / "cut.bundle")
    with (tmp_path / "cut.bundle").open("r+b") as file:
        file.truncate(100_000)
    config = tmp_path / "line.toml"
    (tmp_path / "in").mkdir()
    config.write_text(
        f'[device]\nname = "x"\nstate_dir = "{tmp_path}/state"\n[bundle]\npath = "cut.bundle"\n'
        '[camera]\nkind = "folder"\npath = "in"\n[mqtt]\nenabled = false\n'
    )
    daemon = DaemonProcess(config, tmp_path / "daemon.log")
    try:
        assert daemon.process.wait(60) == 1
    finally:
        daemon.close()
    text = (tmp_path / "daemon.log").read_text()
    assert "cut.bundle" in text
    assert "Traceback" not in text
    assert "→" in text
