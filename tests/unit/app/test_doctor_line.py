from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_runtime.app import doctor_devices, doctor_line
from edge_runtime.app.doctor import Finding, State, examine, probes
from edge_runtime.app.doctor_broker import connect_once
from edge_runtime.config.camera import FolderCameraSettings, OpenCvCameraSettings
from edge_runtime.config.combine import CombineSettings, MemberSettings
from edge_runtime.config.load import load_config
from edge_runtime.config.mqtt import MqttSettings, TlsSettings
from edge_runtime.config.plc import GpioSettings, ModbusRtuSettings, ModbusTcpSettings, NoPlcSettings
from edge_runtime.domain.errors import BundleError
from edge_runtime.ops.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mosquitto import Mosquitto, Subscriber

    from edge_runtime.config.line import LineConfig

ROOT = Path(__file__).parents[3]


@pytest.fixture
def listener() -> Iterator[int]:
    """A TCP port on which somebody answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_demo_is_ready_to_run() -> None:
    """Nothing about the shipped demonstration needs mending."""
    config = load_config(ROOT / "configs" / "demo.toml")
    found = list(examine(probes(config), patience_s=30))
    assert [finding for finding in found if finding.state is State.ERROR] == []
    assert {"bundle", "camera", "plc", "broker", "disk", "metrics port"} <= {finding.subject for finding in found}


def test_a_missing_bundle_says_what_to_do(tmp_path: Path) -> None:
    """The bundle's own error arrives in the report."""
    config = load_config(ROOT / "configs" / "demo.toml")
    bundle = config.bundle.model_copy(update={"path": tmp_path / "no.bundle"})
    found = list(
        examine([probe for probe in probes(config.model_copy(update={"bundle": bundle})) if probe.subject == "bundle"])
    )
    assert found[0].state is State.ERROR
    assert "no.bundle" in found[0].detail
    assert found[0].action


def test_every_model_of_a_line_that_combines_some_is_looked_at() -> None:
    """One finding for each bundle; the first that cannot be opened is the error."""
    config = load_config(ROOT / "configs" / "demo.toml")

    def with_further(name: str) -> LineConfig:
        combine = CombineSettings(rule="cascade", members=(MemberSettings(bundle=ROOT / "models" / name),))
        return config.model_copy(update={"recipe": config.recipe.model_copy(update={"combine": combine})})

    found = doctor_line.bundle(with_further("demo_fast.bundle"))
    assert [finding.detail.split(",")[0] for finding in found] == ["demo 1", "demo-fast 1"]
    with pytest.raises(BundleError, match=r"no\.bundle"):
        doctor_line.bundle(with_further("no.bundle"))


@pytest.mark.parametrize(
    ("source", "state", "words"),
    [
        ("/no/such/video.mp4", State.ERROR, "is not there"),
        ("99", State.ERROR, "99 is not there"),
        (99, State.ERROR, "/dev/video99 is not there"),
        ("rtsp://user:hunter2@127.0.0.1:1/s", State.ERROR, "127.0.0.1:1 cannot be reached"),
    ],
)
def test_a_camera_that_is_not_there(source: str | int, state: State, words: str) -> None:
    """Said without opening anything, and without the stream's password."""
    [finding] = doctor_line.camera(OpenCvCameraSettings(kind="opencv", source=source))
    assert finding.state is state
    assert words in finding.detail
    assert "hunter2" not in finding.detail + finding.action


def test_a_camera_that_answers(listener: int) -> None:
    """Reachable over the network is all that is tried."""
    [finding] = doctor_line.camera(OpenCvCameraSettings(kind="opencv", source=f"rtsp://127.0.0.1:{listener}/s"))
    assert finding.state is State.OK


def test_a_watched_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, fine, and a network share that needs polling."""
    settings = FolderCameraSettings(kind="folder", path=tmp_path)
    assert doctor_line.camera(settings)[0].state is State.OK
    assert doctor_line.camera(settings.model_copy(update={"path": tmp_path / "no"}))[0].state is State.ERROR
    monkeypatch.setattr(doctor_line, "filesystem_of", lambda _path: "cifs")
    [finding] = doctor_line.camera(settings)
    assert finding.action == "Set camera.polling = true."
    assert doctor_line.camera(settings.model_copy(update={"polling": True}))[0].state is State.OK


def test_the_way_to_the_plc(tmp_path: Path, listener: int) -> None:
    """TCP is connected to, a serial device and a GPIO chip are looked for; nothing is written to any of them."""
    reachable = ModbusTcpSettings(kind="modbus_tcp", host="127.0.0.1", port=listener)
    assert doctor_line.plc(reachable)[0].state is State.OK
    assert doctor_line.plc(reachable.model_copy(update={"port": 1}))[0].state is State.ERROR
    serial = ModbusRtuSettings(kind="modbus_rtu", device=tmp_path / "ttyX")
    assert "is not there" in doctor_line.plc(serial)[0].detail
    (tmp_path / "ttyX").touch()
    assert doctor_line.plc(serial)[0].state is State.OK
    gpio = doctor_line.plc(GpioSettings(kind="gpio", line=1, chip=tmp_path / "gpiochip9"))
    assert any("gpiochip9 is not there" in finding.detail for finding in gpio)
    assert doctor_line.plc(NoPlcSettings(kind="none"))[0].state is State.OK


def test_a_device_with_a_stable_name_is_recommended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/ttyUSB0 may be another adapter tomorrow; its by-id link is not."""
    device, links = tmp_path / "ttyUSB0", tmp_path / "by-id"
    device.touch()
    links.mkdir()
    (links / "usb-FTDI").symlink_to(device)
    assert doctor_devices.stable_name(device, links) == links / "usb-FTDI"
    assert doctor_devices.stable_name(tmp_path / "other", links) is None
    monkeypatch.setattr(doctor_line, "stable_name", lambda path: doctor_devices.stable_name(path, links))
    [finding] = doctor_line.plc(ModbusRtuSettings(kind="modbus_rtu", device=device))
    assert finding.state is State.WARNING
    assert str(links / "usb-FTDI") in finding.action


def test_cameras_are_listed_with_their_names(tmp_path: Path) -> None:
    """Without opening them: the line may be using one."""
    assert doctor_devices.cameras(tmp_path)[0].detail == "no V4L2 camera is plugged in"
    (tmp_path / "video0").touch()
    (tmp_path / "classes" / "video0").mkdir(parents=True)
    (tmp_path / "classes" / "video0" / "name").write_text("Global Shutter Camera\n")
    [finding] = doctor_devices.cameras(tmp_path, tmp_path / "classes")
    assert "video0 Global Shutter Camera" in finding.detail


def test_a_device_without_permission_names_its_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commonest fault of all: the user is not in dialout."""
    device = tmp_path / "ttyUSB0"
    device.touch()
    monkeypatch.setattr(os, "access", lambda *_: False)
    finding = doctor_devices._access("serial port", device, "")
    assert finding.state is State.WARNING
    assert "usermod -aG " in finding.action


def test_secret_files_are_guarded(tmp_path: Path) -> None:
    """Missing ones are errors; one that everybody may read is worth a warning; a credential needs the unit."""
    password = tmp_path / "password"
    settings = MqttSettings(user_name="u", password_file=password, tls=TlsSettings(ca_file=tmp_path / "ca.pem"))
    assert [finding.state for finding in doctor_line.mqtt_files(settings)] == [State.ERROR, State.ERROR]
    password.write_text("hunter2\n")
    (tmp_path / "ca.pem").write_text("x")
    password.chmod(0o644)
    [finding] = doctor_line.mqtt_files(settings)
    assert finding.action == f"chmod o-r {password}"
    password.chmod(0o640)
    assert doctor_line.mqtt_files(settings) == []
    [finding] = doctor_line.mqtt_files(MqttSettings(user_name="u", password_credential="mqtt"))  # noqa: S106
    assert "LoadCredential=" in finding.action


def test_a_taken_metrics_port_is_only_a_warning(listener: int) -> None:
    """It is probably the daemon's."""
    assert doctor_line.metrics_port(listener)[0].state is State.WARNING
    assert doctor_line.metrics_port(0)[0].state is State.OK
    assert doctor_line.metrics_port(None)[0].state is State.OK


@pytest.mark.needs_mosquitto
def test_the_broker_is_really_asked(make_mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> None:
    """Right password: accepted. Wrong one: refused, and the finding says which setting to look at."""
    passwords = tmp_path / "passwords"
    passwords.write_text("pi:$7$101$YmFzZTY0c2FsdA==$x\n")
    passwords.chmod(0o600)
    broker = make_mosquitto(["allow_anonymous false", f"password_file {passwords}"])
    open_broker = make_mosquitto()
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    settings = MqttSettings(port=broker.port, user_name="pi", password_file=secret)
    [refused] = doctor_line.broker(settings, "pi-1")
    assert refused.state is State.ERROR
    assert "password" in refused.action
    for version in ("5", "3.1.1"):
        accepted = doctor_line.broker(MqttSettings(port=open_broker.port, version=version), "pi-1")
        assert accepted[0].state is State.OK


@pytest.mark.needs_mosquitto
def test_the_doctor_leaves_the_lines_topics_alone(mosquitto: Mosquitto, subscribe: Callable[..., Subscriber]) -> None:
    """The daemon may be running: no status, no will and no stolen client name."""
    subscriber = subscribe(mosquitto.port, "#")
    finding = connect_once(MqttSettings(port=mosquitto.port), "pi-1", SystemClock())
    assert finding.state is State.OK
    assert "edge-pi-1-doctor-" in mosquitto.log()
    assert subscriber.received == []


@pytest.mark.needs_mosquitto
def test_a_look_at_the_broker_leaves_nothing_open(mosquitto: Mosquitto, no_leaks: None) -> None:
    """Neither a thread nor a socket."""
    assert connect_once(MqttSettings(port=mosquitto.port), "pi-1", SystemClock()).state is State.OK


def test_something_that_is_no_broker_is_not_waited_for(listener: int) -> None:
    """It takes our connection and says nothing, for ever: an answer comes all the same."""
    done: list[Finding] = []
    thread = threading.Thread(
        target=lambda: done.append(connect_once(MqttSettings(port=listener), "pi-1", SystemClock()))
    )
    thread.start()
    thread.join(30.0)
    assert not thread.is_alive()
    assert done[0].state is State.ERROR


def test_no_broker_at_all_is_an_error_with_advice() -> None:
    """Nothing listens there."""
    [finding] = doctor_line.broker(MqttSettings(port=1), "pi-1")
    assert finding.state is State.ERROR
    assert finding.action.startswith("Start the broker")
