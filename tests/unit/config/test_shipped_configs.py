from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_runtime.config.load import read_config

CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.mark.parametrize("name", ["demo", "line-pc", "watched-folder", "raspberry-pi", "jetson"])
def test_the_configurations_that_ship_are_sound(name: str) -> None:
    """Each can be copied and used; what they warn of is the development trust and an honest word about fire mode."""
    loaded = read_config(CONFIGS / f"{name}.toml")
    expected = {"bundle.trust", "recipe.gate"} if name == "raspberry-pi" else {"bundle.trust"}
    assert {warning.key for warning in loaded.warnings} == expected


def test_the_example_of_signed_releases_is_sound(tmp_path: Path) -> None:
    """What line-pc.toml has as comments can be taken instead of the file, and warns of nothing."""
    text = (CONFIGS / "line-pc.toml").read_text(encoding="utf-8")
    for key in ("path", "trust"):
        text = re.sub(rf"^{key} = .*$", "", text, count=1, flags=re.MULTILINE)
    for line in (
        "product = ",
        "trust = ",
        "[updates.ota]",
        "url = ",
        "window = ",
        "[updates.signal]",
        "kind = ",
        "led = ",
    ):
        text, found = re.subn(rf"^# {re.escape(line)}", line, text, flags=re.MULTILINE)
        assert found == 1, line
    file = tmp_path / "line.toml"
    file.write_text(text, encoding="utf-8")
    loaded = read_config(file)
    assert (loaded.config.bundle.product, loaded.config.bundle.trust) == ("housing-A", "production")
    assert loaded.config.updates.ota is not None
    assert loaded.warnings == ()


def test_no_configuration_ships_untested() -> None:
    """A new file in configs/ has to be added here."""
    assert {path.stem for path in CONFIGS.glob("*.toml")} == {
        "demo",
        "line-pc",
        "watched-folder",
        "raspberry-pi",
        "jetson",
    }


def test_the_demo_needs_nothing_but_the_repository() -> None:
    """Simulated camera and PLC, own broker, the shipped bundle, state inside the ignored folder."""
    config = read_config(CONFIGS / "demo.toml").config
    root = CONFIGS.parent
    assert (config.camera.kind, config.plc.kind, config.mqtt.embedded) == ("sim", "sim", True)
    assert config.bundle.path == root / "models" / "demo.bundle"
    assert config.device.state_dir == root / "var" / "demo"
    assert (config.mqtt.port, config.ops.metrics_port) == (0, 0)
