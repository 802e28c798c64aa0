"""Good images that are not good: found by their scores against the patches of the others, and left out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

FAMILY_ERROR: Final = 0.05
"""Probability that a folder of good parts alone loses any image."""
LARGEST_SHARE: Final = 0.1
"""`auto` never leaves out more than this share of a folder; beyond it a person has to look."""

_STANDARD_ERROR: Final = 2.0
"""Of the Gumbel scale from two quartiles, times √n, as a share of the scale."""
_UPPER_QUARTILE: Final = -math.log(-math.log(0.75)) + math.log(-math.log(0.5))
"""Upper quartile minus median of the standard Gumbel distribution."""
_MEDIAN: Final = -math.log(-math.log(0.5))
_LOWEST_SCALE: Final = 0.005
"""Of the logarithm: parts that all score alike to half a percent make no ruler."""


@dataclass(frozen=True, slots=True)
class Contamination:
    """What a person decides about suspicious images."""

    share: float | None = None
    """Share of the folder to leave out, the most suspicious first; None: judge each image (`auto`), 0: keep all."""

    @classmethod
    def parse(cls, text: str) -> Contamination:
        """`auto`, `keep`, or a share such as 0.05.

        Raises:
            ConfigError: neither.
        """
        if text in {"auto", "keep"}:
            return cls(None if text == "auto" else 0.0)
        try:
            share = float(text)
        except ValueError:
            share = math.nan
        if not 0 <= share < 0.5:  # noqa: PLR2004
            raise ConfigError(
                f"--contamination {text!r} is not understood", "Write auto, keep, or a share below 0.5, e.g. 0.05."
            )
        return cls(share)


@dataclass(frozen=True, slots=True)
class Suspect:
    """An image that does not look like the other good parts."""

    file: str
    excess: float
    """Its score against the other images, divided by their median score."""


@dataclass(frozen=True, slots=True)
class Ruler:
    """The scores of good parts: the logarithm of a largest patch distance, taken as a Gumbel variable.

    The score is a maximum over patches, whose limit law that is. Location and scale come from median and upper
    quartile: what contaminates less than a quarter of the folder moves them little. The scale is raised by its own
    standard error, so that few images give a wider berth.
    """

    median: float
    scale: float
    count: int

    def excess(self, score: float) -> float:
        """How far out a score is, in scales above the Gumbel location."""
        return (math.log(max(score, 1e-12)) - self._location) / self.scale

    def limit(self, images: int) -> float:
        """The score that the largest of so many good parts exceeds with a probability of `FAMILY_ERROR`."""
        return math.exp(self._location + self.scale * math.log(images / FAMILY_ERROR))

    @property
    def _location(self) -> float:
        return self.median - self.scale * _MEDIAN


def fit_ruler(scores: npt.NDArray[np.float64]) -> Ruler:
    """From the scores of images that are good but for a few."""
    logs = np.log(np.maximum(scores, 1e-12))
    median, upper = np.quantile(logs, [0.5, 0.75])
    scale = max(float(upper - median) / _UPPER_QUARTILE, _LOWEST_SCALE)
    return Ruler(float(median), scale * (1 + _STANDARD_ERROR / math.sqrt(len(logs))), len(logs))


def outliers(scores: Mapping[int, float], ruler: Ruler, images: int) -> list[int]:
    """Images beyond the limit for a family of so many, the farthest first.

    Args:
        scores: image → score.
        ruler: of scores made the same way.
        images: of the whole folder.
    """
    limit = ruler.limit(images)
    return sorted((image for image, score in scores.items() if score > limit), key=lambda image: -scores[image])
