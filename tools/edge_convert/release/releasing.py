"""Signing a bundle: what a device is told about it, and the list in which it stands."""

from __future__ import annotations

import datetime as dt
import hashlib
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tuf.api.metadata import TargetFile

from edge_convert.release.signing import next_metadata
from edge_runtime.bundles.manifest import MANIFEST_LIMIT_BYTES, from_domain, parse_release, render_release, to_domain
from edge_runtime.bundles.release_layout import CONTENTS_LIMIT, contents, target_path
from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.update import ReleaseTerms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_convert.release.repository import Standing
    from edge_convert.release.station import Station
    from edge_runtime.bundles.archive import OpenBundle
    from edge_runtime.domain.model_bundle import ModelBundle

RELEASED_NOTE: Final = "released"
"""Key in the notes: when the release was signed, ISO 8601, UTC."""


@dataclass(frozen=True, slots=True)
class Released:
    """What was signed."""

    digest: str
    terms: ReleaseTerms
    name: str
    version: str
    revision: int


def release(
    station: Station,
    bundle: OpenBundle,
    *,
    product: str,
    hardware: Sequence[str] = (),
    min_counter: int | None = None,
    counter: int | None = None,
) -> Released:
    """Sign a bundle as the current release of a product and put it into the repository.

    Args:
        station: signs.
        bundle: verified; its own terms, if it has any, do not count.
        product: what it inspects.
        hardware: devices that it is for; empty: any.
        min_counter: older releases of the product are never activated again; None: as before. It never falls.
        counter: to jump ahead (after keys were stolen and misused); None: the next one.

    Raises:
        ConfigError: another model has this name, version and revision; a counter would fall; too few keys.
        BundleError: a device would refuse it.
    """
    now = station.repository.read()
    content = replace(bundle.manifest, release=None)
    _require_own_name(station, now, product, content, hardware, min_counter)
    terms = _terms(station, now, product, hardware, min_counter, counter)
    for name, reference in bundle.manifest.payloads.items():
        station.repository.add_payload(reference.sha256, [bundle.payloads.read(name)])
    return sign(station, now, content, terms)


def sign(station: Station, now: Standing, content: ModelBundle, terms: ReleaseTerms) -> Released:
    """Sign content whose payloads are in the repository already.

    Raises:
        ConfigError: too few keys, or it is too large.
        BundleError: a device would refuse it.
    """
    if len(contents(content.payloads.values())) > CONTENTS_LIMIT:
        raise ConfigError(f"a release holds at most {CONTENTS_LIMIT} files", "Put fewer golden images into the bundle.")
    stamp = dt.datetime.fromtimestamp(station.now_s, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    notes = {**content.notes, RELEASED_NOTE: stamp}
    manifest = render_release(from_domain(replace(content, release=terms, notes=notes)))
    if len(manifest) > MANIFEST_LIMIT_BYTES:
        raise ConfigError(f"release.json would have {len(manifest)} bytes", "Put fewer scores into the bundle.")
    digest = hashlib.sha256(manifest).hexdigest()
    targets = deepcopy(now.targets)
    targets.version = terms.counter
    path = target_path(terms.product)
    targets.targets[path] = TargetFile(len(manifest), {"sha256": digest}, path)
    station.repository.add_manifest(terms.product, digest, manifest)
    station.publish(next_metadata(now, station.ring, station.now_s, station.validity, targets=targets), [terms.product])
    return Released(digest, terms, content.identity.name, content.identity.version, content.revision)


def history(station: Station, product: str) -> list[ModelBundle]:
    """Every release of a product, oldest first.

    Raises:
        BundleError: the repository is damaged.
    """
    found = []
    for content in station.repository.manifests(product):
        one = to_domain(parse_release(content, str(station.folder)), hashlib.sha256(content).hexdigest(), "production")
        if station.repository.was_published(product, one.identity.digest, terms_of(one).counter):
            found.append(one)
    return sorted(found, key=lambda one: terms_of(one).counter)


def terms_of(release: ModelBundle) -> ReleaseTerms:
    """The terms of a release, which it has."""
    if release.release is None:
        raise AssertionError  # only releases are in the repository
    return release.release


def _terms(
    station: Station,
    now: Standing,
    product: str,
    hardware: Sequence[str],
    min_counter: int | None,
    counter: int | None,
) -> ReleaseTerms:
    following = now.targets.version + 1
    if counter is not None and counter < following:
        raise ConfigError(f"counter {counter} has been used", f"Choose one from {following} on, or leave it out.")
    floor = max((terms_of(one).min_counter for one in history(station, product)), default=0)
    lowest = floor if min_counter is None else min_counter
    number = counter or following
    if not floor <= lowest <= number:
        raise ConfigError(
            f"releases of {product} below {lowest} cannot be the revoked ones",
            f"Choose a number from {floor}, which is in force, to {number}, this release's own.",
        )
    return ReleaseTerms(product, number, lowest, tuple(hardware))


def _require_own_name(
    station: Station,
    now: Standing,
    product: str,
    content: ModelBundle,
    hardware: Sequence[str],
    min_counter: int | None,
) -> None:
    past = history(station, product)
    mine = _essence(content)
    for one in past:
        if _label(one) == _label(content) and _essence(one) != mine:
            raise ConfigError(
                f"{product} has a release {_title(one)} with other content: nobody could tell the two apart",
                "Give the new model another version; for other limits use `edge-convert relimit`, which counts up the "
                "revision.",
            )
    listed = now.targets.targets.get(target_path(product))
    current = next((one for one in past if listed and one.identity.digest == listed.hashes["sha256"]), None)
    same_terms = current is not None and terms_of(current).hardware == tuple(hardware) and min_counter is None
    if current is not None and same_terms and _essence(current) == mine:
        raise ConfigError(
            f"{_title(content)} is the current release of {product} already (counter {terms_of(current).counter})",
            "Write it to a stick with `edge-convert stick`; `edge-convert renew` signs it for longer.",
        )


def _label(bundle: ModelBundle) -> tuple[str, str, int]:
    return bundle.identity.name, bundle.identity.version, bundle.revision


def _title(bundle: ModelBundle) -> str:
    name, version, revision = _label(bundle)
    return f"{name} {version}" + (f" revision {revision}" if revision else "")


def _essence(bundle: ModelBundle) -> bytes:
    """A manifest without what signing puts in."""
    notes = {key: text for key, text in bundle.notes.items() if key != RELEASED_NOTE}
    return render_release(from_domain(replace(bundle, release=None, notes=notes)))
