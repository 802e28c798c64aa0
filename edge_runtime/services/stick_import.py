"""Taking in what is on a stick: every bundle is looked at; of each product the newest for this device is taken."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from edge_runtime.bundles.install import RefusedReleaseError
from edge_runtime.bundles.slice import open_release_file
from edge_runtime.domain.delivery import Fate, Outcome
from edge_runtime.domain.errors import EdgeError
from edge_runtime.services.fates import fate_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from edge_runtime.bundles.install import Examined
    from edge_runtime.bundles.release_source import ReleaseSource
    from edge_runtime.bundles.trust import VerifiedRelease
    from edge_runtime.domain.update import StoredRelease

MOST_BUNDLES: Final = 50
WHO: Final = "USB stick"


class Installs(Protocol):
    """`bundles.install.Installer`, as far as it is needed here."""

    def examine(self, source: ReleaseSource) -> Examined:
        """Verify without taking."""

    def install(self, source: ReleaseSource, who: str) -> StoredRelease:
        """Take it."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A bundle that this device would take, or has."""

    path: Path
    verified: VerifiedRelease
    is_here: bool

    @property
    def order(self) -> tuple[int, int]:
        """Older signatures first: once a newer one is trusted, the older one is refused."""
        return self.verified.timestamp_version, self.verified.terms.counter


def release_words(verified: VerifiedRelease) -> str:
    """`cookies 1.4.0 (release 17)`."""
    identity = verified.manifest.identity
    return f"{identity.name} {identity.version} (release {verified.terms.counter})"


def take_in(
    files: Sequence[Path], installer: Installs, products: Collection[str], told: Callable[[str, tuple[Fate, ...]], None]
) -> tuple[Fate, ...]:
    """Take what is to be taken; never raises over a bundle.

    Args:
        files: the bundles, or the first parts of them.
        installer: of this device's store.
        products: what the line inspects; others are left alone.
        told: hears what is being done, and what is decided so far.

    Returns:
        One fate for each file, in their order.
    """
    fates: dict[Path, Fate] = {}
    candidates: list[_Candidate] = []
    for path in files[:MOST_BUNDLES]:
        told(f"checking {path.name}", tuple(fates.values()))
        found = _examined(path, installer, products)
        if isinstance(found, Fate):
            fates[path] = found
        else:
            candidates.append(found)
    newest = {one.verified.terms.product: one for one in sorted(candidates, key=lambda one: one.order[1])}
    for one in sorted(candidates, key=lambda one: one.order):
        if newest[one.verified.terms.product] is not one:
            fates[one.path] = _fate(one, Outcome.LEFT, "a newer one of the same product is on the stick")
            continue
        told(f"{release_words(one.verified)} from {one.path.name}", tuple(fates.values()))
        fates[one.path] = _taken(one, installer)
    for path in files[MOST_BUNDLES:]:
        fates[path] = Fate(path.name, Outcome.LEFT, what=f"only the first {MOST_BUNDLES} bundles are looked at")
    served = {fate.product for fate in fates.values() if fate.outcome in {Outcome.TAKEN, Outcome.PRESENT}}
    return tuple(_mild(fates[path], served) for path in files)


def _examined(path: Path, installer: Installs, products: Collection[str]) -> _Candidate | Fate:
    try:
        with open_release_file(path) as source:
            if source.product not in products:
                mine = ", ".join(products)
                what = f"it is for the product {source.product}; this line inspects {mine}"
                return Fate(path.name, Outcome.LEFT, product=source.product, what=what)
            found = installer.examine(source)
    except RefusedReleaseError as error:  # genuine: its own word about its product may be taken
        return _refused(path, error, product=source.product)
    except EdgeError as error:
        return _refused(path, error)
    is_here = found.known is not None and found.known.stored
    return _Candidate(path, found.verified, is_here)


def _taken(one: _Candidate, installer: Installs) -> Fate:
    """The installation verifies again, what it copies: the stick may have been exchanged since."""
    try:
        with open_release_file(one.path) as source:
            stored = installer.install(source, WHO)
    except EdgeError as error:
        terms = one.verified.terms
        words = release_words(one.verified)
        return _refused(one.path, error, words, terms.product, one.verified.digest)
    if one.is_here and stored.digest == one.verified.digest:
        return _fate(one, Outcome.PRESENT)
    return _fate(one, Outcome.TAKEN, "signed, meant for this device, proved on it")


def _refused(path: Path, error: EdgeError, release: str = "", product: str = "", digest: str = "") -> Fate:
    """Where the stick happens to be mounted is of no interest to anybody."""
    fate = fate_of(path.name, error, release, product, digest, on_stick=True)
    folder = f"{path.parent}/"
    return replace(fate, what=fate.what.replace(folder, ""), action=fate.action.replace(folder, ""))


def _fate(one: _Candidate, outcome: Outcome, what: str = "") -> Fate:
    terms = one.verified.terms
    return Fate(one.path.name, outcome, release_words(one.verified), terms.product, one.verified.digest, what)


def _mild(fate: Fate, served: set[str]) -> Fate:
    """One stick may serve several kinds of device: what is not for this one is no trouble beside a success."""
    if fate.outcome is Outcome.REFUSED and fate.product in served:
        return replace(fate, outcome=Outcome.LEFT, action="")
    return fate
