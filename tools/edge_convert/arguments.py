"""What several commands read from their command line, and the summary that they write."""

from __future__ import annotations

import json
import math
import os
import re
from typing import TYPE_CHECKING, Any

from edge_runtime.domain.errors import ConfigError
from edge_runtime.domain.model_bundle import NAME_PATTERN, VERSION_PATTERN

if TYPE_CHECKING:
    from pathlib import Path


def check_bundle(out: Path, name: str, version: str, false_reject_rate: float | None) -> None:
    """Refuse at once what would fail when the bundle is written, after minutes or hours.

    Raises:
        ConfigError: names the option and what it may be.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise ConfigError(f"--name {name!r} is not a bundle name", "Use letters, digits, `_`, `.` and `-`.")
    if not re.fullmatch(VERSION_PATTERN, version):
        raise ConfigError(
            f"--bundle-version {version!r} is not a version", "Use letters, digits, `_`, `.`, `+` and `-`."
        )
    if false_reject_rate is not None and not 0 < false_reject_rate < 0.5:  # noqa: PLR2004
        raise ConfigError(f"--false-reject-rate {false_reject_rate} is impossible", "Choose one above 0 and below 0.5.")
    check_writable("--out", out, "the bundle file, e.g. part.bundle")


def check_writable(option: str, path: Path, what: str) -> None:
    """Refuse at once a file that could not be written later.

    Raises:
        ConfigError: its folder is not there or is write-protected, or it is a folder itself.
    """
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise ConfigError(f"{option}: cannot write into {path.parent}", "Create the folder, or choose another.")
    if path.is_dir():
        raise ConfigError(f"{option}: {path} is a folder", f"Name {what}.")


def size(option: str, text: str, usual_px: int = 256) -> tuple[int, int]:
    """Height and width in pixels: `256`, or `256x320`.

    Raises:
        ConfigError: not one or two whole numbers; names the option, with a size of `usual_px` as an example.
    """
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):  # noqa: PLR2004  (height and width)
        example = f"Write {usual_px}, or {usual_px}x{usual_px * 5 // 4} for height x width."
        raise ConfigError(f"{option} {text!r} is not a size", example)
    return int(parts[0]), int(parts[-1])


def numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    """Finite numbers between commas; None where the option was not given.

    Raises:
        ConfigError: one of them is no number; names the option.
    """
    if text is None:
        return None
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = (math.nan,)
    if not all(math.isfinite(number) for number in found):
        raise ConfigError(f"{option} {text!r} is not a list of numbers", "Write e.g. 0.5,0.5,0.5.")
    return found


def region(text: str | None) -> tuple[int, int, int, int] | None:
    """`--region`: x, y, width and height in frame pixels; None where it was not given.

    Raises:
        ConfigError: not four whole numbers.
    """
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdigit() for part in parts):  # noqa: PLR2004
        raise ConfigError(f"--region {text!r} is not a region", "Write x,y,width,height in frame pixels.")
    x, y, width, height = (int(part) for part in parts)
    return x, y, width, height


def write_json(path: Path | None, document: Any) -> None:
    """`--json`: the summary as a file; nothing where it was not asked for.

    Raises:
        ConfigError: the file cannot be written.
    """
    if path is None:
        return
    try:
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--json: cannot write {path}: {error.strerror}", "Choose another file.") from error
