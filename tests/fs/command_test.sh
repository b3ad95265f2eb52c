#!/bin/bash
# command_test.sh - pagein mount and umount as commands: exit statuses, messages, what is left behind.
#
# $PAGEIN and $ORIGIN name the programs. One origin and one nginx on free ports; everything that was
# started or mounted is gone at the end, however the test ends.
set -u

[ -w /dev/fuse ] || { echo "skipped: /dev/fuse is missing or not writable"; exit 77; }

base=$(mktemp -d /tmp/pagein-command-XXXXXX)
www=$base/www mnt=$base/mnt
origin_pid= nginx_pid= failures=0

finish() {
	while grep -q " $mnt " /proc/self/mountinfo && umount -l "$mnt"; do :; done
	[ -n "$origin_pid" ] && kill "$origin_pid" && wait "$origin_pid"
	[ -n "$nginx_pid" ] && kill "$nginx_pid"
	rm -rf "$base"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

fail() { echo "FAILED: $*"; failures=$((failures + 1)); }
pass() { echo "ok: $*"; }
is_mounted() { grep -q " $mnt .* fuse.pagein " /proc/self/mountinfo; }

# The server of the mount: the one process that has these words in its command line.
server_pid() {
	for d in /proc/[0-9]*; do
		tr '\0' '\n' 2>/dev/null <"$d/cmdline" | grep -qxF "$mnt" &&
			[ "$(readlink "$d/exe")" = "$(readlink -f "$PAGEIN")" ] && echo "${d#/proc/}"
	done
}

# The only one: that of a mount which has just gone may still be on its way out.
the_server() {
	local pids=

	until [[ $pids =~ ^[0-9]+$ ]]; do
		pids=$(server_pid)
	done
	echo "$pids"
}

# expect STATUS "WORDS ON STDERR" COMMAND... ; the words are a part of exactly one line
expect() {
	local status=$1 words=$2 got
	shift 2
	timeout 30 "$@" >"$base/out" 2>"$base/err"
	got=$?
	if [ "$got" -ne "$status" ]; then
		fail "$*: status $got instead of $status: $(cat "$base/err")"
	elif [ -n "$words" ] && { ! grep -qF -- "$words" "$base/err" || [ "$(wc -l <"$base/err")" -ne 1 ]; }; then
		fail "$*: said '$(cat "$base/err")' instead of '$words'"
	elif [ -z "$words" ] && [ -s "$base/err" ]; then
		fail "$*: said '$(cat "$base/err")'"
	else
		pass "$* -> $status ${words:+($words)}"
	fi
}

mkdir -p "$www/sub" "$mnt"
head -c 300000 /dev/urandom >"$www/file"
head -c 10 /dev/urandom >"$www/sub/a b%c"
: >"$www/empty"
touch -d '2024-05-06 07:08:00 UTC' "$www"/* "$www/sub"/*

coproc ORIGIN_OUT { exec "$ORIGIN" --root "$www"; }
origin_pid=$ORIGIN_OUT_PID
read -r -u "${ORIGIN_OUT[0]}" line || { echo "FAILED: no origin"; exit 1; }
url=http://${line##* }

# --- it works ----------------------------------------------------------------------------------

expect 0 "" "$PAGEIN" mount "$url/" "$mnt"
is_mounted && cmp -s "$www/file" "$mnt/file" || fail "the mount does not serve"
grep -q " ro,nosuid,nodev,.* fuse.pagein $url/ " /proc/self/mountinfo || fail "mount options"
expect 1 "busy: a pagein mount is there already" "$PAGEIN" mount "$url/" "$mnt"
expect 0 "" "$PAGEIN" umount "$mnt"
is_mounted && fail "still mounted"
expect 1 "not mounted" "$PAGEIN" umount "$mnt"

# --- its end -----------------------------------------------------------------------------------

expect 0 "" "$PAGEIN" mount "$url/file" "$mnt"
cmp -s "$www/file" "$mnt/file" || fail "one object"
pid=$(the_server)
kill -TERM "$pid"
tail --pid="$pid" -f /dev/null
is_mounted && fail "SIGTERM left the mount" || pass "SIGTERM unmounts"

expect 0 "" "$PAGEIN" mount "$url/" "$mnt"
exec 9<"$mnt/file"
expect 1 "busy" "$PAGEIN" umount "$mnt"
exec 9<&-
expect 0 "" "$PAGEIN" umount "$mnt/"

expect 0 "" "$PAGEIN" mount "$url/" "$mnt"
pid=$(the_server)
kill -KILL "$pid"
tail --pid="$pid" -f /dev/null
expect 1 "busy" "$PAGEIN" mount "$url/" "$mnt"
expect 0 "" "$PAGEIN" umount "$mnt"
is_mounted && fail "a dead mount stayed" || pass "a dead mount can be unmounted"

# Relative, with spaces, through a link; a server that outlives its caller's directory.
mkdir -p "$base/a b" && ln -s "$base/a b" "$base/link"
(cd "$base" && expect 0 "" "$PAGEIN" mount "$url/" link)
cmp -s "$www/file" "$base/a b/file" || fail "a mount point with a space"
(cd "$base" && expect 0 "" "$PAGEIN" umount "./a b/")

"$PAGEIN" mount -f "$url/" "$mnt" &
pid=$!
until is_mounted; do kill -0 "$pid" || break; sleep 0.01; done
cmp -s "$www/file" "$mnt/file" || fail "in the foreground"
kill -INT "$pid"
wait "$pid" && pass "SIGINT ends a mount in the foreground with 0" || fail "SIGINT: status $?"
is_mounted && fail "SIGINT left the mount"

# --- failures, each with its line --------------------------------------------------------------

expect 1 "HTTP 404" "$PAGEIN" mount "$url/none" "$mnt"
expect 1 "HTTP 404" "$PAGEIN" mount "$url/none/" "$mnt"
expect 1 "HTTP 404" "$PAGEIN" mount -f "$url/none/" "$mnt"
expect 1 "http://127.0.0.1:1/" "$PAGEIN" mount http://127.0.0.1:1/ "$mnt"
expect 1 "no-such-host.invalid" "$PAGEIN" mount http://no-such-host.invalid/ "$mnt"
expect 1 "not an http://, https://, s3://, file:/// or manifest: URL" "$PAGEIN" mount ftp://host/ "$mnt"
expect 1 "$base/none: No such file or directory" "$PAGEIN" mount "$url/" "$base/none"
expect 1 "not a directory" "$PAGEIN" mount "$url/" "$www/file"
expect 1 "not mounted" "$PAGEIN" umount "$base"
expect 1 "not a pagein mount, but proc" "$PAGEIN" umount /proc
expect 1 "busy: a proc mount" "$PAGEIN" mount "$url/" /proc
expect 1 "No such file or directory" "$PAGEIN" umount "$base/none/x"
port=${url##*:}
put() {
	exec 8<>"/dev/tcp/127.0.0.1/$port"
	printf 'PUT /.origin/script HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' "${#1}" "$1" >&8
	cat <&8 >/dev/null
	exec 8<&-
}
put 'path=/file : ignore-range'
expect 1 "the server does not serve ranges" "$PAGEIN" mount "$url/file" "$mnt"
put 'path=/ : status=403'
expect 1 "HTTP 403" "$PAGEIN" mount "$url/" "$mnt"
put ''
is_mounted && fail "a failed mount left something"
[ -z "$(server_pid)" ] || fail "a failed mount left a process"

# --- nginx -------------------------------------------------------------------------------------

nginx=$(command -v nginx || command -v /usr/sbin/nginx)
start_nginx() { # autoindex directives
	local try
	for try in 1 2 3 4 5; do
		nginx_port=$((20000 + RANDOM % 20000))
		cat >"$base/nginx.conf" <<-END
			pid $base/nginx.pid; error_log $base/nginx.log; worker_processes 1;
			events {}
			http { access_log off; server {
			listen 127.0.0.1:$nginx_port; root $www; autoindex on; $1 } }
		END
		[ "$(id -u)" = 0 ] && sed -i '1i user root;' "$base/nginx.conf"
		"$nginx" -c "$base/nginx.conf" -e "$base/nginx.log" 2>/dev/null && break
	done
	until [ -s "$base/nginx.pid" ]; do sleep 0.01; done
	nginx_pid=$(cat "$base/nginx.pid")
}
stop_nginx() {
	kill "$nginx_pid"
	tail --pid="$nginx_pid" -f /dev/null
	nginx_pid=
}
# Names, kinds, sizes and times; a directory's size is nobody's business.
tree() { (cd "$1" && find . -type f -printf '%P %s %T@\n' -o -printf '%P/\n' | LC_ALL=C sort); }

if [ -x "${nginx:-}" ]; then
	for mode in "" "autoindex_format json;" "autoindex_exact_size off;"; do
		start_nginx "$mode"
		expect 0 "" "$PAGEIN" mount "http://127.0.0.1:$nginx_port/" "$mnt"
		if diff <(tree "$www") <(tree "$mnt") && diff -r "$www" "$mnt"; then
			pass "nginx: ${mode:-html}"
		else
			fail "nginx: ${mode:-html}"
		fi
		expect 0 "" "$PAGEIN" umount "$mnt"
		stop_nginx
	done
else
	echo "without nginx: it is not installed"
fi

[ "$failures" -eq 0 ] && echo "all passed"
exit $((failures > 0))
