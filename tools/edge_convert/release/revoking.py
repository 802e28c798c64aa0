"""Revoking releases: a new one, signed, that forbids those before it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_convert.release.releasing import history, sign, terms_of
from edge_runtime.bundles.release_layout import target_path
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_convert.release.releasing import Released
    from edge_convert.release.repository import Standing
    from edge_convert.release.station import Station
    from edge_runtime.domain.model_bundle import ModelBundle


def revoke(station: Station, product: str, below: int, *, reissue: int | None = None) -> Released:
    """Sign a release again, as a new one with which devices never activate an older one than `below` again.

    Args:
        station: signs.
        product: whose releases are revoked.
        below: every counter smaller than this is revoked.
        reissue: the counter of the release whose content is signed again; None: the current one.

    Raises:
        ConfigError: no such release; the content is among the revoked and was not asked for by its counter; the floor
            would fall, or lie above what is signed now.
        BundleError: a device would refuse it.
    """
    now = station.repository.read()
    past = history(station, product)
    base = _current(now, product, past) if reissue is None else _with_counter(past, product, reissue)
    counter = now.targets.version + 1
    floor = max(terms_of(one).min_counter for one in past)
    if not floor < below <= counter:
        raise ConfigError(
            f"releases of {product} below {below} cannot be revoked",
            f"Name a counter above {floor}, which is in force, and up to {counter}, which the new release gets.",
        )
    if reissue is None and terms_of(base).counter < below:
        raise ConfigError(
            f"the current release of {product} (counter {terms_of(base).counter}) is among those to be revoked",
            "Release a sound bundle with `edge-convert release --min-counter`, or name a sound earlier release with "
            f"--reissue: {', '.join(str(terms_of(one).counter) for one in past)}.",
        )
    return sign(station, now, base, replace(terms_of(base), counter=counter, min_counter=below))


def _current(now: Standing, product: str, past: Sequence[ModelBundle]) -> ModelBundle:
    listed = now.targets.targets.get(target_path(product))
    for one in past:
        if listed is not None and one.identity.digest == listed.hashes["sha256"]:
            return one
    raise ConfigError(f"{product!r} has no release", f"There are: {', '.join(now.products) or 'none'}.")


def _with_counter(past: Sequence[ModelBundle], product: str, counter: int) -> ModelBundle:
    for one in past:
        if terms_of(one).counter == counter:
            return one
    known = ", ".join(str(terms_of(one).counter) for one in past) or "none"
    raise ConfigError(f"{product!r} has no release with counter {counter}", f"It has: {known}.")
