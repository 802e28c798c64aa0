"""Reference maps inside a bundle: small float16 `.npy` files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.domain.errors import BundleError
from edge_runtime.vision.compare import REDUCED_PX, lacks_contrast, reduce_map

if TYPE_CHECKING:
    from edge_runtime.domain.inspection import AnomalyMap

_DIMENSIONS = 2
_HEADER_LIMIT = 1_000


def write_map(anomaly_map: AnomalyMap) -> bytes:
    """A map reduced to at most `REDUCED_PX` a side, about its mean, scaled by a power of two that suits float16.

    Only its correlation with another map is ever used, which no offset and no scale changes; a weak contrast on a high
    level would be lost in float16. A map without contrast becomes 0.
    """
    reduced = reduce_map(anomaly_map).astype(np.float64)
    reduced = np.zeros_like(reduced) if lacks_contrast(reduced) else reduced - reduced.mean()
    peak = float(np.abs(reduced).max())
    scale = 2.0 ** -np.floor(np.log2(peak)) if peak > 0 and np.isfinite(peak) else 1.0
    target = io.BytesIO()
    np.lib.format.write_array(target, (reduced * scale).astype(np.float16), version=(1, 0), allow_pickle=False)
    return target.getvalue()


def read_map(content: bytes, name: str) -> AnomalyMap:
    """The map, H×W float32.

    Raises:
        BundleError: not such a file.
    """
    stream = io.BytesIO(content)
    try:
        np.lib.format.read_magic(stream)
        shape, column_major, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=_HEADER_LIMIT)
    except (ValueError, OSError, EOFError) as error:
        raise BundleError(f"the reference map {name} cannot be read: {error}", "Make the bundle again.") from error
    values = content[stream.tell() :]
    sound = len(shape) == _DIMENSIONS and min(shape) > 0 and max(shape) <= REDUCED_PX and not column_major
    if not sound or dtype != np.float16 or len(values) != 2 * shape[0] * shape[1]:
        raise BundleError(f"the reference map {name} is {dtype} of shape {shape}", "Make the bundle again.")
    return np.frombuffer(values, dtype=np.float16).reshape(shape).astype(np.float32)
