"""Map: part of an object in this process's memory."""
from __future__ import annotations

import ctypes
import errno
import operator
import threading
import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple, Union

from . import _abi, _copy
from ._abi import PAGE_BYTES, Advice, Flag, State
from ._handle import Handle, make_view
from ._library import check, last_error, library, stats_of
from .errors import Error, FetchError, TimedOutError, fetch_error

if TYPE_CHECKING:
    from .objects import Identity

_SLICE_MS = 100          # of a wait in the main thread, which runs the handlers of signals between slices
_PIECE_BYTES = 8 << 20   # populated at once by a read, and copied while more is on its way
_AHEAD_BYTES = 32 << 20  # so much more
_PIECE_MIN = 64 << 10    # the same under a small memory limit
_LOOK_BYTES = 256 << 20  # in which a page that failed is looked for
_COPY_TRIES = 100        # a page that was there is evicted before it is copied, again and again
_OF_CALLS = (errno.EINVAL, errno.ENOMEM, errno.ECHILD)  # no page's errors


class Map:
    """Part of an object in memory. Made by Object.map() and Object.whole; offsets are the map's own.

    A range is an offset and a length in bytes, None meaning to the end; what is said of pages is done
    to all that the range overlaps. A range outside of the map is ValueError, as is a closed map. A map is
    closed by close() or `with`, or when nobody refers to it or to a view of it any more.
    """

    def __init__(self, identity: "Identity", pointer: int, offset: int, flags: Flag) -> None:
        self._handle: Optional[Handle] = Handle(pointer, library.pagein_unmap)
        self._identity = identity
        self._address: Optional[int] = library.pagein_address(pointer)
        self._length: int = library.pagein_length(pointer)
        self._kind: Any = ctypes.c_ubyte * self._length
        self.offset = offset
        self.flags = flags

    # ---- what it is ----

    @property
    def url(self) -> str:
        return self._identity.url

    @property
    def closed(self) -> bool:
        return self._handle is None

    @property
    def viewed(self) -> bool:
        """Are there views, so that it can't be closed?"""
        handle = self._handle
        return handle is not None and bool(handle.holds)

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        state = "closed" if self.closed else repr(self.flags)
        return f"<pagein.Map {self.url!r} [{self.offset}:{self.offset + self._length}] {state}>"

    def __reduce__(self) -> Any:
        return _reopen_map, (self._identity.checked(), self.offset, self._length, int(self.flags))

    # ---- closing ----

    def close(self) -> None:
        """Removes the map. BufferError: there are views of it; nothing has changed. Twice is fine."""
        handle = self._handle
        self._handle = None
        if handle is not None and handle.holds:
            self._handle = handle
            raise BufferError(f"{self!r} can't be closed while there are views of it")

    def __enter__(self) -> "Map":
        self._open()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def _open(self) -> Handle:
        handle = self._handle
        if handle is None:
            raise ValueError("the map is closed")
        return handle

    def _range(self, offset: int, length: Optional[int]) -> Tuple[Handle, int, int]:
        handle = self._open()
        offset = operator.index(offset)
        length = self._length - offset if length is None else operator.index(length)
        if offset < 0 or length < 0 or offset + length > self._length:
            raise ValueError(f"{offset}+{length} is outside of a map of {self._length} bytes")
        return handle, offset, length

    # ---- reading by touch ----

    def view(self) -> memoryview:
        """All of it as a memoryview, without a copy; writable if the map is Flag.PRIVATE.

        Its pages are fetched as they are touched: see the package's manual for what a touch may do.
        """
        handle = self._open()
        if self._length == 0 or self._address is None:
            return memoryview(b"")
        return make_view(handle, self, self._kind, self._address, bool(self.flags & Flag.PRIVATE))

    def __buffer__(self, flags: int) -> memoryview:
        """From Python 3.12 on the map itself is a buffer: memoryview(map), numpy.frombuffer(map)."""
        return self.view()

    def __getitem__(self, index: Union[int, slice]) -> Union[int, memoryview]:
        """map[a:b] is a memoryview without a copy; map[i] is a byte, by pread()."""
        if isinstance(index, slice):
            return self.view()[index]
        index = operator.index(index)
        if not -self._length <= index < self._length:
            raise IndexError("index out of range")
        return self.pread(1, index % self._length)[0]

    # ---- reading by call ----

    def readinto(self, buffer: Any, offset: int = 0) -> int:
        """Fills a writable buffer from offset on; fewer bytes only at the map's end. FetchError otherwise.

        Never a signal, whatever others do with the map meanwhile. Any number of threads may read at once.
        """
        target = memoryview(buffer).cast("B")
        handle, offset, rest = self._range(min(offset, self._length), None)
        target = target[:rest]
        piece, done, asked = _PIECE_BYTES, 0, 0
        while done < len(target):
            part = target[done:done + piece]
            until = min(len(target), done + len(part) + _AHEAD_BYTES)
            if until > max(asked, done + len(part)):
                self.will_need(offset + max(asked, done), until - max(asked, done))
                asked = until
            try:
                self._read_part(handle, part, offset + done)
            except Error as error:
                if error.errno != errno.ENOMEM or piece <= _PIECE_MIN:
                    raise
                piece //= 2
            else:
                done += len(part)
        return done

    def pread(self, size: int, offset: int = 0) -> bytes:
        """Up to size bytes from offset on, by readinto()."""
        buffer = bytearray(max(0, min(size, self._length - offset)))
        self.readinto(buffer, offset)
        return bytes(buffer)

    def will_need(self, offset: int, length: int) -> None:
        """advise(WILLNEED) of a range that is not empty. An error is no matter: the read itself will tell."""
        handle = self._open()
        library.pagein_advise(handle.pointer, offset, length, Advice.WILLNEED)

    def _read_part(self, handle: Handle, part: memoryview, offset: int) -> None:
        done, tries = 0, 0
        if not _copy.is_resident(self._address + offset, len(part)):
            self._populate(handle, offset, len(part), None)
        while done < len(part):
            copied = _copy.copy(self._address + offset + done, part[done:])
            done += copied
            if copied == 0:
                tries += 1
                if tries > _COPY_TRIES:
                    raise fetch_error(errno.EFAULT, "read: the page does not stay", self.url,
                                      self.offset + offset + done)
                self._populate(handle, offset + done, len(part) - done, None)

    # ---- fetching ----

    def populate(self, offset: int = 0, length: Optional[int] = None, timeout_ms: Optional[int] = None) -> None:
        """Brings a range in, and returns when all of it is there: touching it does not wait, nor fail.

        timeout_ms None: as long as the fetching may take, which Object's option timeout_ms bounds; else
        TimedOutError, and what is under way goes on. FetchError: a page can't be had; one that had failed
        before is tried again. In the main thread Ctrl-C and other signals' handlers run meanwhile.
        """
        handle, offset, length = self._range(offset, length)
        if length > 0:
            self._populate(handle, offset, length, timeout_ms)

    def _populate(self, handle: Handle, offset: int, length: int, timeout_ms: Optional[int]) -> None:
        began_ns = time.monotonic_ns()
        is_main = threading.current_thread() is threading.main_thread()
        while True:
            spent_ms = (time.monotonic_ns() - began_ns) // 1000000
            wait_ms = -1 if timeout_ms is None else max(0, timeout_ms - spent_ms)
            if is_main and (wait_ms < 0 or wait_ms > _SLICE_MS):
                wait_ms = _SLICE_MS
            slice_ns = time.monotonic_ns()
            result = library.pagein_populate(handle.pointer, offset, length, wait_ms)
            if result == 0:
                return
            slice_ns = time.monotonic_ns() - slice_ns
            # Sooner, it was the server that has not answered in time. What fails between two slices is
            # asked for once more by the next.
            if result != -errno.ETIMEDOUT or wait_ms < 0 or slice_ns < wait_ms * 1000000:
                raise self._failure(handle, offset, length, result)
            if timeout_ms is not None and (time.monotonic_ns() - began_ns) // 1000000 >= timeout_ms:
                raise TimedOutError(errno.ETIMEDOUT, f"populate: not all is there after {timeout_ms} ms", self.url)

    def _failure(self, handle: Handle, offset: int, length: int, result: int) -> Error:
        """The exception for a populate that has failed."""
        call = last_error(result, self.url)
        if -result in _OF_CALLS:
            return call
        states = self._states(handle, offset, min(length, _LOOK_BYTES))
        first = next((i for i, state in enumerate(states) if state == State.FAILED),
                     next((i for i, state in enumerate(states) if state != State.RESIDENT), 0))
        # Of the page, not before the range.
        place = max(offset, ((self.offset + offset) // PAGE_BYTES + first) * PAGE_BYTES - self.offset)
        known = self._error(handle, place)
        return known or fetch_error(-result, call.reason, self.url, self.offset + place)

    def advise(self, advice: Advice, offset: int = 0, length: Optional[int] = None) -> None:
        """Says how it will be read: NORMAL, SEQUENTIAL and RANDOM all of it; WILLNEED and DONTNEED a range.

        Readers of columns and strides (array[::4096]) need none: equal distances are found, and what lies
        between is left out.
        """
        handle, offset, length = self._range(offset, length)
        if length > 0:
            check(library.pagein_advise(handle.pointer, offset, length, advice), self.url)

    def pin(self, offset: int = 0, length: Optional[int] = None) -> None:
        """The range's pages are not evicted under a memory limit. Pins do not nest, and end with the map."""
        handle, offset, length = self._range(offset, length)
        if length > 0:
            check(library.pagein_pin(handle.pointer, offset, length), self.url)

    def unpin(self, offset: int = 0, length: Optional[int] = None) -> None:
        """Ends a pin."""
        handle, offset, length = self._range(offset, length)
        if length > 0:
            check(library.pagein_unpin(handle.pointer, offset, length), self.url)

    # ---- what is there ----

    def residency(self, offset: int = 0, length: Optional[int] = None) -> bytes:
        """A byte for each page of the range, of State, as mincore(2)."""
        handle, offset, length = self._range(offset, length)
        return self._states(handle, offset, length) if length > 0 else b""

    def _states(self, handle: Handle, offset: int, length: int) -> bytes:
        start = (self.offset + offset) // PAGE_BYTES
        pages = (self.offset + offset + length + PAGE_BYTES - 1) // PAGE_BYTES - start
        states = (ctypes.c_ubyte * pages)()
        check(library.pagein_residency(handle.pointer, offset, length, states), self.url)
        return bytes(states)

    def error(self, offset: int) -> Optional[FetchError]:
        """Why the page at offset has failed, or None if it has not."""
        handle, offset, _ = self._range(offset, 1)
        return self._error(handle, offset)

    def _error(self, handle: Handle, offset: int) -> Optional[FetchError]:
        values = _abi.ErrorStruct()
        check(library.pagein_error(handle.pointer, self._address + offset, ctypes.byref(values)), self.url)
        if values.error == 0:
            return None
        return fetch_error(values.error, values.message.decode(errors="replace"), self.url, values.offset,
                           values.status)

    def retry(self, offset: int = 0, length: Optional[int] = None) -> None:
        """Pages of the range that failed are absent again: the next touch tries anew."""
        handle, offset, length = self._range(offset, length)
        if length > 0:
            check(library.pagein_retry(handle.pointer, offset, length), self.url)

    def dirty(self, offset: int = 0, length: Optional[int] = None) -> List[Tuple[int, int]]:
        """(offset, length) of what was written to an overlay (Flag.PRIVATE), in whole pages."""
        handle, offset, length = self._range(offset, length)
        count, found = -1, 0
        while length > 0 and found > count:
            count = found
            ranges = (_abi.RangeStruct * count)()
            found = check(library.pagein_dirty(handle.pointer, offset, length, ranges, count), self.url)
        return [(ranges[i].offset, ranges[i].length) for i in range(found)]

    def discard(self, offset: int = 0, length: Optional[int] = None) -> None:
        """Pages of an overlay show the object's bytes again."""
        handle, offset, length = self._range(offset, length)
        if length > 0:
            check(library.pagein_discard(handle.pointer, offset, length), self.url)

    def stats(self) -> Dict[str, int]:
        """Counters and gauges of this map: see pagein_stats(3) for which."""
        handle = self._open()
        return stats_of(handle.pointer)

    def thread_stats(self) -> List[Dict[str, Any]]:
        """How long which thread has waited for this map, who did last first: pagein_thread_stats(3)."""
        threads = (_abi.ThreadStatsStruct * _abi.THREADS_MAX)()
        handle = self._open()
        count = check(library.pagein_thread_stats(handle.pointer, threads, len(threads)), self.url)
        return [{name: list(thread.stalls) if name == "stalls" else getattr(thread, name)
                 for name, _ in thread._fields_} for thread in threads[:min(count, len(threads))]]


def _reopen_map(identity: "Identity", offset: int, length: int, flags: int) -> Map:
    from .objects import reopen
    return reopen(identity).map(offset, length, Flag(flags))
