"""When a bundle's inputs were last changed."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def created_at(files: Iterable[Path], newest_image_s: int) -> str:
    """ISO 8601 UTC of the newest input, or what `SOURCE_DATE_EPOCH` says: equal inputs give equal bundles."""
    stated = os.environ.get("SOURCE_DATE_EPOCH", "")
    newest = max([newest_image_s, *(int(path.stat().st_mtime) for path in files)])
    seconds = int(stated) if stated.isdigit() else newest
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
