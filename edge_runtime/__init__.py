"""The inspection daemon: frames in, verdicts out, the reject fired."""

__version__ = "0.2.0"
