"""Settings of `[recipe.combine]` that contradict others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.config.finding import finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.config.combine import CombineSettings
    from edge_runtime.config.finding import Finding
    from edge_runtime.config.line import LineConfig

_TABLE = "recipe.combine"


def combine_contradictions(config: LineConfig) -> Iterator[Finding]:
    """Errors between keys that are each fine."""
    combine, bundle = config.recipe.combine, config.bundle
    if combine is None:
        return
    if bundle.product is not None:
        yield finding(
            "goes with bundle.path: a release of bundle.product may change the line's own model at any time, and how "
            "the others do beside the new one was never measured",
            _TABLE,
            "bundle.product",
        )
    if config.rollout.enabled:
        yield finding(
            "does not go with [rollout]: a candidate is compared with one model, not with several",
            _TABLE,
            "rollout.enabled",
        )
    files = [bundle.path, *(member.bundle for member in combine.members)]
    for file in {file for file in files if file is not None and files.count(file) > 1}:
        yield finding(f"{file} is named twice: a model cannot stand beside itself", f"{_TABLE}.members")
    yield from _without_effect(combine)


def _without_effect(combine: CombineSettings) -> Iterator[Finding]:
    """A key of another rule: whoever wrote it believes in something that does not happen."""
    rules = {"weight": "weighted", "limits": "weighted", "doubt_from_percent": "cascade", "doubt_to_percent": "cascade"}
    for name, rule in rules.items():
        if combine.rule == rule:
            continue
        if name in combine.model_fields_set:
            yield finding(f'is of use with rule = "{rule}" only', f"{_TABLE}.{name}", f"{_TABLE}.rule")
        # The limits of a member are its own, with any rule.
        if name != "limits" and any(name in member.model_fields_set for member in combine.members):
            yield finding(f'{name} is of use with rule = "{rule}" only', f"{_TABLE}.members", f"{_TABLE}.rule")
    last = combine.members[-1].model_fields_set
    if combine.rule == "cascade" and last & {"doubt_from_percent", "doubt_to_percent"}:
        yield finding("nobody looks after the last model, so its doubt has no effect", f"{_TABLE}.members")
