"""A release of the device's store on its engine: all that a running line needs of signed updates.

What installs them (`app.updates`) imports TUF and its cryptography, which a line that only runs has no use for.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from edge_runtime.app.inspection import inspector_of
from edge_runtime.bundles.archive import open_release

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.app.inspection import Inspector
    from edge_runtime.app.sharing import Assemble
    from edge_runtime.config.engine import EngineSettings

COMPILED: Final = "compiled"
"""Folder beside a stored release: what the engine has compiled of it for this device. Goes when the release goes."""


def with_cache(settings: EngineSettings, bundle: Path) -> EngineSettings:
    """The engine's settings with the stored release's own folder for compiled models, unless one is configured."""
    folder = bundle.with_name(COMPILED)
    if settings.cache_dir is not None or not os.access(folder, os.W_OK | os.X_OK):
        return settings
    return settings.model_copy(update={"cache_dir": folder})


def load_stored(bundle: Path, digest: str, settings: EngineSettings, assemble: Assemble = inspector_of) -> Inspector:
    """Load a release of the store and warm it up; its file is hashed again.

    Args:
        bundle: the release's file.
        digest: of the release.
        settings: which engine.
        assemble: puts it on its engine.

    Raises:
        BundleError: it is damaged, or not meant for this runtime or engine.
        EngineError: the engine is not there or cannot run it.
    """
    return assemble(open_release(bundle, digest=digest), with_cache(settings, bundle))
