"""Rows 5 to 9: what is left of the distance."""
from servers import FAR_DELAY_MS, FAR_RATE, Origin, far_origin, parallel_curls
from tools import DOORS, Figure, median_of

FAR = ["--delay", f"{FAR_DELAY_MS}ms", "--rate", FAR_RATE]


def far_sequential(build, _, folder):
    size = 1 << 30
    with far_origin(build, folder) as origin:
        url = origin.url("1G")
        curls = median_of(3, lambda: parallel_curls(url, size, 16))
        runs = build.bench(url, "--engine", ",".join(DOORS), "--pattern", "sequential", "--runs", 3)
    figures = [Figure("5", "far sequential: 16 curls, GB/s", size / curls / 1e9)]
    for door in DOORS:
        ratio = curls / runs[door, "sequential"]["seconds"]
        figures.append(Figure("5", f"far sequential: {door} / 16 curls", ratio, at_least=0.9))
    return figures


def far_random(build, *_):
    """On the bench's own server, whose counters it knows."""
    arguments = ["--size", "1G", "--engine", ",".join(DOORS), "--pattern", "random", "--runs", 1, *FAR]
    one = build.bench("--count", 200, *arguments)
    many = build.bench("--count", 6400, "--threads", 64, *arguments)
    figures = []
    for door in DOORS:
        late_ms = one[door, "random"]["latency_us"]["p50"] / 1000 - FAR_DELAY_MS
        run = many[door, "random"]
        rate = run["faults"] / run["seconds"] / (64 / (FAR_DELAY_MS / 1000))
        ratio = run["bytes_fetched"] / run["bytes_touched"]
        figures += [
            Figure("6", f"far random: {door} p50 over the first byte, ms", late_ms, at_most=0.5),
            Figure("7", f"far random: {door}, 64 threads, of 64 / first byte", rate, at_least=0.85),
            Figure("8", f"far random: {door}, fetched / touched", ratio, at_most=1.25),
        ]
    return figures


def far_first_touch(build, _, folder):
    """Each time another object; a connection to the server is there."""
    with far_origin(build, folder) as origin:
        found = build.cases("first-touch", *(origin.url("1G", seed) for seed in range(41)))
    late_ms = found["p50_ms"] - FAR_DELAY_MS
    return [Figure("9", "far: open, map, touch, over the first byte, ms", late_ms, at_most=1)]


def far_tail(build, _, folder):
    """One answer in a hundred comes a second late: with second requests, and without. The origin
    draws its lots anew for each run."""
    found = {}
    for percent in (0, 5):
        script = f": delay={FAR_DELAY_MS}ms\npercent=1 : delay=1s\n"
        with Origin(build, folder, script) as origin:
            runs = build.bench(origin.url("1G"), "--hedge", percent, "--engine", "uffd", "--pattern",
                               "random", "--runs", 1, "--count", 4000, "--threads", 16)
            found[percent] = runs["uffd", "random"]["latency_us"]["p995"] / 1000, origin.requests()
    (before_ms, asked), (after_ms, asked_after) = found[0], found[5]
    return [
        Figure("15", "1% a second late: p99.5 without second requests, ms", before_ms),
        Figure("15", "1% a second late: p99.5, ms", after_ms),
        Figure("15", "1% a second late: p99.5, times less", before_ms / after_ms, at_least=5),
        Figure("15", "1% a second late: requests more, %", 100 * (asked_after / asked - 1), at_most=5),
    ]


MEASURES = [far_sequential, far_random, far_first_touch, far_tail]
