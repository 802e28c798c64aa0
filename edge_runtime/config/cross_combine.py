"""Settings of `[recipe.combine]` that contradict others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.config.finding import finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.config.combine import CombineSettings
    from edge_runtime.config.engine import BundleSettings
    from edge_runtime.config.finding import Finding
    from edge_runtime.config.line import LineConfig

_TABLE = "recipe.combine"


def combine_contradictions(config: LineConfig) -> Iterator[Finding]:
    """Errors between keys that are each fine."""
    combine, bundle = config.recipe.combine, config.bundle
    if combine is None:
        return
    if config.products is not None:
        yield finding("does not go with [products]: each product would need models of its own", _TABLE, "products")
    if config.rollout.enabled:
        yield finding(
            "does not go with [rollout]: a candidate is compared with one model, not with several",
            _TABLE,
            "rollout.enabled",
        )
    yield from _sources(combine, bundle)
    yield from _without_effect(combine)


def _sources(combine: CombineSettings, bundle: BundleSettings) -> Iterator[Finding]:
    """All models of a line come the same way: what is trusted of one is trusted of all."""
    of_all = [str(bundle.path or bundle.product), *(str(member.bundle or member.product) for member in combine.members)]
    for name in {name for name in of_all if of_all.count(name) > 1}:
        yield finding(f"{name} is named twice: a model cannot stand beside itself", f"{_TABLE}.members")
    if bundle.product is None:
        if any(member.product is not None for member in combine.members):
            yield finding("product goes with bundle.product; beside a file stand files", f"{_TABLE}.members", "bundle")
        return
    if any(member.bundle is not None for member in combine.members):
        text = "bundle goes with bundle.path; beside signed releases stand signed releases: name their product"
        yield finding(text, f"{_TABLE}.members", "bundle.product")
    if any(member.limits is not None for member in combine.members):
        text = "limits belong to the scores of one model, and a release may change it: they come with each release"
        yield finding(text, f"{_TABLE}.members", "bundle.product")


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
