"""Row 14: eight that go their ways over one object, beside one alone that does as much.

Each of the eight has an eighth of the object. Streams touch every page, strides one page of 16,
threads of one map; scans are processes that read one file of a mount.
"""
import statistics

from servers import far_origin
from tools import Figure, Mounted

EIGHT = 8
PAGE = 4096
STRIDE = 64 << 10


def in_turn(rounds, case):
    """case(1) and case(EIGHT) in turn: the median seconds of each."""
    seconds = [(case(1)["seconds"], case(EIGHT)["seconds"]) for _ in range(rounds)]
    return [statistics.median(side) for side in zip(*seconds)]


def streams(build, where, url, size):
    one, eight = in_turn(3, lambda threads: build.cases("streams", url, threads, PAGE))
    return [
        Figure("14", f"{where}: one stream, GB/s", size / one / 1e9),
        Figure("14", f"{where}: 8 streams / one", one / eight, at_least=0.8),
    ]


def strides(build, where, url, size):
    one, eight = in_turn(1, lambda threads: build.cases("streams", url, threads, STRIDE))
    return [
        Figure("14", f"{where}: one stride, touches/ms", size / STRIDE / one / 1000),
        Figure("14", f"{where}: 8 strides / one", one / eight, at_least=0.8),
    ]


def scans(build, where, url, folder):
    with Mounted(build, url, folder) as path:
        one, eight = in_turn(3, lambda processes: build.cases("readers", path, processes))
    return [Figure("14", f"{where}: scans of 8 processes / of one", one / eight, at_least=0.8)]


def near_streams(build, server, _):
    return streams(build, "near", server.url, server.size)


def near_strides(build, server, _):
    return strides(build, "near", server.url, server.size)


def near_scans(build, server, folder):
    return scans(build, "near", server.url, folder)


def far_streams(build, _, folder):
    with far_origin(build, folder) as origin:
        return streams(build, "far", origin.url("1G"), 1 << 30)


def far_strides(build, _, folder):
    """Of 2048 touches: without readahead they take 20 s, one after the other."""
    with far_origin(build, folder) as origin:
        return strides(build, "far", origin.url("128M"), 128 << 20)


def far_scans(build, _, folder):
    with far_origin(build, folder) as origin:
        return scans(build, "far", origin.url("1G"), folder)


MEASURES = [near_streams, near_strides, near_scans, far_streams, far_strides, far_scans]
