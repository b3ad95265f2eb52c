"""Copies out of a map without a signal: the kernel reads, and a bad page is EFAULT.

process_vm_readv(2) of this very process is one copy, like memcpy. Where a sandbox forbids it, the bytes
go through a pipe.
"""
from __future__ import annotations

import ctypes
import errno
import os
from ctypes import c_int, c_size_t, c_ssize_t, c_ulong, c_void_p

from ._abi import PAGE_BYTES

_PIPE_BYTES = 65536  # what a pipe takes without a reader

_libc = ctypes.CDLL(None, use_errno=True)


class _Iovec(ctypes.Structure):
    _fields_ = [("base", c_void_p), ("length", c_size_t)]


_readv = _libc.process_vm_readv
_readv.argtypes = [c_int, ctypes.POINTER(_Iovec), c_ulong, ctypes.POINTER(_Iovec), c_ulong, c_ulong]
_readv.restype = c_ssize_t
_write = _libc.write
_write.argtypes = [c_int, c_void_p, c_size_t]
_write.restype = c_ssize_t
_mincore = _libc.mincore
_mincore.argtypes = [c_void_p, c_size_t, c_void_p]
_mincore.restype = c_int


def is_resident(address: int, length: int) -> bool:
    """Are the pages there, as far as the kernel can tell at a glance?"""
    start = address // PAGE_BYTES * PAGE_BYTES
    states = bytearray((address + length - start + PAGE_BYTES - 1) // PAGE_BYTES)
    place = ctypes.c_ubyte.from_buffer(states)
    return _mincore(start, address + length - start, ctypes.byref(place)) == 0 and 0 not in states


def copy(address: int, buffer: memoryview) -> int:
    """Fills buffer (bytes, writable, not empty) from address. How many bytes; 0: the first page is bad."""
    target = ctypes.c_char.from_buffer(buffer)
    here = _Iovec(ctypes.addressof(target), len(buffer))
    there = _Iovec(address, len(buffer))
    copied = _readv(os.getpid(), here, 1, there, 1, 0)
    if copied >= 0:
        return copied
    number = ctypes.get_errno()
    if number == errno.EFAULT:
        return 0
    if number not in (errno.EPERM, errno.ENOSYS):
        raise OSError(number, os.strerror(number))
    return _copy_by_pipe(address, buffer)


def _copy_by_pipe(address: int, buffer: memoryview) -> int:
    reader, writer = os.pipe()
    try:
        written = _write(writer, address, min(len(buffer), _PIPE_BYTES))
        if written < 0 and ctypes.get_errno() != errno.EFAULT:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        done = 0
        while done < written:
            done += os.readv(reader, [buffer[done:written]])
        return done
    finally:
        os.close(reader)
        os.close(writer)
