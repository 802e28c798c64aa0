"""Builds what looks at a part: one implementation for the daemon, for `edge-convert` and for the self-test."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, Literal, Self

import numpy as np

from edge_runtime import __version__, detectors, engine
from edge_runtime.app.tuned import tuned
from edge_runtime.bundles.archive import open_bundle
from edge_runtime.detectors.proportions import ProportionedDetector, proportions_of
from edge_runtime.detectors.tiled import TiledDetector
from edge_runtime.domain.errors import BundleError, EngineError
from edge_runtime.domain.model_bundle import ColourOrder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from edge_runtime.bundles.archive import OpenBundle
    from edge_runtime.config.engine import EngineSettings
    from edge_runtime.detectors.port import Detection, Detector
    from edge_runtime.domain.frame import Exposure
    from edge_runtime.domain.model_bundle import ModelBundle, PayloadReader
    from edge_runtime.engine.port import Engine

_WARM_UP_RUNS: Final = 2
"""The first run allocates and tunes; the second shows that this is over."""
BF16_WHERE_IT_IS: Final = "bf16_where_it_is"
"""Of a bundle's `options["precision"]`: proved in bf16 and in float32, so the faster may run that the device has."""


class Inspector:
    """A bundle on an engine, warmed up. One thread at a time. A context manager.

    The score of an image depends on the image, the bundle, the engine, its precision and its threads, and on nothing
    else: every caller on the same machine gets the same bits.
    """

    def __init__(self, opened: OpenBundle, detector: Detector, engine_description: str) -> None:
        self._opened = opened
        self.detector: Final = detector
        self.engine_description: Final = engine_description

    @property
    def bundle(self) -> ModelBundle:
        """The verified manifest."""
        return self._opened.manifest

    @property
    def payloads(self) -> PayloadReader:
        """The bundle's payloads; readable until `close`."""
        return self._opened.payloads

    def inspect(self, exposures: tuple[Exposure, ...]) -> Detection:
        """Look at one part.

        Raises:
            ImageError: number, depth, size or proportions of the exposures do not fit the bundle.
            EngineError: the engine failed.
        """
        return self.detector.inspect(exposures)

    def close(self) -> None:
        """Close the bundle's file; the detector goes on working. Idempotent."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def load_inspector(
    bundle_path: Path,
    engine_settings: EngineSettings,
    trust: Literal["development", "production"],
    watched: Callable[[Engine], Engine] | None = None,
) -> Inspector:
    """Open and verify a bundle, load it on an engine and warm it up.

    A bundle that was proved in bf16 runs in bf16 unless `engine.precision` is set; one that was proved in float32 too
    runs in that where the engine has no bf16.

    Args:
        bundle_path: the file.
        engine_settings: which engine.
        trust: what the device accepts.
        watched: puts something between the detector and its engine that looks on, such as a stopwatch.

    Raises:
        BundleError: the bundle is damaged, not trusted, or not meant for this runtime or engine.
        EngineError: the engine is not there or cannot run the bundle's graphs.
    """
    return inspector_of(open_bundle(bundle_path, trust=trust), engine_settings, watched)


def inspector_of(
    opened: OpenBundle, engine_settings: EngineSettings, watched: Callable[[Engine], Engine] | None = None
) -> Inspector:
    """Load an open bundle on an engine and warm it up, as `load_inspector` does.

    Args:
        opened: belongs to the inspector from here on, and is closed where that fails.
        engine_settings: which engine.
        watched: see `load_inspector`.

    Raises:
        BundleError: the bundle is not meant for this runtime or engine, or a golden image is missing or damaged in it.
        EngineError: the engine is not there or cannot run the bundle's graphs.
    """
    with contextlib.ExitStack() as undo:
        undo.enter_context(opened)
        settings = tuned(engine_settings, opened.manifest.identity.digest)
        detector, description = detector_of(opened.manifest, opened.payloads, settings, watched)
        undo.pop_all()
        return Inspector(opened, detector, description)


def detector_of(
    manifest: ModelBundle,
    payloads: PayloadReader,
    settings: EngineSettings,
    watched: Callable[[Engine], Engine] | None = None,
) -> tuple[Detector, str]:
    """What looks at parts by a bundle, on an engine of its own, warmed up; and the engine's description.

    Args:
        manifest: of the bundle.
        payloads: the bundle's.
        settings: which engine; what is `tuned` is chosen already.
        watched: see `load_inspector`.

    Raises:
        BundleError: as `inspector_of`.
        EngineError: as `inspector_of`.
    """

    def on(runner: Engine) -> Detector:
        return detectors.create(manifest, payloads, runner if watched is None else watched(runner))

    runner = _engine_for(manifest, settings)
    require_fit(manifest, runner)
    try:
        detector = on(runner)
    except EngineError:
        if "precision" in settings.model_fields_set or _wanted(manifest) != BF16_WHERE_IT_IS:
            raise
        # OpenVINO offers bf16 on a processor whose instructions are masked, and then cannot compile.
        runner = engine.create(settings)
        detector = on(runner)
    warm_up(detector)
    proportions = proportions_of(manifest, payloads)
    # Last: the black frame of the warm-up is the network's size, whatever was taught.
    guarded = detector if proportions is None else ProportionedDetector(detector, proportions)
    return guarded, runner.description


def _wanted(manifest: ModelBundle) -> str:
    return manifest.options.get("precision", "f32")


def _engine_for(manifest: ModelBundle, settings: EngineSettings) -> Engine:
    wanted = _wanted(manifest)
    if wanted == "f32" or "precision" in settings.model_fields_set:
        return engine.create(settings)
    if wanted not in {"bf16", BF16_WHERE_IT_IS}:
        raise BundleError(
            f"bundle {manifest.identity.name} asks for precision {wanted!r}, which this runtime does not know",
            "Update edge-runtime on this device, or convert the bundle again.",
        )
    try:
        return engine.create(settings.model_copy(update={"precision": "bf16"}))
    except EngineError as error:
        if wanted == BF16_WHERE_IT_IS:
            return engine.create(settings)
        raise BundleError(
            f"bundle {manifest.identity.name} was made to compute in {wanted}: {error.what}",
            'Set name = "openvino" in [engine] on a processor that computes in bf16, or convert the bundle with '
            "--precision int8 or fp32.",
        ) from error


def require_fit(manifest: ModelBundle, runner: Engine) -> None:
    """Refuse a bundle that asks for a newer runtime or another engine.

    Raises:
        BundleError: says which.
    """
    requires = manifest.requires
    if _numbers(requires.runtime) > _numbers(__version__):
        raise BundleError(
            f"bundle {manifest.identity.name} needs edge-runtime {requires.runtime} or newer, this is {__version__}",
            "Update edge-runtime on this device, or convert the bundle with the version that runs here.",
        )
    if requires.engines and runner.name not in requires.engines:
        raise BundleError(
            f"bundle {manifest.identity.name} is for {' or '.join(requires.engines)}, not for {runner.name}",
            f'Set name = "{requires.engines[0]}" in [engine], or teach the bundle for {runner.name}.',
        )


def warm_up(detector: Detector) -> None:
    """Inspect a black frame until buffers are allocated and kernels chosen.

    Raises:
        EngineError: the engine cannot run the graphs.
        ImageError: the bundle's input makes no sense.
    """
    spec = detector.bundle.input_spec
    rows, columns = spec.resized_px or (spec.height_px, spec.width_px)  # with `Resize.NONE` nothing else is taken
    x, y, width, height = spec.region or (0, 0, columns, rows)
    frame_px = detector.frame_px if isinstance(detector, TiledDetector) else (y + height, x + width)
    channels = () if spec.colour is ColourOrder.MONO else (3,)
    black: Exposure = np.zeros((*frame_px, *channels), dtype=np.uint8)
    exposures = (black,) * int(detector.bundle.parameters.get("exposures", 1))
    for _ in range(_WARM_UP_RUNS):
        detector.inspect(exposures)


def _numbers(version: str) -> tuple[int, ...]:
    """Leading numbers of a version: 1.2.0rc1 → (1, 2, 0); trailing zeros do not count."""
    numbers = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
