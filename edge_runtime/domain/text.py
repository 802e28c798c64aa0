"""Text that can be written anywhere."""

from __future__ import annotations


def writable(text: str) -> str:
    r"""`text` as valid Unicode: a byte of a file name that is not UTF-8 appears as ``\udcXX``.

    Python keeps such bytes as lone surrogates, which neither JSON nor SQLite accepts; one badly named file must not
    stop the record of a whole batch. Every other character is left as it is.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
