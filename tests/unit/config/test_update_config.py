"""A line runs one file, or the signed releases of a product."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge_runtime.config.describe import describe
from edge_runtime.config.load import load_config
from edge_runtime.config.problems import InvalidConfigError

if TYPE_CHECKING:
    from pathlib import Path

HEAD = 'device = {name = "line", state_dir = "s"}\ncamera = {kind = "sim"}\n'


@pytest.mark.parametrize(
    ("bundle", "key", "message"),
    [
        ("", "bundle", "set either path or product"),
        ('product = "-gear"\n', "bundle.product", "neither a dot nor a dash first"),
        ('path = "a"\nproduct = "b"\n', "bundle", "set either path or product"),
        ('path = "a"\ntrust = "production"\n', "bundle.trust", "name the product in bundle.product"),
        ('product = "a"\n', "bundle.product", 'set bundle.trust = "production"'),
        ('product = "a b"\ntrust = "production"\n', "bundle.product", "1 to 64 letters"),
        ('product = "a"\ntrust = "production"\n[updates]\nkeep_version = 3\n', "updates.keep_version", "keep_versions"),
        ('product = "a"\ntrust = "production"\n[updates]\nkeep_versions = 1\n', "updates.keep_versions", "at least 2"),
    ],
)
def test_a_contradiction_is_named(tmp_path: Path, bundle: str, key: str, message: str) -> None:
    """With the key to correct, and to what."""
    path = tmp_path / "line.toml"
    path.write_text(HEAD + "[bundle]\n" + bundle)
    with pytest.raises(InvalidConfigError) as error:
        load_config(path)
    found = {problem.key: problem.message for problem in error.value.problems}
    assert message in found[key]


@pytest.mark.parametrize(
    "url",
    ["http://maria:secret@host/edge", "https://host/edge?token=secret", "https://host/edge#1", "https://", "host/edge"],
)
def test_an_address_carries_no_secret(tmp_path: Path, url: str) -> None:
    """None would be sent, and error messages name the address: refused without repeating it."""
    path = tmp_path / "line.toml"
    path.write_text(f'{HEAD}[bundle]\nproduct = "gear"\ntrust = "production"\n[updates.ota]\nurl = "{url}"\n')
    with pytest.raises(InvalidConfigError) as error:
        load_config(path)
    assert [problem.key for problem in error.value.problems] == ["updates.ota.url"]
    assert "secret" not in error.value.diagnostics()


def test_a_product_is_described(tmp_path: Path) -> None:
    """As what it is: the releases that are signed for it."""
    path = tmp_path / "line.toml"
    path.write_text(HEAD + '[bundle]\nproduct = "gear"\ntrust = "production"\n')
    config = load_config(path)
    assert describe(config)["bundle"] == "the active signed release of product gear (production trust)"
    assert (config.updates.keep_versions, config.updates.after_install) == (5, "trial")
