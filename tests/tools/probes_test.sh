#!/usr/bin/env bash
# Probes: each stage of src/base/stages.h is one, in the program and in the library, and those scripts of tools/trace
# that can run here see faults go through them. PAGEIN and LIBRARY name the two, TRACE the folder of the scripts,
# STAGES the header. Exit 77: built without <sys/sdt.h>.
set -euo pipefail

base=$(mktemp -d)
trap 'rm -rf "$base"' EXIT

if ! readelf --notes "$PAGEIN" | grep -q 'Provider: pagein'; then
	echo 'skipped: built without <sys/sdt.h> (systemtap-sdt-dev)' >&2
	exit 77
fi
wanted=$(sed -nE 's/^\tX\([A-Z_]+, ([a-z_]+), .*/\1/p' "$STAGES" | sort)
[ "$(wc -w <<<"$wanted")" -eq 7 ]
for binary in "$PAGEIN" "$LIBRARY"; do
	found=$(readelf --notes "$binary" | awk '/Provider: pagein/ { getline; print $2 }' | sort -u)
	if [ "$found" != "$wanted" ]; then
		printf '%s has other probes than %s:\n%s\n' "$binary" "$STAGES" "$found" >&2
		exit 1
	fi
	# Of a constant, perf would make no argument.
	if readelf --notes "$binary" | grep -A3 'Provider: pagein' | grep 'Arguments:.*\$'; then
		echo "$binary: a probe has a constant for an argument" >&2
		exit 1
	fi
done

# What runs from here on needs root, userfaultfd(2) and a kernel that lets itself be traced.
if [ "$(id -u)" -ne 0 ] || "$PAGEIN" doctor | grep -q '^FAIL  libpagein:'; then
	echo 'the scripts were not run: that wants root and userfaultfd' >&2
	exit 0
fi
bench=("$PAGEIN" bench --size 64M --count 200 --runs 1 --engine uffd --pattern random)

# bpftrace starts the command when it is attached, and ends with it.
bpftrace -d "$TRACE/stages.bt" "$PAGEIN" >"$base/dry" 2>&1 || {
	cat "$base/dry" >&2
	exit 1
}
if timeout -s KILL 60 bpftrace -q -c "$PAGEIN --version" -e "usdt:$PAGEIN:pagein:event { @[arg0] = count(); }" >"$base/try" 2>&1; then
	timeout -s KILL 60 bpftrace -q -c "${bench[*]}" "$TRACE/stages.bt" "$PAGEIN" >"$base/histograms" 2>&1
	for stage in '2 submit' '3 connect' '4 first_byte' '5 last_byte' '6 fill' all; do
		seen=$(awk -v head="@ns[$stage]: " '$0 == head { inside = 1; next } !NF { inside = 0 }
			inside { split($0, parts, /[)|\]]/); sum += parts[2] } END { print sum + 0 }' "$base/histograms")
		if [ "$seen" -lt 100 ]; then
			echo "bpftrace has seen $seen of '$stage'" >&2
			cat "$base/histograms" >&2
			exit 1
		fi
	done
else
	echo "bpftrace: only checked, not run: $(tail -n 1 "$base/try")" >&2
fi

if [ ! -w /sys/kernel/tracing/uprobe_events ] || ! command -v perf >/dev/null; then
	echo 'perf: not run: no perf, or no uprobe_events in /sys/kernel/tracing' >&2
	exit 0
fi
timeout -s KILL 100 "$TRACE/record" "$PAGEIN" "${bench[@]}" >"$base/events" 2>"$base/err" || {
	cat "$base/err" >&2
	exit 1
}
if grep -q sdt_pagein /sys/kernel/tracing/uprobe_events; then
	echo 'record has left its probes behind' >&2
	exit 1
fi
python3 - "$base/events" <<'END'
import collections, re, sys

seen = collections.defaultdict(list)
for line in open(sys.argv[1]):
    stage, offset, length, object = re.search(r"sdt_pagein:(\w+): (\d+) (\d+) (\d+)$", line).groups()
    seen[int(offset)].append(stage)
    assert int(length) > 0 and int(offset) % 4096 == 0 and int(object) > 0, line
# The thread may go on before the copy that woke it has returned.
whole = ["event", "submit", "connect", "first_byte", "last_byte", "fill"]
good = sum([stage for stage in stages if stage != "resume"] == whole and "resume" in stages for stages in seen.values())
assert good > 100, (good, len(seen))
END
