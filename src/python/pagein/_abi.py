"""pagein.h in ctypes: enumerations, structures, prototypes; nothing here calls anything.

tests/python/abi_test.py compares all of it with the header, in both directions.
"""
from __future__ import annotations

import ctypes
import enum
from ctypes import POINTER, c_char, c_char_p, c_int, c_int32, c_size_t, c_ubyte, c_uint, c_uint64, c_void_p

PAGE_BYTES = 4096
NO_LIMIT = 2**64 - 1
STALL_BUCKETS = 32
THREADS_MAX = 256


class Fork(enum.IntEnum):
    """What a child of fork(2) has of the maps."""
    REARM = 0
    SERVE = 1
    DENY = 2


class Verify(enum.IntEnum):
    """What is checked of an object's bytes."""
    AUTO = 0
    OFF = 1
    REQUIRE = 2
    BLOCKS = 3


class Integrity(enum.IntEnum):
    """What is known of an object's bytes now."""
    UNCHECKED = 0
    BY_BLOCK = 1
    UNFINISHED = 2
    VERIFIED = 3
    BAD = 4


class Flag(enum.IntFlag):
    """What a map is made of: one of PRIVATE to INLINE or none, and WAIT."""
    PRIVATE = 0x1
    HUGE = 0x2
    SHARED = 0x4
    HUGETLB = 0x8
    INLINE = 0x10
    WAIT = 0x20


class Advice(enum.IntEnum):
    """How a map, or a range of it, will be read."""
    NORMAL = 0
    SEQUENTIAL = 1
    RANDOM = 2
    WILLNEED = 3
    DONTNEED = 4


class State(enum.IntEnum):
    """What a page is now."""
    ABSENT = 0
    COMING = 1
    RESIDENT = 2
    FAILED = 3


class Cap(enum.IntFlag):
    """What this kernel and this process's rights allow."""
    MAP = 0x1
    SYSCALLS = 0x2
    SIGBUS = 0x4
    PRIVATE = 0x8
    HUGE = 0x10
    SHARED = 0x20
    INLINE = 0x40
    SERVE = 0x80


class S3OptionsStruct(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("profile", c_char_p),
        ("region", c_char_p),
        ("endpoint_url", c_char_p),
        ("addressing_style", c_char_p),
        ("no_sign_request", c_int),
        ("requester_pays", c_int),
    ]


class OptionsStruct(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("timeout_ms", c_uint),
        ("attempts", c_uint),
        ("connections", c_uint),
        ("loops", c_uint),
        ("fork", c_uint),
        ("spin_us", c_uint),
        ("cache_bytes", c_uint64),
        ("s3", POINTER(S3OptionsStruct)),
        ("netrc_file", c_char_p),
        ("token_file", c_char_p),
        ("memory", c_uint64),
        ("verify", c_uint),
        ("hedge_percent", c_int),
        ("deadline_ms", c_uint),
    ]


class ErrorStruct(ctypes.Structure):
    _fields_ = [("error", c_int), ("status", c_uint), ("offset", c_uint64), ("message", c_char * 240)]


class RangeStruct(ctypes.Structure):
    _fields_ = [("offset", c_size_t), ("length", c_size_t)]


class CapsStruct(ctypes.Structure):
    _fields_ = [("caps", c_uint), ("error", c_int), ("message", c_char * 240)]


class StatsStruct(ctypes.Structure):
    _fields_ = [(name, c_uint64) for name in (
        "faults", "fills", "bytes_filled", "poisoned", "evicted", "refilled", "requests", "bytes_fetched",
        "retries", "hedges", "hedges_won", "connections_opened", "zero_pages", "huge_fills", "fallbacks",
        "objects", "maps", "resident_bytes", "transfers", "connections", "cached_bytes", "pinned_bytes")]


class ThreadStatsStruct(ctypes.Structure):
    _fields_ = [
        ("tid", c_int32),
        ("faults", c_uint64),
        ("stalled_ns", c_uint64),
        ("stalled_max_ns", c_uint64),
        ("stalls", c_uint64 * STALL_BUCKETS),
    ]


# By their names in the header; of an enumeration also what its constants begin with there.
STRUCTS = {
    "pagein_s3_options": S3OptionsStruct,
    "pagein_options": OptionsStruct,
    "pagein_error": ErrorStruct,
    "pagein_range": RangeStruct,
    "pagein_caps": CapsStruct,
    "pagein_stats": StatsStruct,
    "pagein_thread_stats": ThreadStatsStruct,
}
ENUMS = {
    "pagein_fork": (Fork, "PAGEIN_FORK_"),
    "pagein_verify": (Verify, "PAGEIN_VERIFY_"),
    "pagein_integrity": (Integrity, "PAGEIN_"),
    "pagein_flag": (Flag, "PAGEIN_"),
    "pagein_advice": (Advice, "PAGEIN_"),
    "pagein_state": (State, "PAGEIN_"),
    "pagein_cap": (Cap, "PAGEIN_CAP_"),
}
MACROS = {
    "PAGEIN_NO_LIMIT": NO_LIMIT,
    "PAGEIN_STALL_BUCKETS": STALL_BUCKETS,
    "PAGEIN_THREADS_MAX": THREADS_MAX,
}

# Result, then parameters. Objects and maps are void pointers.
PROTOTYPES = {
    "pagein_open": (c_int, c_char_p, POINTER(OptionsStruct), POINTER(c_void_p)),
    "pagein_close": (None, c_void_p),
    "pagein_size": (c_uint64, c_void_p),
    "pagein_version": (c_char_p, c_void_p),
    "pagein_integrity": (c_int, c_void_p),
    "pagein_map": (c_int, c_void_p, c_uint64, c_size_t, c_uint, POINTER(c_void_p)),
    "pagein_address": (c_void_p, c_void_p),
    "pagein_length": (c_size_t, c_void_p),
    "pagein_unmap": (c_int, c_void_p),
    "pagein_advise": (c_int, c_void_p, c_size_t, c_size_t, c_int),
    "pagein_populate": (c_int, c_void_p, c_size_t, c_size_t, c_int),
    "pagein_pin": (c_int, c_void_p, c_size_t, c_size_t),
    "pagein_unpin": (c_int, c_void_p, c_size_t, c_size_t),
    "pagein_residency": (c_int, c_void_p, c_size_t, c_size_t, POINTER(c_ubyte)),
    "pagein_error": (c_int, c_void_p, c_void_p, POINTER(ErrorStruct)),
    "pagein_retry": (c_int, c_void_p, c_size_t, c_size_t),
    "pagein_dirty": (c_int, c_void_p, c_size_t, c_size_t, POINTER(RangeStruct), c_size_t),
    "pagein_discard": (c_int, c_void_p, c_size_t, c_size_t),
    "pagein_caps": (c_int, POINTER(CapsStruct)),
    "pagein_stats": (c_int, c_void_p, POINTER(StatsStruct)),
    "pagein_thread_stats": (c_int, c_void_p, POINTER(ThreadStatsStruct), c_size_t),
    "pagein_last_error": (c_char_p,),
}

# What Python has no use for, and why.
NOT_BOUND = {
    "pagein_guard": "it jumps over the frames of who calls it: see the package's manual",
    "pagein_detach": "views keep the map, which is memory already",
}
