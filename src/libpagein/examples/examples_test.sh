#!/usr/bin/env bash
# The examples against a server of their own. PAGEIN, ORIGIN and, by their names, SUM, WORDCOUNT,
# LAZYSQL, OVERLAY and ERRORS are the programs.
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
seq -f 'line %.0f  of a long	text' 300000 >"$dir/text"
sqlite3 "$dir/db" "create table t(id integer primary key, name text);
	with recursive n(i) as (select 1 union all select i + 1 from n where i < 200000)
	insert into t select i, 'name ' || i from n;"
"$ORIGIN" --root "$dir" >"$dir/origin.log" &
pid=$!
until grep -q listening "$dir/origin.log"; do
	kill -0 "$pid"
	sleep 0.05
done
url=http://$(sed 's/^listening on //' "$dir/origin.log")

fail() {
	echo "$*" >&2
	exit 1
}

# expect WHAT IS WANTED
expect() {
	[ "$2" = "$3" ] || fail "$1: '$2' instead of '$3'"
}

for size in 0 1 4095 4096 4097 5000001; do
	"$SUM" "$url/$size" "$dir/$size"
done
head -c 4096 "$dir/5000001" >"$dir/other"
! "$SUM" "$url/4096" "$dir/other" >/dev/null || fail "other bytes were not noticed"
! "$SUM" "$url/missing" || fail "a missing object was not noticed"

# wc's own words for it, in a fifth of the memory that the text takes.
read -r lines words bytes _ < <(wc "$dir/text")
expect wordcount "$("$WORDCOUNT" "$url/text" 2 2>"$dir/resident")" "$lines $words $bytes"
read -r resident _ <"$dir/resident"
[ "$resident" -le 4096 ] || fail "wordcount: $resident KiB are resident under a limit of 2 MiB"

expect lazysql "$("$LAZYSQL" "$url/db" 'select name from t where id = 123456' 2>"$dir/fetched")" \
	"name 123456"
read -r fetched _ total _ <"$dir/fetched"
[ "$fetched" -lt $((total / 4)) ] || fail "lazysql: $fetched of $total KiB for one row"
! "$LAZYSQL" "$url/text" 'select 1 from t' 2>/dev/null || fail "no database was not noticed"

"$OVERLAY" "$url/5000001" 9000 "changed" >"$dir/overlay"
expect overlay "$(grep -c '^changed: 8192+4096$' "$dir/overlay")" 1
mapfile -t sums < <(grep '^sum' "$dir/overlay")
expect "overlay: sums" "${#sums[@]}" 2
[ "${sums[0]}" != "${sums[1]}" ] || fail "overlay: the change did not change the sum"
expect "overlay: discarded" "${sums[1]}" \
	"$("$SUM" "$url/5000001" | sed 's/:.*//')"

expect errors "$("$ERRORS" "$url/5000001" 4999999)" \
	"$(od -An -tu1 -j4999999 -N1 "$dir/5000001" | tr -d ' ')"
curl -fsS -X PUT --data-binary 'path=/5000001 : status=404' "$url/.origin/script"
! "$ERRORS" "$url/5000001" 4999999 2>"$dir/errors" || fail "errors: nothing failed"
