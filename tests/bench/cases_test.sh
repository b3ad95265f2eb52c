#!/usr/bin/env bash
# Every case runs, and prints what tests/bench/run reads; how fast is not looked at. CASES and ORIGIN
# name the programs.
set -euo pipefail

base=$(mktemp -d)
server=''
failures=0

finish() {
	[ -z "$server" ] || { kill "$server" && wait "$server"; } || true
	rm -rf "$base"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

# expect "NAME..." ARGUMENT...: these figures, in this order, and numbers all of them
expect() {
	local names=$1

	shift
	if ! timeout 60 "$CASES" "$@" >"$base/out" 2>"$base/err"; then
		if grep -q userfaultfd "$base/err"; then
			cat "$base/err" >&2
			exit 77
		fi
		printf 'FAILED: %s: %s\n' "$*" "$(<"$base/err")"
		failures=$((failures + 1))
	elif [ "$(cut -d ' ' -f 1 "$base/out" | xargs)" != "$names" ] ||
		grep -qvE '^[a-z0-9_]+ -?[0-9]+(\.[0-9]+)?$' "$base/out"; then
		printf 'FAILED: %s: printed %s\n' "$*" "$(<"$base/out")"
		failures=$((failures + 1))
	fi
}

# refuse "WORDS ON STDERR" ARGUMENT...
refuse() {
	local words=$1

	shift
	if timeout 60 "$CASES" "$@" >"$base/out" 2>"$base/err" || ! grep -qF -- "$words" "$base/err"; then
		printf 'FAILED: %s: said %s instead of %s\n' "$*" "$(<"$base/err")" "$words"
		failures=$((failures + 1))
	fi
}

no_proxy=127.0.0.1
export no_proxy
"$ORIGIN" >"$base/origin.log" &
server=$!
until grep -q listening "$base/origin.log"; do
	kill -0 "$server"
	sleep 0.05
done
url=http://$(sed 's/^listening on //' "$base/origin.log")/generated
head -c 3000001 /dev/urandom >"$base/file"

expect 'p50_ms max_ms' first-touch "$url"/1M-{1..4}
expect 'touches p50_ms p99_ms scan_gb_per_s' scan-beside "$url/2M-1" "$url/3000001-2" 2
expect 'open_mib map_mib touched_mib page_tables_mib' terabyte "$url/1T" 20
expect 'unlimited_s limited_s limited_mib' limited-scan "$url/3M" 1M
expect 'seconds touches' streams "$url/3000001" 8 4096
expect 'seconds touches' streams "$url/3000001" 1 65536
expect 'seconds' readers "$base/file" 8
expect 'open_cpu_ms connections cpu_ms' tls-connections "$url/1M" 4
refuse 'usage: cases' streams "$url/1M" 8
refuse 'not a number above zero' streams "$url/1M" none 4096
refuse "$base/none" readers "$base/none" 1
kill "$server"
wait "$server" || true
server=''
refuse 'connect' streams "$url/1M" 1 4096

[ "$failures" -eq 0 ]
