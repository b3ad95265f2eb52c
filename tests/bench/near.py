"""Rows 1 to 4 and 8: what it costs when the server costs nothing."""
import os
import shutil
import statistics
import subprocess
import time

from servers import curl_seconds
from tools import DOORS, Figure, Mounted, call, drop_caches, median_of, warm_memory


def pinned(server, build, engines):
    """Random accesses, everything on one CPU."""
    everywhere = os.sched_getaffinity(0)
    server.pin({min(everywhere)})
    try:
        runs = build.bench(server.url, "--engine", engines, "--pattern", "random", "--pin", "--runs", 5)
    finally:
        server.pin(everywhere)
    return {engine: run["latency_us"] for (engine, _), run in runs.items()}


def near_random(build, server, _):
    us = pinned(server, build, "floor,uffd,fuse-mmap")
    p50, p99 = us["floor"]["p50"], us["floor"]["p99"]
    return [
        Figure("1", "near random, pinned: floor p50, us", p50),
        Figure("1", "near random, pinned: uffd p50 / floor", us["uffd"]["p50"] / p50, at_most=1.2),
        Figure("1", "near random, pinned: uffd p99 / floor", us["uffd"]["p99"] / p99, at_most=1.5),
        Figure("4", "near random, pinned: fuse-mmap p50 / floor", us["fuse-mmap"]["p50"] / p50, at_most=1.4),
    ]


def near_sequential(build, server, _):
    runs = build.bench(server.url, "--engine", "uffd", "--pattern", "sequential", "--runs", 3)
    seconds = median_of(3, lambda: curl_seconds(server.url))
    ratio = seconds / runs["uffd", "sequential"]["seconds"]
    return [
        Figure("2", "near sequential: curl, GB/s", server.size / seconds / 1e9),
        Figure("2", "near sequential: uffd / curl", ratio, at_least=0.85),
    ]


def cold_dd(path):
    """The median seconds of reading a file that no page cache has."""
    times = []
    for _ in range(3):
        drop_caches()
        warm_memory(os.path.getsize(path) // (1 << 20) + 64)
        start = time.monotonic()
        call("dd", f"if={path}", "of=/dev/null", "bs=1M", stderr=subprocess.DEVNULL)
        times.append(time.monotonic() - start)
    return statistics.median(times)


def near_dd(build, server, folder):
    with Mounted(build, server.url, folder) as path:
        reading = cold_dd(path)
    seconds = median_of(3, lambda: curl_seconds(server.url))
    return [Figure("3", "near mount: dd bs=1M / curl", seconds / reading, at_least=0.55)]


def peer_dd(command, mountpoint, path):
    """The same of another's mount; `command` serves until it is unmounted."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if os.path.exists(path) and os.path.getsize(path) > 0:
                break
            time.sleep(0.1)
        return cold_dd(path)
    finally:
        subprocess.run(["umount", mountpoint], check=False, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()


def near_peers(_, server, folder):
    """Other mounts of the same object, where they are installed."""
    figures = []
    if shutil.which("nbdfuse") and shutil.which("nbdkit"):
        path = os.path.join(folder, "nbdfuse-object")
        open(path, "w", encoding="ascii").close()
        command = ["nbdfuse", path, "--command", "nbdkit", "-s", "curl", server.url]
        seconds = peer_dd(command, path, path)
        figures.append(Figure("3", "near mount: dd of nbdkit + nbdfuse, GB/s", server.size / seconds / 1e9))
    if shutil.which("rclone"):
        mountpoint = os.path.join(folder, "rclone")
        os.makedirs(mountpoint, exist_ok=True)
        command = ["rclone", "mount", ":http:", mountpoint, "--http-url",
                   f"http://127.0.0.1:{server.port}", "--read-only"]
        seconds = peer_dd(command, mountpoint, os.path.join(mountpoint, "object"))
        figures.append(Figure("3", "near mount: dd of rclone, GB/s", server.size / seconds / 1e9))
    return figures


def near_amplification(build, *_):
    """On the bench's own server, whose counters it knows."""
    runs = build.bench("--size", "1G", "--engine", ",".join(DOORS), "--pattern", "random", "--runs", 1)
    figures = []
    for door in DOORS:
        run = runs[door, "random"]
        ratio = run["bytes_fetched"] / run["bytes_touched"]
        figures.append(Figure("8", f"near random: {door}, fetched / touched", ratio, at_most=1.25))
    return figures


MEASURES = [near_random, near_sequential, near_dd, near_peers, near_amplification]
