"""Model bundles: the archive read in place, trust, and the self-test."""

from __future__ import annotations

from edge_runtime.bundles.archive import OpenBundle, open_bundle
from edge_runtime.bundles.writer import BundleDraft, write_bundle

__all__ = ["BundleDraft", "OpenBundle", "open_bundle", "write_bundle"]
