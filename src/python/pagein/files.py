"""File: an object as io.RawIOBase has it."""
from __future__ import annotations

import io
from typing import Any

from .maps import Map

_AHEAD_START = 64 << 10
_AHEAD_MAX = 16 << 20  # what a connection's 10 ms need at 1 GB/s, and some


class File(io.RawIOBase):
    """An unbuffered file of a map; Object.file() puts a BufferedReader before it.

    Reads are calls (Map.readinto()), which the library's readahead does not see. So a file has its own: a
    read that begins where the last one ended doubles what is asked for ahead, any other ends it.

    Several threads may use a BufferedReader; this has a place and no lock. Map.pread() needs neither.
    """

    def __init__(self, map: Map) -> None:
        super().__init__()
        self.map = map
        self.name = map.url
        self.mode = "rb"
        self._at = 0
        self._ended = 0  # where the last read did
        self._window = 0
        self._asked = 0  # one past what was asked for ahead

    @property
    def size(self) -> int:
        return len(self.map)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        self._check()
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._check()
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self.map)}
        if whence not in bases:
            raise ValueError(f"invalid whence: {whence}")
        if bases[whence] + offset < 0:
            raise ValueError(f"negative seek position {bases[whence] + offset}")
        self._at = bases[whence] + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        self._check()
        length = min(memoryview(buffer).nbytes, len(self.map) - self._at)
        if length <= 0:
            return 0
        self._ask_ahead(length)
        done = self.map.readinto(buffer, self._at)
        self._at += done
        self._ended = self._at
        return done

    def readall(self) -> bytes:
        rest = bytearray(max(0, len(self.map) - self._at))
        self.readinto(rest)
        return bytes(rest)

    def _ask_ahead(self, length: int) -> None:
        end = self._at + length
        if self._at != self._ended or self._at == 0:
            self._window = 0
            self._asked = end
            return
        self._window = min(max(2 * self._window, _AHEAD_START), _AHEAD_MAX)
        start, until = max(self._asked, end), min(end + self._window, len(self.map))
        # Half a window at a time.
        if until - start < self._window // 2 and until < len(self.map) or until <= start:
            return
        self._asked = until
        self.map.will_need(start, until - start)

    def _check(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def __repr__(self) -> str:
        return f"<pagein.File {self.name!r}{', closed' if self.closed else ''}>"
