"""The further models of a line that combines several: opened, proved, and put beside its own.

What combines them is imported where a line does so.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from edge_runtime.app.activation import start_release
from edge_runtime.app.inspection import inspector_of
from edge_runtime.app.models import proved
from edge_runtime.app.recipe import limits_in_force
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.domain.audit import combination_activated
from edge_runtime.domain.errors import BundleError
from edge_runtime.domain.update import UpdateState
from edge_runtime.domain.verdict import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.app.inspection import Inspector
    from edge_runtime.app.models import ModelMaker, Opener
    from edge_runtime.app.sharing import Assemble
    from edge_runtime.bundles.store_port import UpdateStore
    from edge_runtime.config.combine import CombineSettings, MemberSettings
    from edge_runtime.config.line import LineConfig
    from edge_runtime.domain.audit import Attribution
    from edge_runtime.domain.combination import Combination
    from edge_runtime.domain.records import EventRecord
    from edge_runtime.domain.update import StoredRelease
    from edge_runtime.domain.verdict import BundleIdentity
    from edge_runtime.ops.clock import Clock
    from edge_runtime.services.model_swap import Model, Models
    from edge_runtime.services.panel import Panel


@dataclass(frozen=True, slots=True)
class Member:
    """A further model, loaded and proved."""

    inspector: Inspector
    opener: Opener | None
    """Loads it once more; None: it cannot be."""
    limits: Limits
    """In force for it."""
    release: StoredRelease | None = None
    """The one that it is, on a line with a product."""


def open_members(
    config: LineConfig,
    own: Inspector,
    store: UpdateStore | None = None,
    assemble: Assemble = inspector_of,
    release: StoredRelease | None = None,
) -> tuple[Member, ...]:
    """The models in `recipe.combine.members`, each proved on its golden images; none where there are none.

    One release at a time goes on trial: where the line's own, or one before it here, is on trial, a further model
    starts with its last-known-good release, if there is one.

    Args:
        config: of the line.
        own: the line's own model.
        store: this device's releases, on a line with a product.
        assemble: puts a bundle on its engine.
        release: which the line's own model is, on a line with a product.

    Raises:
        EdgeError: one cannot be used here, gives other scores than it was made with, or is there twice.
    """
    combine = config.recipe.combine
    if combine is None:
        return ()
    with contextlib.ExitStack() as undo:
        members: list[Member] = []
        for settings in combine.members:
            so_far = (release, *(member.release for member in members))
            refuse = partial(_refuse, combine, _bundles(own, members))
            may_try = not any(map(_is_on_trial, so_far))
            member = _opened(config, settings, store, assemble, may_try=may_try, refuse=refuse)
            undo.callback(member.inspector.close)
            members.append(member)
        refuse_doubles(_bundles(own, members))
        limits = (limits_in_force(config.recipe, own.bundle.calibration.limits), *(member.limits for member in members))
        for place, (bundle, theirs) in enumerate(zip(_bundles(own, members), limits, strict=True)):
            refuse_shares(combine, place, bundle, theirs)
        undo.pop_all()
        return tuple(members)


def _refuse(combine: CombineSettings, before: Sequence[BundleIdentity], inspector: Inspector) -> None:
    """A release on trial is rolled back for it at once; the line starts with the one before."""
    identity = inspector.bundle.identity
    refuse_doubles([*before, identity])
    refuse_shares(combine, len(before), identity, inspector.bundle.calibration.limits)


def _opened(
    config: LineConfig,
    settings: MemberSettings,
    store: UpdateStore | None,
    assemble: Assemble,
    *,
    may_try: bool,
    refuse: Callable[[Inspector], None],
) -> Member:
    """Proved."""
    if settings.product is not None and store is not None:
        start = start_release(config, store, settings.product, assemble, may_try=may_try, refuse=refuse)
        return Member(start.inspector, start.opener, start.inspector.bundle.calibration.limits, start.release)
    path = settings.bundle
    if path is None:
        raise AssertionError  # the configuration is refused where a model is named that a line like this cannot have

    def opener() -> Inspector:
        return assemble(open_bundle(path, trust=config.bundle.trust), config.engine)

    inspector = proved(opener)
    return Member(inspector, opener, limits_in_force(settings, inspector.bundle.calibration.limits))


def _is_on_trial(release: StoredRelease | None) -> bool:
    return release is not None and release.state is UpdateState.TRIAL


def refuse_doubles(identities: Sequence[BundleIdentity]) -> None:
    """No model stands beside itself.

    Raises:
        BundleError: one is there twice.
    """
    seen: set[str] = set()
    for identity in identities:
        if identity.digest in seen:
            raise BundleError(
                f"{identity.name} {identity.version} is combined with itself: two files hold the same bundle",
                "Name another bundle in [[recipe.combine.members]], or take this one out.",
            )
        seen.add(identity.digest)


def refuse_shares(combine: CombineSettings, place: int, identity: BundleIdentity, limits: Limits) -> None:
    """A share of a limit says something only where the limit is above 0.

    Args:
        combine: the settings.
        place: of the model; 0 is the line's own.
        identity: of its bundle.
        limits: in force for it.

    Raises:
        BundleError: its doubt is stated in shares, and its limit is not.
    """
    settings = _all_terms(combine)[place]
    widened = (settings.doubt_from_percent, settings.doubt_to_percent) != (100, 100)
    if widened and limits.review <= 0:
        raise BundleError(
            f"the doubt of {identity.name} {identity.version} is given in percent of its limits, and its review "
            f"limit is {limits.review:g}",
            "Leave doubt_from_percent and doubt_to_percent out: it is in doubt where it says REVIEW.",
        )


def _all_terms(combine: CombineSettings) -> tuple[CombineSettings | MemberSettings, ...]:
    """Of the line's own model, then of the others."""
    return (combine, *combine.members)


def member_models(members: Sequence[Member], maker: ModelMaker) -> tuple[Model, ...]:
    """As the line takes them, each with its own limits."""
    return tuple(
        maker.made(member.inspector, member.opener, _product_of(member), limits=member.limits) for member in members
    )


def _product_of(member: Member) -> str:
    return "" if member.release is None else member.release.terms.product


def _bundles(own: Inspector, members: Sequence[Member]) -> tuple[BundleIdentity, ...]:
    """The line's own, then the others."""
    return tuple(inspector.bundle.identity for inspector in (own, *(member.inspector for member in members)))


def panel_of(config: LineConfig, models: Models, clock: Clock) -> Panel | None:
    """None where the line has one model at a time."""
    combine = config.recipe.combine
    if combine is None:
        return None
    from edge_runtime.services.panel import Panel  # noqa: PLC0415  (most lines have one model)

    return Panel(combination_of(combine), models, clock)


def combination_of(combine: CombineSettings) -> Combination:
    """The settings as the rules take them."""
    from edge_runtime.domain.combination import Combination, Doubt, Rule, Terms  # noqa: PLC0415  (likewise)

    terms = tuple(
        Terms(settings.weight, Doubt(settings.doubt_from_percent / 100, settings.doubt_to_percent / 100))
        for settings in _all_terms(combine)
    )
    return Combination(Rule(combine.rule), terms, Limits(combine.limits.review, combine.limits.reject))


def combination_record(
    config: LineConfig, note: str | None, members: Sequence[Member], by: Attribution, wall_ns: int
) -> EventRecord | None:
    """Which further models look at parts from now on, by which rule; None where that is as it was.

    Args:
        note: what the last such record noted.
    """
    rule = "" if config.recipe.combine is None else config.recipe.combine.rule
    models = [(m.inspector.bundle.identity, m.inspector.engine_description, m.limits) for m in members]
    return combination_activated(note, rule, models, by, wall_ns)
