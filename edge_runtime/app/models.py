"""From a bundle to a model that may decide: opened, loaded, proved on its golden images, warm."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from edge_runtime.app.inspection import Inspector, inspector_of
from edge_runtime.app.recipe import build_recipe
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.bundles.selftest import golden_self_test
from edge_runtime.detectors.shared import SharedDetector
from edge_runtime.detectors.side_by_side import each_of
from edge_runtime.domain.errors import BundleError, EdgeError
from edge_runtime.ops.memory import resident_bytes
from edge_runtime.services.engine_keeper import EngineKeeper
from edge_runtime.services.model_swap import Model

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.app.sharing import Assemble
    from edge_runtime.config.line import LineConfig
    from edge_runtime.detectors.port import Detector
    from edge_runtime.domain.verdict import BundleIdentity, Limits
    from edge_runtime.ops.clock import Clock
    from edge_runtime.plc.port import PlcCapability

Opener: TypeAlias = "Callable[[], Inspector]"
"""Loads a certain bundle and warms it up; raises EdgeError. May be called again and again, by any thread."""


def open_file(config: LineConfig, assemble: Assemble = inspector_of) -> Inspector:
    """The bundle in `bundle.path`.

    Raises:
        EdgeError: it cannot be used here.
    """
    if config.bundle.path is None:
        raise AssertionError  # a line with a product has no file
    return assemble(open_bundle(config.bundle.path, trust=config.bundle.trust), config.engine)


def prove(inspector: Inspector) -> None:
    """Only a model that gives its golden scores on this device and this engine may decide about parts.

    Raises:
        BundleError: it gives others; says which.
    """
    shared = inspector.detector if isinstance(inspector.detector, SharedDetector) else None
    if shared is not None and shared.proved:
        return  # the very engine of another line: to ask it again would hold that line up
    for detector in each_of(inspector.detector):
        _prove(detector, inspector)
    if shared is not None:
        shared.proved = True


def _prove(detector: Detector, inspector: Inspector) -> None:
    report = golden_self_test(detector, inspector.bundle, inspector.payloads, inspector.engine_description)
    if not report.passed:
        identity = inspector.bundle.identity
        raise BundleError(
            f"{identity.name} {identity.version}: on this device the model does not give the scores it was made with: "
            f"{report.summary}",
            "keep the previous bundle; convert this one again for this engine, or choose the engine it names",
        )


def proved(opener: Opener) -> Inspector:
    """Opened, and proved as `prove` does it; nothing stays open where that fails.

    Raises:
        EdgeError: it does not load, or gives other scores.
    """
    inspector = opener()
    try:
        prove(inspector)
    except EdgeError:
        inspector.close()
        raise
    return inspector


def renewed(opener: Opener, identity: BundleIdentity) -> Detector:
    """The same bundle on a fresh engine, proved on its golden images.

    Raises:
        EdgeError: the engine does not load it, it gives other scores, or the file now holds another bundle.
    """
    with opener() as inspector:
        if inspector.bundle.identity != identity:
            raise BundleError(
                f"the file of {identity.name} {identity.version} now holds another bundle than the one that runs",
                "Put the old file back, or restart the daemon to take over the new one.",
            )
        prove(inspector)
        return inspector.detector


class Renewal:
    """Loads a bundle anew, each time in place of what was loaded before, which no other line takes over any more.

    Lines that shared the old engine share the new one as they find out.
    """

    def __init__(self, detector: Detector, opener: Opener, identity: BundleIdentity) -> None:
        self._detector = detector
        self._opener = opener
        self._identity = identity

    def __call__(self) -> Detector:
        """See `renewed`."""
        if isinstance(self._detector, SharedDetector):
            self._detector.abandoned = True
        self._detector = renewed(self._opener, self._identity)
        return self._detector


@dataclass(frozen=True, slots=True)
class ModelMaker:
    """Makes the models of one line."""

    config: LineConfig
    capabilities: PlcCapability
    clock: Clock
    assemble: Assemble = inspector_of
    """Puts a bundle on its engine."""

    def load(self, opener: Opener, product: str = "", *, own_limits: bool = False) -> Model:
        """Load, warm up and prove; takes from half a second to minutes.

        Args:
            opener: of the bundle.
            product: which it inspects.
            own_limits: the bundle's, whatever the recipe says: of a model that stands beside the line's own.

        Raises:
            EdgeError: it cannot run here, or gives other scores.
        """
        began_ns, before_bytes = self.clock.monotonic_ns(), resident_bytes()
        with opener() as inspector:
            prove(inspector)
            memory_bytes = max(resident_bytes() - before_bytes, _smallest(inspector))
            limits = inspector.bundle.calibration.limits if own_limits else None
            return self.made(inspector, opener, product, memory_bytes, self.clock.monotonic_ns() - began_ns, limits)

    def made(
        self,
        inspector: Inspector,
        opener: Opener | None,
        product: str = "",
        memory_bytes: int = 0,
        load_ns: int = 0,
        limits: Limits | None = None,
    ) -> Model:
        """From what is loaded and proved already. Without `opener` it is never loaded anew.

        Args:
            limits: those of a model that stands beside the line's own. None: the bundle's, or the recipe's.
        """
        bundle = inspector.bundle
        recipe = build_recipe(self.config.recipe, bundle.calibration.limits, self.capabilities)
        renew = None if opener is None else Renewal(inspector.detector, opener, bundle.identity)
        return Model(
            EngineKeeper(inspector.detector, renew, self.clock),
            recipe if limits is None else replace(recipe, limits=limits),
            inspector.engine_description,
            product,
            memory_bytes or _smallest(inspector),
            load_ns,
        )


def _smallest(inspector: Inspector) -> int:
    """What the graphs weigh on the disk: no engine holds them in much less."""
    bundle = inspector.bundle
    return sum(bundle.payloads[name].size_bytes for name in set(bundle.graphs.values()) if name in bundle.payloads)
