"""The strip under a picture that says what it shows, wherever the picture ends up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge_runtime.domain.verdict import Disposition

if TYPE_CHECKING:
    from edge_runtime.vision.display import Picture

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LINE_PX = 22
_MARGIN_PX = 6
_SCALE = 0.5
_BACKGROUND = (24, 24, 24)
_TEXT = (235, 235, 235)
_WARNING = (255, 200, 60)
_COLOURS = {Disposition.PASS: (40, 150, 70), Disposition.REVIEW: (200, 130, 0), Disposition.REJECT: (200, 40, 40)}
_DEVELOPMENT = "DEVELOPMENT"
_ELLIPSIS = "..."


@dataclass(frozen=True, slots=True)
class Caption:
    """What the strip says."""

    disposition: Disposition
    score: float | None
    part_id: str
    trust: str
    """Trust of the bundle; "development" is written out in capitals."""


def with_caption(picture: Picture, caption: Caption) -> Picture:
    """The picture with a strip below: disposition and score, then DEVELOPMENT where it applies, then the part.

    Returns:
        RGB, uint8; as wide as the picture or, for a tiny one, as wide as the words need (black beside it).
    """
    headline = f"{caption.disposition}  {_score(caption.score)}"
    development = _DEVELOPMENT if caption.trust == "development" else ""
    words = _width(headline) + (_width(development) + _MARGIN_PX * 2 if development else 0) + 2 * _MARGIN_PX
    height, width = picture.shape[0], max(picture.shape[1], words)
    page = np.zeros((height + 2 * _LINE_PX, width, 3), dtype=np.uint8)
    page[:height, : picture.shape[1]] = picture
    page[height:] = _BACKGROUND
    page[height : height + _LINE_PX, : _width(headline) + 2 * _MARGIN_PX] = _COLOURS[caption.disposition]
    _write(page, headline, _MARGIN_PX, height, (255, 255, 255))
    if development:
        _write(page, development, width - _width(development) - _MARGIN_PX, height, _WARNING)
    _write(page, _fitting(caption.part_id, width - 2 * _MARGIN_PX), _MARGIN_PX, height + _LINE_PX, _TEXT)
    return page


def _score(score: float | None) -> str:
    return "no score" if score is None else f"{score:.4g}"


def _fitting(text: str, width_px: int) -> str:
    """The end of a part id tells parts apart: cut at the front. The font knows ASCII only."""
    plain = text.encode("ascii", errors="replace").decode("ascii")
    if _width(plain) <= width_px:
        return plain
    while plain and _width(_ELLIPSIS + plain) > width_px:
        plain = plain[1:]
    return _ELLIPSIS + plain


def _width(text: str) -> int:
    (width, _), _ = cv2.getTextSize(text, _FONT, _SCALE, 1)
    return int(width)


def _write(page: Picture, text: str, left_px: int, top_px: int, colour: tuple[int, int, int]) -> None:
    baseline_px = top_px + _LINE_PX - _MARGIN_PX
    cv2.putText(page, text, (left_px, baseline_px), _FONT, _SCALE, colour, 1, cv2.LINE_AA)
