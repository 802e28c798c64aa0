"""Reads the tensors of a PyTorch checkpoint without PyTorch, and without running anything that is in it.

Both of its layouts (torch/serialization.py): a ZIP archive with `data.pkl` and one file per storage, as `torch.save`
writes it since 1.6, and the older stream of pickles followed by the storages.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy.typing as npt

    Array = npt.NDArray[Any]

_LEGACY_MAGIC: Final = 0x1950A86A20F9469CFC6C
_STORAGES: Final = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
_SIZE_LIMIT_BYTES: Final = 2 << 30


@dataclass(frozen=True, slots=True)
class _StorageRef:
    key: str
    dtype: str


@dataclass(frozen=True, slots=True)
class _TensorRef:
    storage: _StorageRef
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def read(self, storages: Callable[[str], bytes]) -> Array:
        flat = np.frombuffer(storages(self.storage.key), dtype=self.storage.dtype)
        last = self.offset + sum((side - 1) * step for side, step in zip(self.shape, self.stride, strict=True))
        if 0 in self.shape:
            return np.zeros(self.shape, dtype=self.storage.dtype)
        if self.offset < 0 or min(self.stride, default=0) < 0 or last >= len(flat):
            message = f"a tensor of shape {self.shape} does not fit its storage"
            raise ValueError(message)
        steps = tuple(step * flat.itemsize for step in self.stride)
        return np.lib.stride_tricks.as_strided(flat[self.offset :], self.shape, steps).copy()


def _tensor(storage: _StorageRef, offset: int, shape: Any, stride: Any, *_rest: Any) -> _TensorRef:
    return _TensorRef(storage, int(offset), tuple(map(int, shape)), tuple(map(int, stride)))


def _parameter(data: _TensorRef, *_rest: Any) -> _TensorRef:
    return data


class _TensorsOnly(pickle.Unpickler):
    """Knows tensors and dictionaries, and refuses every other name: a checkpoint must not run code."""

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch._utils", "_rebuild_parameter"): _parameter,
        }
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if (module, name) in known:
            return known[module, name]
        message = f"it contains {module}.{name}, which is no tensor"
        raise pickle.UnpicklingError(message)

    def persistent_load(self, pid: Any) -> _StorageRef:
        kind, dtype, key = pid[:3]
        if kind != "storage" or dtype not in _STORAGES.values():
            message = "it refers to something that is no storage"
            raise pickle.UnpicklingError(message)
        return _StorageRef(str(key), dtype)


def read_tensors(path: Path) -> dict[str, Array]:
    """Every tensor of a state dict by its name; a checkpoint that keeps it under `state_dict` or `model` is understood.

    Raises:
        ConfigError: unreadable, not such a file, or with something else than tensors in it.
    """
    try:
        if path.stat().st_size > _SIZE_LIMIT_BYTES:
            raise ConfigError(f"{path} is larger than 2 GB", "Name the backbone's own checkpoint.")
        content = path.read_bytes()
        found, storages = _open_zip(content) if zipfile.is_zipfile(io.BytesIO(content)) else _open_legacy(content)
        return {name: ref.read(storages) for name, ref in _state_dict(found).items()}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", "Check the path.") from error
    except (
        pickle.UnpicklingError,
        zipfile.BadZipFile,
        ValueError,
        KeyError,
        IndexError,
        EOFError,
        AttributeError,
        TypeError,
        struct.error,
    ) as error:
        raise ConfigError(
            f"{path} is not a PyTorch state dict: {error}",
            "Save it with torch.save(model.state_dict(), …), or use ONNX.",
        ) from error


def _state_dict(found: Any) -> Mapping[str, _TensorRef]:
    for wrapper in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(wrapper), dict):
            found = found[wrapper]
    if not isinstance(found, dict):
        message = "it holds no dictionary of tensors"
        raise TypeError(message)
    tensors = {str(name): value for name, value in found.items() if isinstance(value, _TensorRef)}
    if not tensors:
        message = "it holds no tensor"
        raise ValueError(message)
    return tensors


def _open_zip(content: bytes) -> tuple[Any, Callable[[str], bytes]]:
    archive = zipfile.ZipFile(io.BytesIO(content))
    index = next(name for name in [*archive.namelist(), ""] if name.endswith("data.pkl") or not name)
    if not index:
        message = "the archive has no data.pkl"
        raise ValueError(message)
    folder = index.removesuffix("data.pkl")
    found = _TensorsOnly(io.BytesIO(archive.read(index))).load()
    return found, lambda key: archive.read(f"{folder}data/{key}")


def _open_legacy(content: bytes) -> tuple[Any, Callable[[str], bytes]]:
    stream = io.BytesIO(content)
    if _TensorsOnly(stream).load() != _LEGACY_MAGIC:
        message = "neither of PyTorch's layouts"
        raise ValueError(message)
    for _ in range(2):  # protocol version and word sizes of the machine that wrote it
        _TensorsOnly(stream).load()
    unpickler = _RememberingDtypes(stream)
    found = unpickler.load()
    storages: dict[str, bytes] = {}
    for key in _TensorsOnly(stream).load():
        (count,) = struct.unpack("<q", stream.read(8))
        storages[str(key)] = stream.read(count * np.dtype(unpickler.dtypes[str(key)]).itemsize)
    return found, storages.__getitem__


class _RememberingDtypes(_TensorsOnly):
    """The older layout states the type of a storage only where it is referred to."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self.dtypes: dict[str, str] = {}

    def persistent_load(self, pid: Any) -> _StorageRef:
        found = super().persistent_load(pid)
        self.dtypes[found.key] = found.dtype
        return found
