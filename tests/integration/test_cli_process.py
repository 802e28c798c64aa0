from __future__ import annotations

import json
import signal
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest
from line_process import wait_until

from edge_runtime.vision.decode import decode_image

ROOT = Path(__file__).parents[2]
EDGE = [sys.executable, "-m", "edge_runtime"]
PATIENCE_S = 60


def edge(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    return subprocess.run([*EDGE, *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def test_a_mistake_is_text_and_not_a_traceback(tmp_path: Path) -> None:
    """Whatever the command: what is wrong, what to do, and exit code 2 for what the user has to correct."""
    missing = edge("run", "--config", str(tmp_path / "no.toml"))
    assert missing.returncode == 2
    assert "no.toml: does not exist" in missing.stderr
    nowhere = edge("capture", "--camera", str(tmp_path / "no.mp4"), "--out", str(tmp_path / "out"))
    assert nowhere.returncode == 2  # a mistyped command line, as a mistyped configuration
    for result in (missing, nowhere):
        assert "Traceback" not in result.stderr
        assert "→" in result.stderr


def test_good_frames_are_captured_for_teaching(tmp_path: Path) -> None:
    """From the simulated conveyor: as many lossless pictures as asked for, all decodable."""
    out = tmp_path / "good"
    result = edge("capture", "--camera", "sim", "--out", str(out), "--count", "3", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["frames"] == 3
    assert [decode_image(file.read_bytes()).array.shape for file in sorted(out.iterdir())] == [(240, 320, 3)] * 3


def test_capture_ends_cleanly_at_ctrl_c(tmp_path: Path) -> None:
    """The summary comes, no half file stays."""
    good = tmp_path / "good"
    command = [*EDGE, "capture", "--camera", "sim", "--out", str(good)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: any(good.glob("*.png")), "the first frame is saved", PATIENCE_S)
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "stopped" in rest
    assert {file.suffix for file in good.iterdir()} == {".png"}


@pytest.mark.parametrize("heatmap", ["--heatmap", "--no-heatmap"])
def test_the_preview_serves_pictures_until_it_is_stopped(heatmap: str) -> None:
    """A real process on a free port: page, frame, figures and, with the bundle, the heatmap."""
    command = [*EDGE, "preview", str(ROOT / "configs" / "demo.toml"), "--port", "0", heatmap]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[2]
        port = int(address.split(":")[2].split("/")[0])

        def get(path: str) -> bytes:
            connection = HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", path)
            body = connection.getresponse().read()
            connection.close()
            return body

        wanted = "heatmap" if heatmap == "--heatmap" else "frame"
        while not json.loads(get("/preview/figures"))[wanted]:
            assert process.poll() is None
        assert decode_image(get(f"/preview/{wanted}.jpg")).array.shape == (240, 320, 3)
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_S)
    assert process.returncode == 0


def test_doctor_speaks_json_and_exits_by_what_it_found(tmp_path: Path) -> None:
    """0 where the line can run; 1 as soon as one finding is an error."""
    fine = edge("doctor", str(ROOT / "configs" / "demo.toml"), "--json")
    findings = json.loads(fine.stdout)
    assert fine.returncode == int(any(finding["state"] == "error" for finding in findings))
    file = tmp_path / "line.toml"
    file.write_text(
        "device={name='a',state_dir='s'}\nbundle.path='no.bundle'\ncamera={kind='folder',path='no'}\nmqtt.enabled=false\n"
    )
    broken = edge("doctor", str(file))
    assert broken.returncode == 1
    assert "no.bundle" in broken.stdout.replace("\n", "")


def test_check_is_quick_enough_for_an_editor() -> None:
    """It loads no engine, no camera and no broker library."""
    code = (
        "import sys; from edge_runtime.cli.main import app; from typer.testing import CliRunner;"
        f"r = CliRunner().invoke(app, ['check', {str(ROOT / 'configs' / 'demo.toml')!r}]); assert r.exit_code == 0;"
        "print([m for m in ('onnxruntime', 'openvino', 'cv2', 'paho', 'pymodbus', 'numpy') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert result.stdout == "[]\n"
