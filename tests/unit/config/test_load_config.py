from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_runtime.config.load import load_config, read_config
from edge_runtime.config.problems import InvalidConfigError
from edge_runtime.domain.errors import ConfigError

SOUND = """
[device]
name = "line-1"
state_dir = "state"

[bundle]
path = "../models/a.bundle"

[camera]
kind = "folder"
path = "in"
"""


def written(folder: Path, text: str) -> Path:
    """The text as a configuration file."""
    file = folder / "line.toml"
    file.write_text(text, encoding="utf-8")
    return file


def problems(folder: Path, text: str) -> dict[str, tuple[int, str]]:
    """Key → line and message of everything that is wrong with the text."""
    with pytest.raises(InvalidConfigError) as caught:
        load_config(written(folder, text))
    return {problem.key: (problem.line, problem.message) for problem in caught.value.problems}


def test_every_error_is_reported_at_once_with_its_line(tmp_path: Path) -> None:
    """Unknown keys, wrong values, wrong kinds, missing keys and contradictions come together, each with its line."""
    found = problems(
        tmp_path,
        """[device]
name = "line one"

[bundel]
path = "a.bundle"

[camera]
kind = "opencv"
source = 0
width_px = -1

[plc]
kind = "gpio"
line = 3

[recipe]
gate = "permit"
decision_deadline_ms = inf

[mqtt]
port = "1883"
""",
    )
    assert {key: line for key, (line, _) in found.items()} == {
        "device.name": 2,
        "device.state_dir": 1,
        "bundel": 4,
        "camera.width_px": 10,
        "recipe.gate": 17,
        "recipe.decision_deadline_ms": 18,
        "mqtt.port": 21,
    }
    assert "did you mean `bundle`?" in found["bundel"][1]
    assert "at least" in found["camera.width_px"][1] or "greater than 0" in found["camera.width_px"][1]
    assert "handshake" in found["recipe.gate"][1]
    assert found["mqtt.port"][1] == "must be a whole number, not text"


def test_the_error_names_file_line_and_what_to_do(tmp_path: Path) -> None:
    """The text reads as editors understand it (file:line) and ends in an instruction."""
    file = written(tmp_path, SOUND + "recursiv = true\n")
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert caught.value.what == f"{file}:12: camera.recursiv: unknown key; did you mean `recursive`?"
    assert f"edge-runtime check {file}" in caught.value.action


@pytest.mark.parametrize(
    ("addition", "key", "fragment"),
    [
        ("Recursive = true", "camera.Recursive", "did you mean `recursive`?"),
        ("poll-interval-ms = 10", "camera.poll-interval-ms", "did you mean `poll_interval_ms`?"),
        ("width_px = 5", "camera.width_px", 'this key belongs to camera.kind = "opencv", "sim"'),
        ("topic_root = 'x'", "camera.topic_root", "did you mean it in table [mqtt]"),
        ("ca_file = 'x'", "camera.ca_file", "did you mean it in table [mqtt.tls]"),
        ("[recipes]", "recipes", "did you mean `recipe`?"),
        ("[rejects]", "rejects", "did you mean table [recipe.reject]?"),
        ("[qqqq]", "qqqq", "known here: device, bundle"),
        ("recursiv = 1", "camera.recursiv", "did you mean `recursive`? Its value must be true or false"),
        ("after = 'mov'", "camera.after", 'did you mean "move"? It is one of "keep", "move", "delete"'),
        ("after = 1", "camera.after", 'one of "keep", "move", "delete"'),
        ("patterns = '*.png'", "camera.patterns", "must be a list in [ ], not text"),
        ("patterns = ['*.png', 1]", "camera.patterns[1]", "must be text in quotes, not a whole number"),
        ("poll_interval_ms = 5.5", "camera.poll_interval_ms", "must be a whole number, not a number with a decimal"),
        ("poll_interval_ms = true", "camera.poll_interval_ms", "must be a whole number, not true or false"),
        ("done_path = 2024-01-01", "camera.done_path", "is a date or time to TOML; put it in quotes"),
        ('done_path = "a\\u0000b"', "camera.done_path", "NUL"),
        ("name = {}", "camera.name", "must be text in quotes, not a table"),
        ("[mqtt]\ntls = true", "mqtt.tls", "must be a table, not true or false"),
        ("[mqtt]\ntopic_root = 'a/#'", "mqtt.topic_root", "must be a topic without spaces, # and +"),
        ("[mqtt]\nport = 99999999999999999999", "mqtt.port", "must be"),
        ("[plc]\nkind = 'modbus'\nhost = 'x'", "plc.kind", 'did you mean "modbus_'),
        ("[plc]\nkind = 'zzzz'", "plc.kind", '"zzzz" is not known: it must be one of "modbus_tcp"'),
        ("[plc]\nhost = 'x'", "plc.kind", 'is missing; it is one of "modbus_tcp"'),
        ("[plc]\nkind = 'modbus_tcp'", "plc.host", "is missing"),
        ("[recipe.reject]\ndelay_ms = 1\nencoder_ticks = 1", "recipe.reject", "either delay_ms or encoder_ticks"),
        ("[recipe.reject]\ndelay_ms = '900'", "recipe.reject.delay_ms", "must be a number, not text"),
        ("[recipe]\nlimits = {review = 2, reject = 1}", "recipe.limits", "must not exceed"),
        ("[recipe]\nlimits = {review = nan, reject = 1.0}", "recipe.limits.review", "finite"),
        ("[recipe]\nfail_safe = 'PASS'", "recipe.fail_safe", '"REJECT", "REVIEW"'),
        ("[ops]\nmetrics_port = true", "ops.metrics_port", "must be a whole number"),
    ],
)
def test_each_mistake_is_explained_in_a_technicians_words(
    tmp_path: Path, addition: str, key: str, fragment: str
) -> None:
    """What is wrong and what would be right; the line found holds the key's last name."""
    text = SOUND + addition + "\n"
    found = problems(tmp_path, text)
    line, message = found[key]
    assert fragment in message
    assert len(found) == 1
    assert "pydantic" not in message
    assert "Input should" not in message
    if "missing" not in message:
        assert key.rsplit(".", 1)[-1].partition("[")[0] in text.splitlines()[line - 1]


def test_an_error_in_a_misspelt_table_is_found_in_the_same_run(tmp_path: Path) -> None:
    """[bundel] is taken for [bundle], so that its own mistakes do not wait for the next run."""
    found = problems(tmp_path, SOUND.replace("[bundle]", "[bundel]").replace('path = "../', 'pth = "../'))
    assert "did you mean `bundle`?" in found["bundel"][1]
    assert found["bundel.pth"][1] == "unknown key; did you mean `path`?"
    assert set(found) == {"bundel", "bundel.pth"}


def test_a_missing_table_is_one_error(tmp_path: Path) -> None:
    """Not one for each of its keys; and what else is wrong is still found."""
    found = problems(tmp_path, "[bundle]\npath = 'b'\n[recipe]\ngate = 'fire'\n[mqtt]\nport = 0\n")
    assert set(found) == {"device", "camera", "recipe.gate", "mqtt.port"}


def test_no_contradiction_is_invented_from_a_wrong_value(tmp_path: Path) -> None:
    """A check over several keys stays silent where one of them is wrong anyhow."""
    found = problems(tmp_path, SOUND + "[plc]\nkind='modbus_tcp'\nhost='x'\nejector_coil=-1\n[recipe]\ngate='fire'\n")
    assert set(found) == {"plc.ejector_coil"}


def test_a_secret_in_the_wrong_place_is_never_repeated(tmp_path: Path) -> None:
    """Somebody writes the password into the file: the error names the key and not the value."""
    file = written(tmp_path, SOUND + "[mqtt]\npassword = 'hunter2'\nuser_name = 7\ntls = 'hunter2'\n")
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert "hunter2" not in caught.value.diagnostics()
    assert "password_file" in caught.value.diagnostics()


def test_relative_paths_count_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the daemon is started, and also for a video file as the camera's source."""
    folder = tmp_path / "etc"
    folder.mkdir()
    file = written(folder, SOUND + "faulty_path = '/abs/faulty'\n[engine]\ncache_dir = '../cache'\n")
    monkeypatch.chdir("/")
    config = load_config(Path(os.path.relpath(file, "/")))
    assert config.device.state_dir == folder / "state"
    assert config.bundle.path == tmp_path / "models" / "a.bundle"
    assert config.engine.cache_dir == tmp_path / "cache"
    assert config.camera.kind == "folder"
    assert config.camera.faulty_path == Path("/abs/faulty")
    text = SOUND.replace('kind = "folder"\npath = "in"', 'kind = "opencv"\nsource = "clips/a.mp4"')
    opencv = load_config(written(folder, text)).camera
    assert opencv.kind == "opencv"
    assert opencv.source == str(folder / "clips" / "a.mp4")


@pytest.mark.parametrize("source", ["rtsp://cam/stream", "0", "http://cam/mjpeg"])
def test_urls_and_indices_are_not_paths(tmp_path: Path, source: str) -> None:
    """They stay as they are written."""
    text = SOUND.replace('kind = "folder"\npath = "in"', f'kind = "opencv"\nsource = "{source}"')
    camera = load_config(written(tmp_path, text)).camera
    assert camera.kind == "opencv"
    assert camera.source == source


@pytest.mark.parametrize(
    ("content", "fragment", "line"),
    [
        (b"", "is empty", 0),
        (b"# only a comment\n", "is empty", 0),
        (b'[device]\nname = "caf\xe9"\n', "is not UTF-8", 2),
        (b"[device]\nname = \n", "is not valid TOML: Invalid value", 2),
        (b"[device]\nstate_dir = var\n", "stand in quotes", 2),
        (b"[mqtt]\nhost = 127.0.0.1\n", "stand in quotes", 2),
        (b"[recipe.reject]\ndelay_ms = 0,5\n", "numbers have a point", 2),
        (b"[recipe]\nenabled = True\n", "written small", 2),
        (b"[device]\nname = 'x'\nname = 'y'\n[plc]\n", "there twice: keep one", 3),
        (b"[device]\nname = 'x'\nname = 'y'", "there twice: keep one", 3),
        (b"[device]\nname = 'x'\n[device]\n", "under one heading", 3),
        (b'[camera]\npath = "C:\\images"\n', "single quotes", 2),
        (b'[camera]\npath = "C:\\Users"\n', "single quotes", 2),
        (b"[device]\nname = 'x'\nname = 'y'\n", "is not valid TOML: Cannot overwrite a value", 3),
        (b'[device]\nname = "half writ', "is not valid TOML", 2),
        (b"\x00\x00\x00\x00", "is not valid TOML", 1),
        (b"x = " + b"9" * 5_000, "is not valid TOML", 1),
        (b"x = " + b"[" * 5_000, "nested far too deeply", 0),
        (b"#" * 1_000_001, "larger than 1 MB", 0),
    ],
)
def test_a_file_that_is_no_configuration_says_so(tmp_path: Path, content: bytes, fragment: str, line: int) -> None:
    """Empty, half written, binary, in another encoding: one clear error each, with the line where there is one."""
    file = tmp_path / "line.toml"
    file.write_bytes(content)
    with pytest.raises(InvalidConfigError) as caught:
        load_config(file)
    [problem] = caught.value.problems
    assert fragment in problem.message
    assert problem.line == line


def test_a_missing_file_and_a_folder_say_so(tmp_path: Path) -> None:
    """The path itself is wrong."""
    with pytest.raises(ConfigError, match="does not exist") as caught:
        load_config(tmp_path / "no.toml")
    assert "Check the path" in caught.value.action
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)


def test_windows_line_ends_and_byte_order_mark_are_fine(tmp_path: Path) -> None:
    """A file edited under Windows works, and its lines are counted right."""
    file = tmp_path / "line.toml"
    file.write_bytes(b"\xef\xbb\xbf" + SOUND.replace("\n", "\r\n").encode())
    assert load_config(file).device.name == "line-1"
    file.write_bytes(b"\xef\xbb\xbf" + (SOUND + "recursiv = true\n").replace("\n", "\r\n").encode())
    with pytest.raises(ConfigError, match=r":12: camera\.recursiv"):
        load_config(file)


def test_metrics_are_switched_off_with_false(tmp_path: Path) -> None:
    """TOML has no null."""
    assert load_config(written(tmp_path, SOUND + "[ops]\nmetrics_port = false\n")).ops.metrics_port is None


def test_warnings_do_not_stop_the_line(tmp_path: Path) -> None:
    """What is odd but works comes back beside the settings, with its line."""
    loaded = read_config(written(tmp_path, SOUND + "[mqtt]\nembedded = true\n"))
    assert {warning.key: warning.line for warning in loaded.warnings} == {"bundle.trust": 6, "mqtt.embedded": 13}
