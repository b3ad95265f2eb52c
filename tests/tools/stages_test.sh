#!/usr/bin/env bash
# pagein bench: the stages of a fault. They are together what the fault took, the server's time shows where it
# belongs, and diff finds a stage that has become slower. PAGEIN and ORIGIN name the programs. No figure is judged
# that a busy machine could change. Exit 77: no userfaultfd here.
set -euo pipefail

base=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$base"' EXIT

if "$PAGEIN" doctor | grep -q '^FAIL  libpagein:'; then
	echo 'skipped: no userfaultfd here: see pagein doctor' >&2
	exit 77
fi
export no_proxy=127.0.0.1

# A server that takes 5 ms, on warm connections.
timeout 60 "$PAGEIN" bench --size 4M --count 100 --runs 2 --delay 5ms --engine floor,uffd --pattern random \
	--json "$base/delayed" >"$base/table"
# One that closes each connection behind its answer.
: >"$base/origin.log"
"$ORIGIN" --script <(echo ': no-keepalive') >"$base/origin.log" &
server=$!
until grep -q listening "$base/origin.log"; do
	kill -0 "$server"
	sleep 0.05
done
url=http://$(sed 's/^listening on //' "$base/origin.log")/generated/4M
timeout 60 "$PAGEIN" bench --count 50 --runs 1 --engine uffd --pattern random --json "$base/cold" "$url" >/dev/null
# Several threads' stages can't be told apart, nor those of several faults in one access.
timeout 60 "$PAGEIN" bench --size 4M --count 100 --runs 1 --threads 2 --engine uffd --pattern random \
	--json "$base/threads" >/dev/null
timeout 60 "$PAGEIN" bench --size 4M --count 10 --runs 1 --access-bytes 64K --engine uffd --pattern random \
	--json "$base/long" >/dev/null

python3 - "$base" <<'END'
import json, sys

def record(name):
    return json.load(open(sys.argv[1] + "/" + name))

names = ["event", "submit", "connect", "first_byte", "last_byte", "fill", "resume"]
delayed, cold = record("delayed"), record("cold")
assert delayed["environment"]["stages_ns"] > delayed["environment"]["clock_ns"] > 0
for run in delayed["runs"] + cold["runs"]:
    means = dict(run["stages"]["mean_us"])
    together = means.pop("all")
    assert list(run["stages_us"]) == list(means) == names, run
    assert run["stages"]["accesses"] > 10, run
    # To the nanosecond, but for six digits of JSON.
    assert abs(sum(means.values()) - together) < together * 1e-4, run
    assert all(value >= 0 for value in means.values()), run
for run in delayed["runs"]:
    stages = run["stages_us"]
    assert stages["first_byte"] >= 5000 and max(stages, key=stages.get) == "first_byte", run
    assert stages["connect"] == 0, run
(run,) = cold["runs"]
assert run["stages_us"]["connect"] > 0, run
table = open(sys.argv[1] + "/table").read()
(head,) = [line for line in table.splitlines() if line.startswith("stages")]
assert head.split()[3:] == names + ["all"], head
for name in ("threads", "long"):
    (run,) = record(name)["runs"]
    assert run["stages"]["accesses"] == 0 and set(run["stages_us"].values()) == {None}, run
END

# diff: a record is like itself, and fills that take ten times as long are slower.
for slow in 0 1000; do
	timeout 60 "$PAGEIN" bench --size 4M --count 100 --runs 5 --engine floor-cached --pattern random \
		--slow-fill "$slow" --json "$base/slow-$slow" >/dev/null
done
same=$("$PAGEIN" bench diff "$base/slow-0" "$base/slow-0")
[[ $same == '0 of '*' figures differ'* ]]
status=0
"$PAGEIN" bench diff "$base/slow-0" "$base/slow-1000" >"$base/out" || status=$?
[ "$status" -eq 1 ]
grep -Eq '^ +floor-cached +random +fill +[0-9.]+ -> +[0-9.]+ us +\+[0-9.]+%  p = 0\.008$' "$base/out" || {
	cat "$base/out" >&2
	exit 1
}
