"""The inspection daemon: frames in, verdicts out, the reject fired."""

__version__ = "0.2.0"
__released__ = "2026-11-21"
"""When this version was made (UTC): no true clock stands before it."""
