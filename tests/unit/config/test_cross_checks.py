from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge_runtime.config.cross import REGISTER_BLOCK
from edge_runtime.config.describe import describe, public_source
from edge_runtime.config.load import read_config
from edge_runtime.config.problems import InvalidConfigError
from edge_runtime.plc.registers import DEVICE_WORDS, PLC_WORDS, SPARE_WORDS

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """device = {name = "line-1", state_dir = "/s"}
bundle = {path = "/b"}
"""
BUNDLE_KEY = 'bundle = {path = "/b"}'
PRODUCTS = "[products]\n"
GEAR = PRODUCTS + 'codes.1 = "gear"\n'
FOLDER = 'camera = {kind = "folder", path = "/in"}\n'
MODBUS = '[plc]\nkind = "modbus_tcp"\nhost = "plc"\n'
RELAY = '[plc]\nkind = "serial_relay"\ndevice = "/dev/serial/by-id/x"\n'
SIM = 'camera = {kind = "sim"}\n[plc]\nkind = "sim"\n'


@pytest.mark.parametrize(
    ("text", "key", "fragment"),
    [
        (FOLDER + RELAY + '[recipe]\ngate = "permit"\n', "recipe.gate", "needs a PLC with a handshake"),
        (FOLDER + '[recipe]\ngate = "permit"\n', "recipe.gate", "needs a PLC with a handshake"),
        (FOLDER + '[recipe]\ngate = "fire"\n', "recipe.gate", "needs something to fire"),
        (FOLDER + MODBUS + '[recipe]\ngate = "fire"\n', "recipe.gate", "needs plc.ejector_coil"),
        (FOLDER + MODBUS + "result_address = 190\n", "plc.status_address", "would overlap"),
        (FOLDER + RELAY + "[recipe]\nreject.encoder_ticks = 5\n", "recipe.reject.encoder_ticks", "use delay_ms"),
        (FOLDER + RELAY + "[plc_link]\nwatch_trigger_count = true\n", "plc_link.watch_trigger_count", "counts parts"),
        (FOLDER + MODBUS + "[plc_link]\nwatch_trigger_count = true\n", "plc_link.watch_trigger_count", "part number"),
        (
            FOLDER + MODBUS + "[recipe]\ndecision_deadline_ms = 800\n",
            "recipe.decision_deadline_ms",
            "too late for a gate",
        ),
        ('camera = {kind="folder", path="/in", after="move", done_path="/in"}', "camera.done_path", "again"),
        ('camera = {kind="folder", path="/in", recursive=true, faulty_path="/in/f"}', "camera.faulty_path", "again"),
        ('camera = {kind="folder", path="/in", done_path="/d"}', "camera.done_path", 'set after = "move"'),
        (
            "camera = {kind='folder', path='/in', part_sequence_pattern='('}",
            "camera.part_sequence_pattern",
            "not a reg",
        ),
        (
            "camera = {kind='folder', path='/in', part_sequence_pattern='a'}",
            "camera.part_sequence_pattern",
            "one group",
        ),
        (FOLDER + '[engine]\nprovider = "cuda"\n', "engine.provider", 'set engine.name = "onnxruntime"'),
        (FOLDER + '[engine]\nname = "onnxruntime"\ndevice = "GPU"\n', "engine.device", "is OpenVINO's"),
        (FOLDER + "[mqtt]\nport = 0\n", "mqtt.port", "embedded"),
        (FOLDER + '[mqtt]\npassword_file = "/p"\n', "mqtt.password_file", "needs mqtt.user_name"),
        (FOLDER + "[mqtt]\nembedded = true\ntls = {}\n", "mqtt.tls", "no TLS"),
        (FOLDER + '[mqtt]\nversion = "3.1.1"\nmessage_expiry_s = 5\n', "mqtt.message_expiry_s", "MQTT 5"),
        (FOLDER + '[mqtt]\ntls.key_file = "/k"\n', "mqtt.tls.key_file", "certificate_file"),
        (FOLDER + GEAR + 'source = "file"\nfile_pattern = "x(.)"\n', "products", "needs bundle.product"),
        (FOLDER + '[updates.ota]\nurl = "https://releases"\n', "updates.ota", "bundle.product"),
        (FOLDER + '[mqtt]\ncommands = ["check_updates"]\n', "mqtt.commands", "[updates.ota]"),
        (
            FOLDER + RELAY + '[updates.signal]\nkind = "serial_relay"\ndevice = "/dev/serial/by-id/x"\n',
            "updates.signal.device",
            "another board",
        ),
        (
            FOLDER + '[plc]\nkind = "gpio"\nline = 4\n[updates.signal]\nkind = "gpio"\nline = 4\n',
            "updates.signal.line",
            "ejector",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path: Path, text: str, key: str, fragment: str) -> None:
    """Each key is fine alone; together they cannot work, and the error says what to change."""
    file = tmp_path / "line.toml"
    file.write_text(HEAD + text, encoding="utf-8")
    with pytest.raises(InvalidConfigError) as caught:
        read_config(file)
    [problem] = caught.value.problems
    assert problem.key == key
    assert fragment in problem.message


@pytest.mark.parametrize(
    ("text", "key", "fragment"),
    [
        (FOLDER + GEAR + 'source = "plc"\n', "products.source", "needs a PLC with registers"),
        (FOLDER + MODBUS + GEAR + 'source = "plc"\n', "products.source", "plc.product_address"),
        (
            FOLDER + MODBUS + "product_address = 210\n" + GEAR + 'source = "plc"\n',
            "plc.product_address",
            "in the block",
        ),
        (
            FOLDER + MODBUS + "product_address = 96\n" + GEAR + 'source = "plc"\n',
            "plc.product_address",
            "in the block of",
        ),
        (FOLDER + GEAR + 'source = "mqtt"\n', "products.source", '"product" among mqtt.commands'),
        (FOLDER + GEAR + 'source = "file"\n', "products.source", "products.file_pattern"),
        (FOLDER + GEAR + 'source = "file"\nfile_pattern = "("\n', "products.file_pattern", "not a regular"),
        (FOLDER + GEAR + 'source = "file"\nfile_pattern = "x"\n', "products.file_pattern", "one group"),
        (SIM + GEAR + 'source = "file"\nfile_pattern = "(x)"\n', "products.source", "watched folder"),
        (FOLDER + PRODUCTS + 'codes.1 = "shaft"\nsource = "file"\nfile_pattern = "(x)"\n', "products.codes", "no code"),
        *(
            (
                FOLDER + GEAR + f'codes.2 = "{name}"\nsource = "file"\nfile_pattern = "(x)"\n',
                "products.codes",
                "no name",
            )
            for name in ("a b", "", ".", "-gear", "x" * 65)
        ),
        (
            FOLDER + MODBUS + "product_address = 300\n" + GEAR + 'codes.A = "gear"\nsource = "plc"\n',
            "products.codes",
            "cannot stand in a register",
        ),
        (FOLDER + "[recipe]\nlimits = {review=1.0, reject=2.0}\n", "recipe.limits", "come with each release"),
    ],
)
def test_settings_of_a_line_with_products_that_contradict_each_other(
    tmp_path: Path, text: str, key: str, fragment: str
) -> None:
    """As above, on a line that names a product instead of a file."""
    file = tmp_path / "line.toml"
    head = HEAD.replace(BUNDLE_KEY, 'bundle = {product = "gear", trust = "production"}')
    assert head != HEAD
    file.write_text(head + text, encoding="utf-8")
    with pytest.raises(InvalidConfigError) as caught:
        read_config(file)
    assert [(problem.key, fragment in problem.message) for problem in caught.value.problems] == [(key, True)]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (FOLDER, {"bundle.trust"}),
        (FOLDER + RELAY, {"bundle.trust", "recipe.gate"}),
        (FOLDER + '[plc]\nkind = "modbus_rtu"\ndevice = "/dev/ttyUSB0"\n', {"bundle.trust", "plc.device"}),
        (FOLDER + '[plc]\nkind = "sim"\n', {"bundle.trust", "plc.kind"}),
        (SIM, {"bundle.trust"}),
        (SIM + "[simulation]\ntravel_ms = 900\n", {"bundle.trust", "recipe.reject.delay_ms"}),
        (SIM + "[mqtt]\nembedded = true\nport = 0\n", {"bundle.trust"}),
        (FOLDER + '[mqtt]\nhost = "b"\nuser_name = "u"\n', {"bundle.trust", "mqtt.user_name"}),
        (FOLDER + '[mqtt]\nhost = "localhost"\nuser_name = "u"\n', {"bundle.trust"}),
        (FOLDER + '[mqtt]\nhost = "b"\nuser_name = "u"\ntls = {}\n', {"bundle.trust"}),
        (FOLDER + "[mqtt]\nenabled = false\n", {"bundle.trust", "mqtt.enabled"}),
        (FOLDER + "[recipe]\ndecision_deadline_ms = 5000\n", {"bundle.trust"}),
    ],
)
def test_what_is_probably_not_meant_is_only_a_warning(tmp_path: Path, text: str, keys: set[str]) -> None:
    """The line may run like this; somebody should have a look. Without a gate no deadline can be too long."""
    file = tmp_path / "line.toml"
    file.write_text(HEAD + text, encoding="utf-8")
    assert {warning.key for warning in read_config(file).warnings} == keys


def test_the_distance_demanded_between_register_blocks_fits_the_map() -> None:
    """The configuration layer does not know the map; this keeps its figure true."""
    assert max(DEVICE_WORDS, PLC_WORDS) + SPARE_WORDS <= REGISTER_BLOCK


@pytest.mark.parametrize(
    ("plc", "words"),
    [
        (MODBUS, "permit: the PLC passes a part only"),
        (RELAY, "fire: this program switches"),
        ("", "none: verdicts are"),
    ],
)
def test_the_summary_says_what_the_gate_mode_means(tmp_path: Path, plc: str, words: str) -> None:
    """A technician reads whether the line is fail-safe."""
    file = tmp_path / "line.toml"
    file.write_text(HEAD + FOLDER + plc, encoding="utf-8")
    assert words in describe(read_config(file).config)["gate"]


def test_the_summary_says_how_many_parts_are_looked_at_side_by_side(tmp_path: Path) -> None:
    """Where it is more than one."""
    file = tmp_path / "line.toml"
    for engine, words in (("at_once = 1", "2 threads"), ("at_once = 3", "2 threads, 3 parts side by side")):
        file.write_text(HEAD + FOLDER + f"[engine]\nthreads = 2\n{engine}\n")
        assert describe(read_config(file).config)["engine"].endswith(words)


def test_the_summary_shows_no_camera_password() -> None:
    """User, password and tokens in a stream's URL stay out of every text."""
    shown = public_source("rtsp://admin:hunter2@10.0.0.5:554/s1?token=abc")
    assert shown == "rtsp://10.0.0.5:554/s1?…"
