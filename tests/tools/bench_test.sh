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

# Processes and threads, with and without a rate of arrivals, cold and warm; each access is a sample.
processes=3
if [ "${SANITIZED-}" = thread ]; then
	echo 'without several processes: ThreadSanitizer lets no child of a threaded process make threads' >&2
	processes=1
fi
timeout 60 "$PAGEIN" bench --size 4M --count 200 --runs 2 --engine floor,uffd,uffd-cached,uffd-inline \
	--pattern random,hotcold --processes "$processes" --threads 2 --json "$base/many" --samples "$base/samples"
timeout 60 "$PAGEIN" bench --size 4M --count 200 --runs 5 --engine floor,uffd --pattern random \
	--threads 4 --arrival 2000 --json "$base/open" --svg "$base/picture"
timeout 60 "$PAGEIN" bench --size 4M --count 200 --runs 1 --engine uffd --pattern random --warm --json "$base/warm"

python3 - "$base" "$processes" <<'END'
import collections, csv, json, sys, xml.etree.ElementTree

base, processes = sys.argv[1], int(sys.argv[2])
many = json.load(open(base + "/many"))
for run in many["runs"]:
    assert (run["processes"], run["threads"], run["faults"], run["wrong"]) == (processes, 2, 200, 0), run
    assert len(run["per_run"]["p50_us"]) == 2 and run["spread"] >= 0, run
    assert sum(count for low, high, count in run["histogram_ns"]) == 2 * 200, run
    assert all(low <= high for low, high, count in run["histogram_ns"]), run
for name in ("date", "pagein", "kernel", "cpu", "placement", "curl", "tls", "origin", "seed", "clock_ns"):
    assert name in many["environment"], name
samples = list(csv.DictReader(open(base + "/samples")))
assert len(samples) == 4 * 2 * 2 * 200, len(samples)
for key, rows in collections.Counter((s["engine"], s["pattern"], s["run"]) for s in samples).items():
    assert rows == 200, key
assert {s["thread"] for s in samples} == set("012345"[:2 * processes])
assert all(0 <= int(s["offset"]) <= 4096 * 1023 and int(s["length"]) == 4096 for s in samples)
# The picture has a line for each engine, and needs nothing else.
svg = "{http://www.w3.org/2000/svg}"
picture = xml.etree.ElementTree.parse(base + "/picture").getroot()
words = [text.text for text in picture.iter(svg + "text")]
assert picture.tag == svg + "svg" and {"floor", "uffd", "latency, us"} <= set(words), words
lines = [path.get("d") for path in picture.iter(svg + "path") if path.get("class", "").startswith("line") and "L" in path.get("d")]
assert len(lines) == 2, lines
# 200 arrivals at 2000 a second take a tenth of a second, however fast the engine is.
for run in json.load(open(base + "/open"))["runs"]:
    assert run["arrivals_per_s"] == 2000 and run["seconds"] > 0.06 and run["judged_by"] == "p50_us", run
(run,) = json.load(open(base + "/warm"))["runs"]
assert run["warm"] and run["requests"] == 0, run
END

# A trace: what is wrong is told with its line, and what is right is played.
printf '# offset length time thread\n0 4096\n\n1048576 10000 500 7\n4194303 1 1000\n' >"$base/trace"
timeout 60 "$PAGEIN" bench --size 4M --runs 2 --engine floor,uffd --pattern replay --trace "$base/trace" \
	--recorded-pace --json "$base/replay"
python3 - "$base/replay" <<'END'
import json, sys

for run in json.load(open(sys.argv[1]))["runs"]:
    assert (run["faults"], run["bytes_touched"], run["wrong"]) == (3, 14097, 0), run
END
wrong_trace() { # WORDS LINE...
	local words=$1
	shift
	printf '%s\n' "$@" >"$base/wrong"
	if "$PAGEIN" bench --size 4M --runs 1 --engine uffd --pattern replay --trace "$base/wrong" 2>"$base/err"; then
		echo "a wrong trace was played: $*" >&2
		exit 1
	fi
	grep -qF -- "$words" "$base/err" || { cat "$base/err" >&2; exit 1; }
}
wrong_trace 'wrong:2: a line is OFFSET LENGTH [TIME_US [THREAD [OBJECT]]]' '0 1' '1 0'
wrong_trace 'wrong:1: a line is OFFSET LENGTH' '-1 1'
wrong_trace 'wrong:1: a line is OFFSET LENGTH' '1 1 1 1 1 1'
wrong_trace 'wrong:3: a line is OFFSET LENGTH' '#' '' '1 99999999999999999999'
wrong_trace 'wrong:2: its time is before' '0 1 5' '0 1 4'
wrong_trace 'no access of object 0 in it' '#' '1 1 1 1 3'
wrong_trace "it reads behind the object's end" '4194303 2'

# PAGEIN_TRACE: what the library and the mount's readers touched is written down, each in a file of
# its process, and can be played. The mount reads pages; the library's pages are touched once.
PAGEIN_TRACE=$base/recorded timeout 60 "$PAGEIN" bench --size 4M --count 100 --runs 1 \
	--engine uffd,fuse-read --pattern random --samples "$base/touched" >/dev/null
python3 - "$base" <<'END'
import csv, glob, sys

base = sys.argv[1]
touched = {}
for row in csv.DictReader(open(base + "/touched")):
    touched.setdefault(row["engine"], set()).add(int(row["offset"]))
(mount,) = glob.glob(base + "/recorded.*")
for name, engine in ((base + "/recorded", "uffd"), (mount, "fuse-read")):
    lines = open(name).read().splitlines()
    heads = [line.split() for line in lines if line.startswith("#")]
    assert heads and all(head[1] == "object" and head[3] == "4194304" for head in heads), heads
    rows = [tuple(map(int, line.split())) for line in lines if not line.startswith("#")]
    assert all(len(row) == 5 for row in rows), rows
    assert sorted(rows, key=lambda row: row[2]) == rows
    # Readahead may have been there before a touch, and a mark of its own is touched once more.
    seen = {row[0] for row in rows}
    assert seen <= touched[engine] and len(seen) > len(touched[engine]) / 2, (engine, len(seen))
END
object=$(awk '$1 != "#" { print $5; exit }' "$base/recorded")
timeout 60 "$PAGEIN" bench --size 4M --runs 1 --engine floor,uffd --pattern replay --trace "$base/recorded" \
	--trace-object "$object" >/dev/null

# diff: a record is like itself; one that is slower in one stage differs there; three runs show nothing.
same=$("$PAGEIN" bench diff "$base/open" "$base/open")
[[ $same == '0 of '*' figures differ'* ]]
python3 - "$base/open" "$base/slower" <<'END'
import json, sys

record = json.load(open(sys.argv[1]))
for run in record["runs"]:
    run["per_run"]["p50_us"] = [10, 11, 12, 13, 14]
json.dump(record, open(sys.argv[1] + "-10", "w"))
record["runs"][1]["per_run"]["p50_us"] = [15, 16, 17, 18, 19]
json.dump(record, open(sys.argv[2], "w"))
END
status=0
"$PAGEIN" bench diff "$base/open-10" "$base/slower" >"$base/out" || status=$?
[ "$status" -eq 1 ]
grep -Eq '^ +uffd +random +p50 +12 -> +17 us +\+41\.7%  p = 0\.008$' "$base/out"
grep -q '^1 of ' "$base/out"
status=0
"$PAGEIN" bench diff "$base/json" "$base/json" >/dev/null 2>"$base/err" || status=$?
[ "$status" -eq 2 ]
grep -q 'there is nothing to compare' "$base/err"
status=0
"$PAGEIN" bench diff "$base/samples" "$base/json" 2>"$base/err" || status=$?
[ "$status" -eq 2 ]

status=0
"$PAGEIN" bench --engine none 2>"$base/err" || status=$?
[ "$status" -eq 1 ]
grep -q "pagein bench: --engine: 'none' is none; choose from floor uffd floor-cached" "$base/err"
