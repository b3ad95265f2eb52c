"""The library itself, and what is asked of the process rather than of an object."""
from __future__ import annotations

import ctypes
import os
from typing import Dict, NamedTuple, Optional

from . import _abi
from .errors import Error, error_of


def _load() -> ctypes.CDLL:
    name = os.environ.get("PAGEIN_LIBRARY") or "libpagein.so.0"
    try:
        library = ctypes.CDLL(name)
        for function, (result, *parameters) in _abi.PROTOTYPES.items():
            bound = getattr(library, function)
            bound.restype = result
            bound.argtypes = parameters
    except (OSError, AttributeError) as error:
        raise ImportError(f"pagein: {error}; is libpagein installed? PAGEIN_LIBRARY may name its file") from None
    return library


library = _load()


def last_error(result: int, url: Optional[str] = None) -> Error:
    """The exception for a negative result of this thread's last call."""
    words = library.pagein_last_error().decode(errors="replace")
    return error_of(-result, words or os.strerror(-result), url)


def check(result: int, url: Optional[str] = None) -> int:
    if result < 0:
        raise last_error(result, url)
    return result


def stats_of(pointer: Optional[int]) -> Dict[str, int]:
    values = _abi.StatsStruct()
    check(library.pagein_stats(pointer, ctypes.byref(values)))
    return {name: getattr(values, name) for name, _ in _abi.StatsStruct._fields_}


def stats() -> Dict[str, int]:
    """Counters and gauges of the process: pagein_stats(3) says what each is."""
    return stats_of(None)


class Caps(NamedTuple):
    """What can be done here. error is 0, or the errno for which there can be no map."""
    caps: _abi.Cap
    error: int
    message: str


def caps() -> Caps:
    """What this kernel and this process's rights allow; message has what is missing, and its cure."""
    values = _abi.CapsStruct()
    library.pagein_caps(ctypes.byref(values))
    return Caps(_abi.Cap(values.caps), values.error, values.message.decode(errors="replace"))
