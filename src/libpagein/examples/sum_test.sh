#!/usr/bin/env bash
# The example against a server of its own. PAGEIN, ORIGIN and SUM name the programs.
set -euo pipefail

if "$PAGEIN" doctor | grep '^FAIL  userfaultfd'; then
	echo "skipped: no userfaultfd here"
	exit 77
fi
dir=$(mktemp -d)
trap 'kill "${pid:-}" 2>/dev/null || true; rm -rf "$dir"' EXIT
for size in 0 1 4095 4096 4097 5000001; do
	head -c "$size" /dev/urandom >"$dir/$size"
done
"$ORIGIN" --root "$dir" >"$dir/origin.log" &
pid=$!
until grep -q listening "$dir/origin.log"; do
	kill -0 "$pid"
	sleep 0.05
done
url=http://$(sed 's/^listening on //' "$dir/origin.log")
for size in 0 1 4095 4096 4097 5000001; do
	"$SUM" "$url/$size" "$dir/$size"
done
head -c 4096 "$dir/5000001" >"$dir/other"
if "$SUM" "$url/4096" "$dir/other" >/dev/null; then
	echo "other bytes were not noticed"
	exit 1
fi
if "$SUM" "$url/missing"; then
	echo "a missing object was not noticed"
	exit 1
fi
