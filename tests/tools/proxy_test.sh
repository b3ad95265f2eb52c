#!/usr/bin/env bash
# http_proxy, https_proxy, no_proxy, and who is told which secret: through a proxy that lets CONNECT
# pass, and one that does not. And: what is in the process list. PAGEIN, ORIGIN, PROXY name the
# programs.
# shellcheck disable=SC2153 # PROXY is a program, proxy is a URL
set -euo pipefail

base=$(mktemp -d)
www=$base/www
pids=()
failures=0

finish() {
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null || true
	done
	rm -rf "$base"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

failed() {
	printf 'FAILED: %s\n' "$*"
	failures=$((failures + 1))
}

# same FILE COMMAND...: the command writes the file's bytes, and nothing else
same() {
	local file=$1

	shift
	timeout 60 "$@" | cmp - "$file" || failed "$*"
}

# start LOG PROGRAM...: in the background; waits for its first line, which is left in $line
start() {
	local log=$1

	shift
	: >"$log"
	"$@" >"$log" &
	pids+=($!)
	until [ -s "$log" ]; do
		kill -0 "${pids[-1]}"
		sleep 0.05
	done
	line=$(head -n 1 "$log")
}

unset http_proxy https_proxy no_proxy all_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY
export HOME=$base
mkdir -p "$www/sub"
head -c 3000001 /dev/urandom >"$www/large"
start "$base/origin.log" "$ORIGIN" --root "$www"
url=http://${line#listening on }
start "$base/proxy.port" "$PROXY" "$base/proxy.log"
proxy=http://127.0.0.1:$line
start "$base/closed.port" "$PROXY" --no-connect "$base/closed.log"
closed=http://127.0.0.1:$line
host=${url#http://}

# probes and listings by the proxy's own GET, ranged gets in a tunnel
same "$www/large" env http_proxy="${proxy/:\/\//:\/\/me:hunter2@}" "$PAGEIN" cat "${url/:\/\//:\/\/user:secret@}/large"
grep -q "^GET $url/large Basic bWU6aHVudGVyMg== Basic dXNlcjpzZWNyZXQ=$" "$base/proxy.log" ||
	failed "a probe through the proxy"
grep -q "^CONNECT $host Basic bWU6aHVudGVyMg== -$" "$base/proxy.log" ||
	failed "a tunnel for gets, whose credentials the proxy does not see"
[ "$(http_proxy=$proxy "$PAGEIN" ls "$url/")" = "$(printf 'large\nsub/')" ] || failed "ls through the proxy"

# one that refuses CONNECT fetches for us
same "$www/large" env http_proxy="$closed" "$PAGEIN" cat "$url/large"
grep -q "^CONNECT $host - -$" "$base/closed.log" || failed "CONNECT was tried"
[ "$(grep -c "^GET $url/large" "$base/closed.log")" -gt 1 ] || failed "gets by the closed proxy"

# who is excepted is asked directly
: >"$base/proxy.log"
same "$www/large" env http_proxy="$proxy" no_proxy=127.0.0.1 "$PAGEIN" cat "$url/large"
same "$www/large" env http_proxy="$proxy" no_proxy='*' "$PAGEIN" cat "$url/large"
[ ! -s "$base/proxy.log" ] || failed "no_proxy"

# https:// has a proxy of its own, which is asked for a tunnel (to a server that knows no TLS)
: >"$base/proxy.log"
: >"$base/closed.log"
! env https_proxy="$proxy" http_proxy="$closed" "$PAGEIN" cat "https://$host/large" >/dev/null 2>&1 ||
	failed "TLS to a server without"
grep -q "^CONNECT $host - -$" "$base/proxy.log" || failed "https_proxy"
[ ! -s "$base/closed.log" ] || failed "http_proxy was asked for https://"

# one that is not there
! http_proxy=http://127.0.0.1:1 "$PAGEIN" cat "$url/large" >"$base/out" 2>&1 || failed "no proxy there"

# what others can see of us: a slow cat's command line and environment have no token, and errors
# have no password
printf 'hunter2\n' >"$base/token"
chmod 600 "$base/token"
curl -sf -X PUT --data-binary 'path=/large : delay=1h' "$url/.origin/script"
"$PAGEIN" cat --token-file "$base/token" "$url/large" >/dev/null 2>&1 &
pids+=($!)
sleep 0.2
! tr '\0' '\n' <"/proc/${pids[-1]}/cmdline" | grep -q hunter2 || failed "a token in the process list"
curl -sf -X PUT --data-binary ': delay=1h' "$url/.origin/script"
"$PAGEIN" cat "${url/:\/\//:\/\/user:hunter2@}/large" >/dev/null 2>&1 &
pids+=($!)
for _ in {1..100}; do
	sleep 0.05
	tr '\0' '\n' <"/proc/${pids[-1]}/cmdline" | grep -q hunter2 || break
done
! tr '\0' '\n' <"/proc/${pids[-1]}/cmdline" | grep -q hunter2 || failed "a password in the process list"
curl -sf -X PUT --data-binary ': status=401' "$url/.origin/script"
! "$PAGEIN" cat "${url/:\/\//:\/\/user:hunter2@}/large" 2>"$base/err" || failed "401"
grep -q "^pagein cat: $url/large: HTTP 401$" "$base/err" || failed "words: $(<"$base/err")"

[ "$failures" -eq 0 ]
