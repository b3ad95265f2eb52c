#!/usr/bin/env bash
# pagein bench: what it writes of engines and patterns; no figure is judged. PAGEIN names the
# program. Exit 77: no userfaultfd here.
set -euo pipefail

base=$(mktemp -d)
trap 'rm -rf "$base"' EXIT

if "$PAGEIN" doctor | grep -q '^FAIL  libpagein:'; then
	echo 'skipped: no userfaultfd here: see pagein doctor' >&2
	exit 77
fi

# Wrong bytes, and requests for what is cached, give another status than 0.
timeout 60 "$PAGEIN" bench --size 4M --count 200 --runs 2 --stride 32K --json "$base/json" \
	--engine floor,uffd,floor-cached,uffd-cached,floor-inline,uffd-inline,uffd-huge,uffd-shared \
	--pattern random,sequential,stride,zipf

python3 - "$base/json" <<'END'
import json, sys

runs = {(run["engine"], run["pattern"]): run for run in json.load(open(sys.argv[1]))["runs"]}
accesses = {"random": 200, "sequential": 1024, "stride": 128, "zipf": 200}
for engine in ("floor", "uffd", "floor-cached", "uffd-cached", "floor-inline", "uffd-inline",
               "uffd-huge", "uffd-shared"):
    for pattern, count in accesses.items():
        run = runs.pop((engine, pattern))
        assert run["faults"] == count and run["wrong"] == 0, run
        assert (run["requests"] == 0) == engine.endswith(("-cached", "-inline")), run
assert not runs, runs
END

status=0
"$PAGEIN" bench --engine none 2>"$base/err" || status=$?
[ "$status" -eq 1 ]
grep -q "pagein bench: --engine: 'none' is none; choose from floor uffd floor-cached" "$base/err"
