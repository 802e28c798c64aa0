"""Images of good parts for a training: looked through once, and split into those to learn from and those held out."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np

from edge_convert.images import ImageSet, survey_watched
from edge_convert.limits import LOWEST_COUNT
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge_convert.progress import Observer

_SHARE: Final = 0.1
_LIMITS_NEED: Final = 20
_FEWEST: Final = 3 * LOWEST_COUNT


def gather(folder: Path, network: str, better: str, observer: Observer) -> ImageSet:
    """The sound images of a folder; what is odd about them is said.

    Args:
        folder: with the images.
        network: for the refusal, e.g. "an autoencoder".
        better: how many images would be good, e.g. "several hundred".
        observer: who watches.

    Raises:
        ConfigError: too few images, or too many that cannot be decoded.
    """
    images = survey_watched(folder, observer)
    for text in images.warnings:
        observer.notice(text)
    if len(images.files) < _FEWEST:
        raise ConfigError(
            f"{folder} holds {len(images.files)} usable images; {network} cannot be trained from them",
            f"Record at least {_FEWEST} good parts, better {better}, or use `edge-convert teach`.",
        )
    return images


def split(count: int, share: float | None, seed: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Indices to train on and to hold out, each ascending; at least one of both where there are two images.

    Without a share a tenth is held out, but of few images up to 20, at most a third: limits are drawn from them.
    """
    order = np.random.default_rng((seed, count)).permutation(count)
    wanted = max(count * _SHARE, min(_LIMITS_NEED, count / 3)) if share is None else count * share
    held = min(count - 1, max(1, round(wanted)))
    return tuple(sorted(order[held:].tolist())), tuple(sorted(order[:held].tolist()))


def subset(images: ImageSet, indices: Sequence[int]) -> ImageSet:
    """Some of the images as a set with a digest and a time of its own, as if its folder held no others."""
    files = tuple(images.files[index] for index in indices)
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode(errors="surrogateescape") + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    newest = max(int(path.stat().st_mtime) for path in files)
    return ImageSet(images.folder, files, (), digest.hexdigest(), newest, images.aspects)
