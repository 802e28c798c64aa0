"""Frozen values and the small protocols that cross packages. No I/O, no clock, no thread."""
