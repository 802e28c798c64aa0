"""Sticks as a technician brings them: images with real file systems, the product's own commands, a line that runs."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from delivery_rig import (
    FuseFat,
    SignedLine,
    attached,
    ext4_image,
    fat_image,
    require_fusefat,
    require_loop_mounts,
    run,
    sign,
)
from line_process import DaemonProcess, free_port, wait_until
from station_parts import make_bench

from edge_runtime.app.stick import visit
from edge_runtime.app.stick_process import run_import
from edge_runtime.bundles.store_open import open_store
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator


class RunningLine(SignedLine):
    """A simulated line with a daemon that judges parts."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        super().__init__(
            folder,
            f"""
            camera = {{ kind = "sim" }}
            plc = {{ kind = "sim" }}
            mqtt = {{ enabled = false }}
            evidence = {{ enabled = false }}
            simulation = {{ parts_per_s = 10 }}
            ops = {{ metrics_port = {self.port} }}
            trial = {{ parts = 5, dwell_s = 0.5, reject_rate_max = 1.0, late_rate = 0.9, fault_rate = 0.9 }}
            updates = {{ usb = {{ takeover_wait_s = 60 }}, disk_reserve_mb = 0 }}
            """,
        )
        sign(self.bench, "1.0")
        assert "TAKEN" in self.command("updates", "import", str(self.stick("first")))
        self.store = open_store(self.state_dir / "updates", SystemClock())
        self.daemon = DaemonProcess(self.config, folder / "log")

    def wait_confirmed(self, version: str) -> None:
        """Until this version has passed its trial."""

        def is_good() -> bool:
            good = self.store.standing("part").known_good
            return good is not None and good.version == version

        wait_until(is_good, f"{version} is confirmed", 90)

    def close(self) -> None:
        """Stop the daemon."""
        self.store.close()
        self.daemon.close()

    def health(self) -> dict[str, Any]:
        """What the daemon says of itself."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health")
            found: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return found

    def reasons(self) -> set[str]:
        """Why it is not as it should be, and what it has to tell."""
        return {reason["name"] for reason in self.health()["reasons"]}

    def without_verdict(self) -> int:
        """Parts that the ledger knows and nobody judged soundly for want of a model."""
        exported = self.command("ledger", "export", str(self.state_dir), "--format", "jsonl")
        records = [json.loads(line) for line in exported.splitlines()]
        return sum(record.get("reason") in {"engine_error", "score_invalid"} for record in records)


@pytest.fixture(scope="module")
def line(tmp_path_factory) -> Iterator[RunningLine]:
    """One line for all sticks, as in the plant."""
    require_loop_mounts()
    with contextlib.closing(RunningLine(tmp_path_factory.mktemp("line"))) as running:
        running.daemon.wait_ready()
        running.wait_confirmed("1.0")
        yield running


def insert_ext4(line: RunningLine, content: Path) -> tuple[str, str]:
    """As the unit does it; the technician's view, and report.txt as it stands on the stick."""
    image = ext4_image(content, line.folder / f"{content.name}.img")
    with attached(image) as device:
        text = line.command("updates", "usb", str(device))
    return text, run("debugfs", "-R", "cat edge-updates/report.txt", str(image))


def insert_fat(line: RunningLine, content: Path) -> tuple[str, str]:
    """The same with FAT."""
    require_fusefat()
    image, place, mounter = fat_image(content, line.folder / f"{content.name}.fat"), line.folder / "mnt", FuseFat()
    place.mkdir(exist_ok=True)
    done = visit(image, place, mounter, lambda root, why: run_import(line.config, root, why, None), report=True)
    assert mounter.mounts == ["ro", "rw+"]
    return done.text, run("mtype", "-i", str(image), "::edge-updates/report.txt")


def test_an_ext4_stick_changes_the_model_of_a_running_line(line) -> None:
    """Insert, verify, self-test, active: the daemon runs the new model, and the stick says so."""
    sign(line.bench, "2.0")
    text, report = insert_ext4(line, line.stick("ext4"))
    assert "NEW MODEL ACTIVE: demo-fast 2.0" in text
    assert text.splitlines()[:-1] == report.replace("\r", "").rstrip("\n").splitlines()
    assert line.health()["bundle"] == "demo-fast 2.0"
    line.wait_confirmed("2.0")
    assert "update_taken" in line.reasons()


def test_a_fat_stick_with_a_bundle_in_parts_does_too(line) -> None:
    """As FAT32 needs it for a bundle over 4 GB."""
    sign(line.bench, "3.0")
    text, report = insert_fat(line, line.stick("fat", part_bytes=700_000))
    assert "NEW MODEL ACTIVE: demo-fast 3.0" in text
    assert report.startswith(text.splitlines()[0])
    assert line.health()["bundle"] == "demo-fast 3.0"
    line.wait_confirmed("3.0")


def test_a_wrong_stick_leaves_the_line_as_it_was(line, tmp_path) -> None:
    """Of another station, for other hardware, cut, and empty: each is answered in plain words, and nothing changes."""
    before = line.health()["bundle"]
    line.wait_confirmed(before.removeprefix("demo-fast "))
    (tmp_path / "elsewhere").mkdir()
    stranger = make_bench(tmp_path / "elsewhere", targets="1/1")
    sign(stranger, "9.0")
    sign(line.bench, "9.1", hardware=("jetson",))
    mixed = line.stick("wrong")
    shutil.copy(next((mixed / "edge-updates").iterdir()), mixed / "edge-updates" / "cut.bundle")
    os.truncate(mixed / "edge-updates" / "cut.bundle", 100_000)
    foreign = line.stick("foreign", bench=stranger)
    shutil.copy(next((foreign / "edge-updates").iterdir()), mixed / "edge-updates" / "foreign.bundle")
    text, report = insert_ext4(line, mixed)
    assert "NOTHING WAS CHANGED: what was brought was refused. The line goes on as before." in report
    words = " ".join(text.split())
    assert "it is for jetson, and this device is" in words
    assert "foreign.bundle is not signed by enough keys" in words
    assert text.count("REFUSED") == 3
    assert line.health()["bundle"] == before
    wait_until(lambda: "update_refused" in line.reasons(), "the line says so")
    assert line.without_verdict() == 0


def test_a_strange_stick_is_not_written_on(line, tmp_path) -> None:
    """Holiday pictures: looked at, not touched."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "beach.jpg").write_bytes(b"jpeg")
    image = ext4_image(tmp_path / "pictures", tmp_path / "pictures.img")
    before = image.read_bytes()
    with attached(image) as device:
        text = line.command("updates", "usb", str(device))
    assert "the stick has no folder edge-updates" in text
    assert image.read_bytes() == before


def test_an_unreadable_stick_is_answered(line, tmp_path) -> None:
    """No file system that we read: said so, to the line as well."""
    (tmp_path / "noise.img").write_bytes(b"\x5a" * 2_000_000)
    with attached(tmp_path / "noise.img") as device:
        text = line.command("updates", "usb", str(device))
    assert "cannot be read" in text
    assert "Format it as FAT32, exFAT or ext4" in " ".join(text.split())


def test_what_reads_the_stick_has_no_right_left(tmp_path_factory) -> None:
    """Mounted by root, read by nobody: the store belongs to that user, and so does every file in it."""
    require_loop_mounts()
    system = Path("/usr/bin/python3")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if not system.exists() or version not in run(str(system), "--version"):
        pytest.skip(f"needs /usr/bin/python3 to be Python {version}: another user cannot run {sys.executable}")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o755)
        python = shared_python(folder / "venv", system)
        line = SignedLine(
            folder, 'camera.kind = "sim"\nupdates = { usb = { takeover_wait_s = 0 }, disk_reserve_mb = 0 }'
        )
        nobody = pwd.getpwnam("nobody")
        for path in (line.state_dir, *line.state_dir.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        sign(line.bench, "1.0")
        with attached(ext4_image(line.stick("stick"), folder / "stick.img")) as device:
            told = subprocess.run(
                [python, "-m", "edge_runtime", "updates", "usb", device, "--config", line.config, "--user", "nobody"],
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
                cwd="/",
            )
        assert "TAKEN" in told.stdout, told.stdout + told.stderr
        assert "(report.txt is on the stick)" in told.stdout
        assert {path.stat().st_uid for path in line.state_dir.rglob("*")} == {nobody.pw_uid}


def shared_python(place: Path, system: Path) -> Path:
    """A Python that every user may run, with the packages of the one that runs here."""
    run(str(system), "-m", "venv", "--without-pip", str(place))
    packages = [path for path in sys.path if path.endswith("site-packages")]
    target = next((place / "lib").glob("python3*")) / "site-packages" / "here.pth"
    target.write_text("\n".join([*packages, str(Path(__file__).parents[2])]) + "\n")
    return place / "bin" / "python"
