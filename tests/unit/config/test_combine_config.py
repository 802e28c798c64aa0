from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge_runtime.config.describe import describe
from edge_runtime.config.flat import flat
from edge_runtime.config.load import read_config
from edge_runtime.config.problems import InvalidConfigError

if TYPE_CHECKING:
    from pathlib import Path

HEAD = 'device = {name = "line-1", state_dir = "s"}\ncamera = {kind = "sim"}\n'
FILE = 'bundle = {path = "fast.bundle"}\n'
CASCADE = '[recipe.combine]\nrule = "cascade"\n'
MAJORITY = '[recipe.combine]\nrule = "majority"\n'
SIGNED = 'bundle = {product = "gear", trust = "production"}\n'
PRODUCT = '[[recipe.combine.members]]\nproduct = "exact"\n'
PRODUCTS = '[products]\nsource = "mqtt"\ncodes = {1 = "gear"}\n[mqtt]\ncommands = ["product"]\n'
MEMBER = '[[recipe.combine.members]]\nbundle = "slow.bundle"\n'


def _problems(tmp_path: Path, text: str) -> dict[str, str]:
    path = tmp_path / "line.toml"
    path.write_text(HEAD + text, encoding="utf-8")
    with pytest.raises(InvalidConfigError) as caught:
        read_config(path)
    return {problem.key: problem.message for problem in caught.value.problems}


def test_members_are_found_beside_the_file(tmp_path) -> None:
    """A relative path of a member counts from the configuration's folder, as any other; the record of it has them."""
    path = tmp_path / "line.toml"
    path.write_text(HEAD + FILE + CASCADE + MEMBER + MEMBER.replace("slow", "slower"), encoding="utf-8")
    config = read_config(path).config
    assert config.recipe.combine is not None
    assert [member.bundle for member in config.recipe.combine.members] == [
        tmp_path / "slow.bundle",
        tmp_path / "slower.bundle",
    ]
    assert "slower.bundle" in flat(config)["recipe.combine.members"]
    assert "slow.bundle" in describe(config)["models"]


@pytest.mark.parametrize(
    ("text", "key", "fragment"),
    [
        (FILE + CASCADE, "recipe.combine.members", "is missing"),
        (FILE + CASCADE + "members = []\n", "recipe.combine.members", "must have at least 1 in its list (has 0)"),
        (FILE + CASCADE + MEMBER + "bundel = 1\n", "recipe.combine.members[0].bundel", "did you mean `bundle`"),
        (FILE + CASCADE + MEMBER + "weight = 0\n", "recipe.combine.members[0].weight", "greater than 0"),
        (FILE + CASCADE + MEMBER + MEMBER, "recipe.combine.members", "named twice"),
        (FILE + "[engine]\nat_once = 2\n" + CASCADE + MEMBER, "engine.at_once", "one part after the other"),
        (FILE + CASCADE + MEMBER.replace("slow", "fast"), "recipe.combine.members", "named twice"),
        (FILE + CASCADE + "weight = 2\n" + MEMBER, "recipe.combine.weight", 'rule = "weighted" only'),
        (FILE + MAJORITY + "doubt_to_percent = 120\n" + MEMBER, "recipe.combine.doubt_to_percent", '"cascade" only'),
        (
            FILE + MAJORITY + MEMBER + "weight = 2\n",
            "recipe.combine.members",
            'weight is of use with rule = "w',
        ),
        (FILE + CASCADE + MEMBER + "doubt_to_percent = 120\n", "recipe.combine.members", "nobody looks after the last"),
        (SIGNED + CASCADE + MEMBER, "recipe.combine.members", "name their product"),
        (FILE + CASCADE + PRODUCT, "recipe.combine.members", "beside a file stand files"),
        (SIGNED + CASCADE + PRODUCT.replace("exact", "gear"), "recipe.combine.members", "gear is named twice"),
        (
            SIGNED + CASCADE + PRODUCT + "limits = {review = 1, reject = 2}\n",
            "recipe.combine.members",
            "with each release",
        ),
        (SIGNED + CASCADE + PRODUCT + 'bundle = "b"\n', "recipe.combine.members[0]", "either bundle or product"),
        (SIGNED + CASCADE + PRODUCT + PRODUCTS, "recipe.combine", "each product would need"),
        (FILE + '[rollout]\nenabled = true\ncandidate = "c"\n' + CASCADE + MEMBER, "recipe.combine", "[rollout]"),
    ],
)
def test_what_cannot_be_combined_is_refused_at_its_line(tmp_path, text, key, fragment) -> None:
    """Said by `edge-runtime check`, before anything is loaded."""
    problems = _problems(tmp_path, text)
    assert fragment in problems[key], problems


def test_common_limits_are_in_order(tmp_path) -> None:
    """Such limits would reject what they pass."""
    text = FILE + '[recipe.combine]\nrule = "weighted"\nlimits = {review = 0.9, reject = 0.8}\n' + MEMBER
    assert "must not exceed" in _problems(tmp_path, text)["recipe.combine.limits"]
