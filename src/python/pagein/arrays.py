"""Remote arrays, as numpy.memmap has local ones. The only module that imports numpy."""
from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, Tuple, Union

import numpy

from ._abi import PAGE_BYTES

if TYPE_CHECKING:
    from .objects import Object

_MODES = {"r": "r", "readonly": "r", "c": "c", "copyonwrite": "c"}
_WRITING = ("r+", "w+", "readwrite", "write")


class memmap(numpy.ndarray):
    """An array whose memory is an object's. Object.memmap() makes it.

    filename (the URL), offset and mode are as numpy.memmap's, and so is what arithmetic gives: plain
    arrays and scalars. The array keeps the memory, whatever becomes of the object.
    """
    filename: Any
    offset: Any
    mode: Any

    def __array_finalize__(self, other: Any) -> None:
        is_view = isinstance(other, memmap) and numpy.may_share_memory(self, other)
        for name in ("filename", "offset", "mode"):
            setattr(self, name, getattr(other, name) if is_view else None)

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        if array is self:
            return array
        array = numpy.asarray(array)
        return array[()] if array.shape == () else array

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        if type(found) is memmap and found.mode is None:
            return found.view(numpy.ndarray)
        return found

    def flush(self) -> None:
        """Nothing is ever written back."""


def _shape_of(available: int, dtype: Any, shape: Any) -> Tuple[int, ...]:
    if shape is not None:
        return shape if isinstance(shape, tuple) else (shape,)
    if available % dtype.itemsize:
        raise ValueError("Size of available data is not a multiple of the data-type size.")
    return (available // dtype.itemsize,)


def _check_part(size: int, offset: int, end: int) -> None:
    """What mmap(2) and Python's mmap refuse."""
    start = offset - offset % PAGE_BYTES
    if start < 0:
        raise OverflowError("memory mapped offset must be positive")
    if end < start:
        raise OverflowError("memory mapped length must be positive")
    if size == 0:
        raise ValueError("cannot mmap an empty file")
    if start >= size:
        raise ValueError("mmap offset is greater than file size")
    if end > size:
        raise ValueError("mmap length is greater than file size")


def memmap_of(object: "Object", dtype: Any, mode: str, offset: int, shape: Union[int, Tuple[int, ...], None],
              order: str) -> memmap:
    """See Object.memmap()."""
    if mode in _WRITING:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), object.url)
    if mode not in _MODES:
        raise ValueError(f"mode must be one of {list(_MODES)!r} (got {mode!r})")
    dtype = numpy.dtype(dtype)
    shape = _shape_of(object.size - offset, dtype, shape)
    end = offset
    count = 1
    for length in shape:
        count *= int(length)
    end += count * dtype.itemsize
    _check_part(object.size, offset, end)
    # What numpy.memmap() would have from mmap(2): whole pages before, nothing behind.
    start = offset - offset % PAGE_BYTES
    end = end if end > start else object.size
    if _MODES[mode] == "c":
        view = object.private_part(start, end - start).view()
    else:
        view = object.whole.view()[start:end]
    # frombuffer() lets nobody make the array writable, or release what it stands on, by accident.
    memory = numpy.frombuffer(view, numpy.uint8)
    array = numpy.ndarray.__new__(memmap, shape, dtype=dtype, buffer=memory, offset=offset - start, order=order)
    array.filename, array.offset, array.mode = object.url, offset, _MODES[mode]
    return array
