from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.config.line import LineConfig
from edge_runtime.config.load import load_config
from edge_runtime.config.problems import InvalidConfigError
from edge_runtime.config.suggest import tables

SOUND = """
device = { name = "line-1", state_dir = "state" }
bundle = { path = "a.bundle" }
camera = { kind = "folder", path = "in" }
"""


def written(folder: Path, text: str) -> Path:
    """The text as a configuration file."""
    file = folder / "line.toml"
    file.write_text(text, encoding="utf-8")
    return file


@given(st.data())
def test_any_misspelt_key_is_led_back_to_the_right_one(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Two letters exchanged in any key of the device, engine, recipe or MQTT table: the right key is named."""
    choices = {name: model for name, model in tables(LineConfig) if name in {"engine", "recipe", "mqtt", "evidence"}}
    table = data.draw(st.sampled_from(sorted(choices)))
    long_names = sorted(name for name in choices[table].model_fields if len(name) > 5)
    key = data.draw(st.sampled_from(long_names))
    at = data.draw(st.integers(0, len(key) - 2))
    wrong = key[:at] + key[at + 1] + key[at] + key[at + 2 :]
    if wrong in choices[table].model_fields:
        return
    with pytest.raises(InvalidConfigError) as caught:
        load_config(written(tmp_path_factory.mktemp("typo"), f"{SOUND}\n[{table}]\n{wrong} = 1\n"))
    messages = {problem.key: problem.message for problem in caught.value.problems}
    assert f"`{key}`" in messages[f"{table}.{wrong}"]


VALUES = st.sampled_from(
    ["1", "-1", "1.5", "inf", "true", "'text'", "[]", "[1, 'a']", "{}", "{ a = 1 }", "2024-01-01", ""]
)
NAMES = st.sampled_from(["kind", "path", "limits", "reject", "tls", "name", "unknown", "bundle", "camera.kind", "plc"])


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 90), st.sampled_from(["cut", "value", "key", "header"]), VALUES, NAMES), max_size=4
    )
)
def test_no_damage_to_a_file_is_more_than_a_configuration_error(
    tmp_path_factory: pytest.TempPathFactory, damages: list[tuple[int, str, str, str]]
) -> None:
    """Lines lost, values and keys replaced, headers inserted: it loads, or every problem is named. Nothing else."""
    lines = (Path(__file__).parents[2] / "configs" / "line-pc.toml").read_text(encoding="utf-8").splitlines()
    for at, kind, value, name in damages:
        index = at % len(lines)
        key, _, old = lines[index].partition("=")
        lines[index] = {
            "cut": "",
            "value": f"{key}= {value}" if old else lines[index],
            "key": f"{name} ={old}" if old else lines[index],
            "header": f"[{name}]\n{lines[index]}",
        }[kind]
    file = written(tmp_path_factory.mktemp("damage"), "\n".join(lines))
    try:
        load_config(file)
    except InvalidConfigError as error:
        named = error.problems
    else:
        return
    assert named
    assert all(problem.message for problem in named)
