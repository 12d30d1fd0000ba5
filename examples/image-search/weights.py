"""Reads the tensors of a file that torch.save wrote before its version 1.6, without PyTorch.

Such a file is a row of pickles (magic number, protocol, system, the dictionary of tensors, the keys of the
storages) and then the storages: a count and the raw numbers of each. A pickle can name any function to be
called, so the unpickler knows the three names that occur here, and none other.
"""

import collections
import pickle
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_TYPES = {"FloatStorage": numpy.float32, "LongStorage": numpy.int64}


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: type
    count: int


@dataclass(frozen=True)
class _View:
    """A tensor before its storage has been read."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def over(self, numbers: numpy.ndarray) -> numpy.ndarray:
        strides = [stride * numbers.itemsize for stride in self.strides]
        return numpy.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, strides).copy()


def _rebuild_tensor(storage, offset, shape, strides, *_) -> _View:
    return _View(storage, offset, shape, strides)


class _Unpickler(pickle.Unpickler):
    _KNOWN = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    }

    def find_class(self, module: str, name: str):
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        try:
            return self._KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not expected in a file of weights") from None

    def persistent_load(self, identity) -> _Storage:
        _, dtype, key, _location, count = identity[:5]
        return _Storage(key, dtype, count)


def read(path: Path) -> dict[str, numpy.ndarray]:
    """All tensors of the file, by name."""
    with open(path, "rb") as file:
        if _Unpickler(file).load() != _MAGIC or _Unpickler(file).load() != _PROTOCOL:
            raise ValueError(f"{path} is not a file of weights in the format before PyTorch 1.6")
        _Unpickler(file).load()  # the writing system's byte order and sizes
        views: dict[str, _View] = _Unpickler(file).load()
        keys: list[str] = _Unpickler(file).load()
        storages = {view.storage.key: view.storage for view in views.values()}
        numbers = {key: _read_storage(file, storages[key]) for key in keys}
    return {name: view.over(numbers[view.storage.key]) for name, view in views.items()}


def _read_storage(file, storage: _Storage) -> numpy.ndarray:
    (count,) = struct.unpack("<q", file.read(8))
    if count != storage.count:
        raise ValueError(f"storage {storage.key} has {count} numbers, {storage.count} were announced")
    dtype = numpy.dtype(storage.dtype).newbyteorder("<")
    return numpy.frombuffer(file.read(count * dtype.itemsize), dtype)
