"""Rows 1 to 4, 8, 10, 11 and 12: what it costs when the server costs nothing."""
import os
import shutil
import statistics
import subprocess
import time

from servers import Origin, curl_seconds
from tools import DOORS, Figure, Mounted, call, median_of


def pinned(build, engines, *arguments):
    """The latencies of random accesses by engine, everything on one CPU."""
    runs = build.bench("--engine", engines, "--pattern", "random", "--pin", "--runs", 5, *arguments)
    return {engine: run["latency_us"] for (engine, _), run in runs.items()}


def near_random(build, server, _):
    everywhere = os.sched_getaffinity(0)
    server.pin({min(everywhere)})
    try:
        us = pinned(build, "floor,uffd,fuse-mmap", server.url)
    finally:
        server.pin(everywhere)
    p50, p99 = us["floor"]["p50"], us["floor"]["p99"]
    return [
        Figure("1", "near random, pinned: floor p50, us", p50),
        Figure("1", "near random, pinned: uffd p50 / floor", us["uffd"]["p50"] / p50, at_most=1.2),
        Figure("1", "near random, pinned: uffd p99 / floor", us["uffd"]["p99"] / p99, at_most=1.5),
        Figure("4", "near random, pinned: fuse-mmap p50 / floor", us["fuse-mmap"]["p50"] / p50, at_most=1.4),
    ]


def near_cached(build, *_):
    """Bytes that are here already; the floor reads and copies them, and does nothing else. They are
    fetched before each run, by the bench from its own server: so fewer."""
    us = pinned(build, "floor-cached,uffd-cached,floor-inline,uffd-inline", "--size", "256M")
    p50, cached_p50 = us["floor-cached"]["p50"], us["uffd-cached"]["p50"]
    handler_p50, inline_p50 = us["floor-inline"]["p50"], us["uffd-inline"]["p50"]
    return [
        Figure("10", "cached random, pinned: read + UFFDIO_COPY p50, us", p50),
        Figure("10", "cached random, pinned: uffd-cached p50 / that", cached_p50 / p50, at_most=1.3),
        Figure("10", "cached random, pinned: UFFDIO_COPY in a SIGBUS handler p50, us", handler_p50),
        Figure("10", "cached random, pinned: uffd-inline p50 / that", inline_p50 / handler_p50, at_most=1.3),
    ]


def near_sequential(build, server, _):
    runs = build.bench(server.url, "--engine", "uffd,uffd-huge,uffd-shared", "--pattern", "sequential", "--runs", 3)
    seconds = median_of(3, lambda: curl_seconds(server.url))
    ratios = {engine: seconds / run["seconds"] for (engine, _), run in runs.items()}
    return [
        Figure("2", "near sequential: curl, GB/s", server.size / seconds / 1e9),
        Figure("2", "near sequential: uffd / curl", ratios["uffd"], at_least=0.85),
        Figure("2", "near sequential: uffd-huge / curl", ratios["uffd-huge"], at_least=0.85),
        Figure("2", "near sequential: uffd-shared / curl", ratios["uffd-shared"]),
    ]


def forget(path):
    """The kernel's pages of this file go, and are the next to be used: they cost nothing anew."""
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def cold_dd(path):
    """The median seconds of reading a file that no page cache has, into memory that is warm: a first
    pass is not counted, since a virtual machine may have to ask its host for each page."""
    times = []
    for _ in range(6):
        forget(path)
        start = time.monotonic()
        call("dd", f"if={path}", "of=/dev/null", "bs=1M", stderr=subprocess.DEVNULL)
        times.append(time.monotonic() - start)
    return statistics.median(times[1:])


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


def near_beside(build, server, _):
    """Random touches of one object while another is scanned, again and again."""
    found = build.cases("scan-beside", server.url, server.other_url, 5)
    return [
        Figure("11", "near random beside a scan: uffd p50, ms", found["p50_ms"]),
        Figure("11", "near random beside a scan: uffd p99, ms", found["p99_ms"], at_most=2),
        Figure("11", "near random beside a scan: the scan, GB/s", found["scan_gb_per_s"]),
    ]


def near_tls(build, server, _):
    url, env = server.tls()
    runs = build.bench(url, "--engine", ",".join(DOORS), "--pattern", "sequential", "--runs", 3, env=env)
    seconds = median_of(3, lambda: curl_seconds(url, "--cacert", server.ca_file))
    opened = [build.cases("tls-connections", url, 32, env=env) for _ in range(5)]
    cpu_ms, open_ms = (statistics.median(one[name] for one in opened) for name in ("cpu_ms", "open_cpu_ms"))
    figures = [Figure("12", "near https sequential: curl, GB/s", server.size / seconds / 1e9)]
    for door in DOORS:
        ratio = seconds / runs[door, "sequential"]["seconds"]
        figures.append(Figure("12", f"near https sequential: {door} / curl", ratio, at_least=0.9))
    return figures + [
        Figure("12", "near https: CPU of a new connection, ms", cpu_ms, at_most=3),
        Figure("12", "near https: CPU of the first open, ms", open_ms),
    ]


def terabyte(build, _, folder):
    with Origin(build, folder) as origin:
        found = build.cases("terabyte", origin.url("1T"), 10000)
    return [
        Figure("13", "1 TiB: memory of a map, MiB", found["map_mib"], at_most=2),
        Figure("13", "1 TiB: memory of open and map, MiB", found["open_mib"]),
        Figure("13", "1 TiB: 10,000 touches beyond their pages, MiB", found["touched_mib"], at_most=64),
        Figure("13", "1 TiB: their page tables, MiB", found["page_tables_mib"]),
    ]


def limited_scan(build, _, folder):
    with Origin(build, folder) as origin:
        found = build.cases("limited-scan", origin.url("8G"), "64M")
    ratio = found["unlimited_s"] / found["limited_s"]
    return [
        Figure("4.2", "near, 8 GiB under 64 MiB: memory of the map, MiB", found["limited_mib"], at_most=64 + 16),
        Figure("4.2", "near, 8 GiB under 64 MiB: unlimited seconds / limited", ratio, at_least=0.8),
    ]


MEASURES = [near_random, near_sequential, near_dd, near_peers, near_amplification, near_cached, near_beside,
            near_tls, terabyte, limited_scan]
