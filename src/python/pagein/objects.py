"""Object: one version of what a URL names. open() and its options."""
from __future__ import annotations

import ctypes
import errno
import io
import os
import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple, Union

from . import _abi
from ._abi import Flag, Integrity
from ._handle import Handle
from ._library import check, library
from .errors import Error
from .files import File
from .maps import Map

if TYPE_CHECKING:
    from .arrays import memmap as Memmap


@dataclass(frozen=True)
class Identity:
    """What it takes to open the same version again."""
    url: str
    options: Dict[str, Any]
    flags: Flag
    size: int
    version: str

    def checked(self) -> "Identity":
        if not self.version:
            raise TypeError(f"{self.url!r} can't be pickled: its server tells no version that could be compared")
        return self


def _fill(struct: Any, kind: str, values: Mapping[str, Any]) -> Any:
    """Sets the fields that are named, and the size. Strings as their bytes."""
    struct.size = ctypes.sizeof(struct)
    types = dict(struct._fields_)
    for name, value in values.items():
        if name not in types or name == "size":
            raise TypeError(f"there is no {kind} {name!r}")
        if value is None:
            continue
        if name == "s3":
            value = ctypes.pointer(_fill(_abi.S3OptionsStruct(), "S3 option", value))
        elif types[name] is ctypes.c_char_p:
            value = _text(value, name)
        setattr(struct, name, value)
        # ctypes cuts off what does not fit.
        if isinstance(value, int) and getattr(struct, name) != value:
            raise ValueError(f"{kind} {name}: {value} is out of range")
    return struct


def _text(value: Union[str, "os.PathLike[str]"], what: str) -> bytes:
    encoded = os.fsencode(value)
    if b"\0" in encoded:
        raise ValueError(f"{what}: embedded null character")
    return encoded


def _open_here(url: str, struct: _abi.OptionsStruct) -> Handle:
    pointer = ctypes.c_void_p()
    check(library.pagein_open(_text(url, "url"), ctypes.byref(struct), ctypes.byref(pointer)), url)
    assert pointer.value is not None
    return Handle(pointer.value, library.pagein_close)


def _open_handle(url: str, struct: _abi.OptionsStruct) -> Handle:
    """In the main thread another one waits for the server, so that Ctrl-C and other handlers run."""
    if threading.current_thread() is not threading.main_thread():
        return _open_here(url, struct)
    results: List[Union[Handle, BaseException]] = []  # if nobody waits any more, the handle ends with this

    def run() -> None:
        try:
            results.append(_open_here(url, struct))
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=run, name="pagein-open", daemon=True)
    thread.start()
    thread.join()
    result = results.pop()
    if isinstance(result, BaseException):
        try:
            raise result
        finally:
            del result  # its traceback has this frame
    return result


class Object:
    """One version of a remote object. open() makes it.

    It is closed by close() or `with`, which close all of its maps, or when nobody refers to it any more;
    then its maps live on as long as somebody refers to them or to views of them.
    """

    def __init__(self, url: str, flags: Flag, options: Dict[str, Any]) -> None:
        handle = _open_handle(url, _fill(_abi.OptionsStruct(), "option", options))
        self._handle: Optional[Handle] = handle
        self._identity = Identity(url, options, flags, library.pagein_size(handle.pointer),
                                  library.pagein_version(handle.pointer).decode(errors="surrogateescape"))
        self._maps: "weakref.WeakSet[Map]" = weakref.WeakSet()

    # ---- what it is ----

    @property
    def url(self) -> str:
        return self._identity.url

    @property
    def size(self) -> int:
        return self._identity.size

    @property
    def version(self) -> str:
        """The pinned validator: an ETag with its quotes, else a date; empty if the server has none."""
        return self._identity.version

    @property
    def integrity(self) -> Integrity:
        """What is known of its bytes now."""
        handle = self._open()
        return Integrity(check(library.pagein_integrity(handle.pointer), self.url))

    @property
    def closed(self) -> bool:
        return self._handle is None

    def __len__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return f"<pagein.Object {self.url!r} {self.size} bytes{', closed' if self.closed else ''}>"

    def __reduce__(self) -> Any:
        return reopen, (self._identity.checked(),)

    # ---- closing ----

    def _open(self) -> Handle:
        handle = self._handle
        if handle is None:
            raise ValueError("the object is closed")
        return handle

    def close(self) -> None:
        """Closes it and its maps. BufferError: there are views of one; nothing has changed. Twice is fine."""
        maps = list(self._maps)
        for map in maps:
            if map.viewed:
                raise BufferError(f"{self!r} can't be closed while there are views of it")
        self._handle = None
        for map in maps:
            map.close()
        self.__dict__.pop("_whole", None)

    def __enter__(self) -> "Object":
        self._open()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    # ---- ways to its bytes ----

    def map(self, offset: int = 0, length: Optional[int] = None, flags: Flag = Flag(0)) -> Map:
        """Another map of a part: pagein_map(3). offset must be a multiple of 4096."""
        handle = self._open()
        pointer = ctypes.c_void_p()
        if length == 0 or (length is None and offset == self.size):
            raise ValueError("an empty range")
        if offset < 0 or (length or 0) < 0:
            raise ValueError("a negative offset or length")
        check(library.pagein_map(handle.pointer, offset, length or 0, flags, ctypes.byref(pointer)), self.url)
        assert pointer.value is not None
        map = Map(self._identity, pointer.value, offset, Flag(flags))
        self._maps.add(map)
        return map

    @property
    def whole(self) -> Map:
        """The map of all of it, with the flags that open() was given; made when it is first asked for."""
        map = self.__dict__.get("_whole")
        if map is None:
            handle = self._open()
            pointer = ctypes.c_void_p()
            check(library.pagein_map(handle.pointer, 0, 0, self._identity.flags, ctypes.byref(pointer)), self.url)
            assert pointer.value is not None
            map = self.__dict__.setdefault("_whole", Map(self._identity, pointer.value, 0, self._identity.flags))
            self._maps.add(map)
        return map

    def view(self) -> memoryview:
        """Map.view() of the whole."""
        return self.whole.view()

    def __buffer__(self, flags: int) -> memoryview:
        return self.whole.view()

    def __getitem__(self, index: Union[int, slice]) -> Union[int, memoryview]:
        """obj[a:b] is a memoryview without a copy; obj[i] is a byte, by pread()."""
        return self.whole[index]

    def readinto(self, buffer: Any, offset: int = 0) -> int:
        """Map.readinto() of the whole: by call, never a signal."""
        return self.whole.readinto(buffer, offset)

    def pread(self, size: int, offset: int = 0) -> bytes:
        """Map.pread() of the whole: by call, never a signal."""
        return self.whole.pread(size, offset)

    def file(self, buffer_bytes: int = io.DEFAULT_BUFFER_SIZE) -> Union[io.BufferedReader, File]:
        """It as a file: read, readinto, peek, readline, seek, tell. Each has a place of its own.

        Reads are calls: FetchError, never a signal. One that is read in sequence is read ahead of.
        buffer_bytes 0: without the BufferedReader. Closing the object closes what the file reads from.
        """
        file = File(self.whole)
        return io.BufferedReader(file, buffer_bytes) if buffer_bytes > 0 else file

    def memmap(self, dtype: Any = "uint8", mode: str = "r", offset: int = 0,
               shape: Union[int, Tuple[int, ...], None] = None, order: str = "C") -> "Memmap":
        """A numpy array of a part, as numpy.memmap has it: values, attributes and errors.

        mode "r" is a view of the whole; "c" is a map of its own, which may be written, in memory only.
        offset is any number of bytes. Reading the array is touching: see the package's manual.
        """
        from .arrays import memmap_of
        return memmap_of(self, dtype, mode, offset, shape, order)

    def private_part(self, start: int, length: int) -> Map:
        """A map of pages that may be written."""
        return self.map(start, length, Flag.PRIVATE | (self._identity.flags & Flag.WAIT))


def open(url: str, *, flags: Flag = Flag(0), **options: Any) -> Object:
    """Opens url, and pins its version: http://, https://, file:///, s3://BUCKET/KEY, manifest:FILE#PATH.

    flags are those of the map of the whole: Flag.WAIT, HUGE, PRIVATE and so on. The options are those of
    struct pagein_options, by the same names and in the same units; None or 0 means the default:

        timeout_ms, attempts, connections, loops, spin_us, cache_bytes, memory, hedge_percent,
        deadline_ms: numbers
        fork: Fork; verify: Verify; netrc_file, token_file: paths; s3: a dict of pagein_s3_options' fields

    NotFoundError, NotPermittedError, RefusedError, TimedOutError or another Error: it can't be opened.
    """
    return Object(url, Flag(flags), options)


def reopen(identity: Identity) -> Object:
    """The same version, or Error with ESTALE."""
    object = Object(identity.url, identity.flags, identity.options)
    if (object.version, object.size) != (identity.version, identity.size):
        raise Error(errno.ESTALE, f"open: it was version {identity.version}, and is {object.version or 'unknown'} now",
                    identity.url)
    return object
