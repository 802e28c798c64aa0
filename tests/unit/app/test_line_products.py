from __future__ import annotations

import pytest

from edge_runtime.app.stick_import import line_products
from edge_runtime.config.load import load_config

SEVERAL = """
[products]
source = "mqtt"
codes = { "1" = "shaft", "2" = "gear", "3" = "gear" }
[mqtt]
commands = ["product"]
"""


@pytest.mark.parametrize(
    ("bundle", "more", "expected"),
    [
        ('product = "gear", trust = "production"', "", ["gear"]),
        (
            'product = "gear", trust = "production"',
            SEVERAL,
            ["gear", "shaft"],
        ),
        ('path = "a.bundle"', "", []),
    ],
)
def test_a_line_takes_releases_of_what_it_inspects(tmp_path, bundle, more, expected) -> None:
    """Its first product, and those that it changes over to; none where it runs a file."""
    file = tmp_path / "line.toml"
    head = 'device = { name = "line-1", state_dir = "s" }\ncamera = { kind = "sim" }\n'
    file.write_text(f"{head}bundle = {{ {bundle} }}\n{more}", encoding="utf-8")
    assert line_products(load_config(file)) == expected
