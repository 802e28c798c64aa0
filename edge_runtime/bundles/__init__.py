"""Model bundles: the archive read in place, trust, and the self-test."""
