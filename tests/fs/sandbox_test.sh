#!/usr/bin/env bash
# sandbox_test.sh - mounts in their sandbox: what the kernel says of them, the keeper beside them,
# and that mounting, reading and unmounting is as without, for root and for ordinary users.
#
# $PAGEIN and $ORIGIN name the programs. What the sandbox denies is tests/tools/sandbox_test.c's.
# shellcheck disable=SC2317 # functions that are called by name
set -u

# Root has a namespace of its own, in which everybody may use the device.
if [ "$(id -u)" -eq 0 ] && [ -z "${PAGEIN_TEST_NAMESPACE-}" ] && unshare -m true 2>/dev/null; then
	PAGEIN_TEST_NAMESPACE=1 exec unshare -m "$0"
fi
[ -w /dev/fuse ] || { echo "skipped: /dev/fuse is missing or not writable"; exit 77; }

base=$(mktemp -d /tmp/pagein-sandbox-XXXXXX)
chmod 755 "$base"
www=$base/www mnt=$base/mnt
origin_pid='' server='' nginx_pid='' failures=0

finish() {
	[ -z "$server" ] || kill "$server" 2>/dev/null
	for point in "$mnt" "$base/nobody/mnt"; do
		while grep -q " $point " /proc/self/mountinfo && umount -l "$point"; do :; done
	done
	[ -z "$origin_pid" ] || { kill "$origin_pid" && wait "$origin_pid"; }
	[ -z "$nginx_pid" ] || kill "$nginx_pid"
	! grep -q " $base/dev " /proc/self/mountinfo || { umount /dev/fuse && umount "$base/dev"; }
	rm -rf --one-file-system "$base"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

# check WHAT COMMAND...
check() {
	local what=$1

	shift
	if "$@"; then
		echo "ok: $what"
	else
		echo "FAILED: $what"
		failures=$((failures + 1))
	fi
}
not() { ! "$@"; }
is_mounted() { grep -q " ${1-$mnt} .* fuse.pagein " /proc/self/mountinfo; }
# Asked by the user who mounted.
wait_for() {
	local i

	for ((i = 0; i < 1000; i++)); do
		"$@" && return
		sleep 0.02
	done
	return 1
}
start() { # arguments of mount
	"$PAGEIN" mount -f -o log-level=info "$@" "$mnt" 2>"$base/log" &
	server=$!
	wait_for is_mounted || { echo "FAILED: mount: $(cat "$base/log")"; exit 1; }
	keeper=$(keeper_of "$server")
}
stop() {
	kill "$server"
	wait "$server"
	check "the server ends with 0" [ $? -eq 0 ]
	server=''
	check "and unmounts" not is_mounted
}
keeper_of() { # the one child of it that has this name
	local path

	for path in "/proc/$1"/task/*/children; do
		tr ' ' '\n' <"$path"
	done | while read -r pid; do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" != pagein-keeper ] || echo "$pid"
	done
}
# every thread's
statuses() { cat "/proc/$1"/task/*/status; }
field() { awk -v name="$2:" '$1 == name { print $2 }' <<<"$1" | sort -u; }

mkdir -p "$www/sub" "$mnt" "$base/dev"
if [ -n "${PAGEIN_TEST_NAMESPACE-}" ]; then
	mount -t tmpfs -o mode=755 none "$base/dev"
	mknod -m 666 "$base/dev/fuse" c 10 229
	mount --bind "$base/dev/fuse" /dev/fuse
fi
head -c 3000000 /dev/urandom >"$www/file"
head -c 10 /dev/urandom >"$www/sub/a b"

coproc ORIGIN_OUT { exec "$ORIGIN" --root "$www"; }
# shellcheck disable=SC2153 # coproc sets it
origin_pid=$ORIGIN_OUT_PID
read -r -u "${ORIGIN_OUT[0]}" line || { echo "FAILED: no origin"; exit 1; }
url=http://${line##* }/

# --- what the kernel says ----------------------------------------------------------------------

start "$url" -o loops=3
check "it serves" diff -r "$www" "$mnt"
status=$(statuses "$server")
check "more than one thread" [ "$(grep -c ^NoNewPrivs <<<"$status")" -gt 1 ]
check "no thread gets privileges" [ "$(field "$status" NoNewPrivs)" = 1 ]
check "all have the filter" [ "$(field "$status" Seccomp)" = 2 ]
for set in CapPrm CapEff CapInh CapAmb; do
	left=$(field "$status" "$set")
	# CAP_DAC_READ_SEARCH is 4.
	check "$set: $left" [ "$((0x${left:-1} & ~4))" -eq 0 ]
done
check "it says what it has" grep -q "sandbox: Landlock ABI [0-9]*, seccomp on" "$base/log"
check "no core" grep -Eq '^Max core file size +0 +0 ' "/proc/$server/limits"
soft=$(awk '/^Max open files/ { print $4 }' "/proc/$server/limits")
hard=$(awk '/^Max open files/ { print $5 }' "/proc/$server/limits")
check "descriptors: $soft of $hard" [ "$soft" -ge $((hard < 16384 ? hard : 16384)) ]

# --- the keeper --------------------------------------------------------------------------------

check "there is one keeper" [ "$(wc -w <<<"$keeper")" -eq 1 ]
check "without a device" not grep -q fuse <(readlink "/proc/$keeper/fd"/*)
check "with one socket and no other file" [ "$(readlink "/proc/$keeper/fd"/* | grep -vc '^/dev/null$')" -eq 1 ]
check "not found by the directory" not grep -qF "$mnt" "/proc/$keeper/cmdline"
kill -TERM "$keeper"
kill -INT "$keeper"
check "signals for the server don't end it" [ "$(keeper_of "$server")" = "$keeper" ]
stop
check "it ends with the server" not kill -0 "$keeper" 2>/dev/null

start "$url"
umount "$mnt"
wait "$server"
check "after umount(8) both end, with 0" [ $? -eq 0 ]
server=''
check "both" not kill -0 "$keeper" 2>/dev/null

start "$url"
kill -KILL "$keeper"
check "without a keeper it serves" diff -r "$www" "$mnt"
kill "$server"
wait "$server"
server=''
check "and says that it can't unmount" grep -q "unmount: the process that mounts: " "$base/log"
check "which the command can" "$PAGEIN" umount "$mnt"

start "$url"
kill -KILL "$server"
wait "$server" 2>/dev/null
server=''
check "a killed server takes the keeper along" wait_for not kill -0 "$keeper" 2>/dev/null
check "but not the mount" is_mounted
check "which says so" not ls "$mnt" 2>/dev/null
check "until it is unmounted" "$PAGEIN" umount "$mnt"

# --- off ---------------------------------------------------------------------------------------

start "$url" -o sandbox=off
check "off: it serves" diff -r "$www" "$mnt"
status=$(statuses "$server")
check "off: no filter" [ "$(field "$status" Seccomp)" = "$(awk '$1 == "Seccomp:" { print $2 }' /proc/self/status)" ]
check "off: privileges" [ "$(field "$status" NoNewPrivs)" = "$(awk '$1 == "NoNewPrivs:" { print $2 }' /proc/self/status)" ]
check "off: no keeper" [ -z "$keeper" ]
stop

# --- sources -----------------------------------------------------------------------------------

mkdir "$base/elsewhere"
cp "$www/file" "$base/elsewhere/target"
ln -s "$base/elsewhere/target" "$www/link"
start "file://$www/"
check "local files, and links out of their directory" cmp "$www/file" "$mnt/link"
stop
rm "$www/link"
printf '{"path":"a","url":"file://%s","size":3000000}\n' "$www/file" >"$base/list.jsonl"
start "manifest:$base/list.jsonl"
check "a manifest of local files" cmp "$www/file" "$mnt/a"
stop

# A certificate of our own, below /tmp, which nothing but SSL_CERT_FILE makes readable; a name that
# has to be resolved; connections that are made long after the sandbox.
nginx=$(command -v nginx || command -v /usr/sbin/nginx || true)
if [ -n "$nginx" ] && "$nginx" -V 2>&1 | grep -q with-http_ssl_module && command -v openssl >/dev/null; then
	mkdir "$base/tls"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
		-addext subjectAltName=DNS:localhost -keyout "$base/tls/key" -out "$base/tls/ca.pem" 2>/dev/null
	for _ in {1..5}; do
		port=$((20000 + RANDOM % 20000))
		cat >"$base/nginx.conf" <<-END
			$([ "$(id -u)" -ne 0 ] || echo "user root;")
			pid $base/nginx.pid; error_log $base/nginx.log; worker_processes 1;
			events {}
			http { access_log off; server {
			listen 127.0.0.1:$port ssl; ssl_certificate $base/tls/ca.pem;
			ssl_certificate_key $base/tls/key; root $www; autoindex on; } }
		END
		"$nginx" -c "$base/nginx.conf" -e "$base/nginx.log" 2>/dev/null && break
	done
	wait_for test -s "$base/nginx.pid"
	nginx_pid=$(cat "$base/nginx.pid")
	SSL_CERT_FILE=$base/tls/ca.pem start "https://localhost:$port/" -o loops=2
	check "TLS with a file of certificates" diff -r "$www" "$mnt"
	# As who renews them does.
	cp "$base/tls/ca.pem" "$base/tls/new"
	mv "$base/tls/new" "$base/tls/ca.pem"
	check "which was replaced" cmp "$www/file" "$mnt/file"
	stop
	check "cat, too" cmp "$www/file" <(SSL_CERT_FILE=$base/tls/ca.pem "$PAGEIN" cat "https://localhost:$port/file")
else
	echo "without TLS: no nginx that knows it, or no openssl"
fi

# --- ordinary users ----------------------------------------------------------------------------

nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups env "HOME=$base/nobody")
as_nobody() { "${nobody[@]}" "$@"; }
nobodys=$base/nobody/mnt
if [ "$(id -u)" -eq 0 ] && as_nobody true 2>/dev/null && command -v fusermount3 >/dev/null &&
	as_nobody test -w /dev/fuse && as_nobody test -x "$PAGEIN"; then
	mkdir -p "$nobodys"
	chown -R 65534:65534 "$base/nobody"
	check "an ordinary user mounts, through fusermount3" as_nobody "$PAGEIN" mount "$url" "$nobodys"
	check "and reads" as_nobody cmp "$www/file" "$nobodys/file"
	check "and unmounts" as_nobody "$PAGEIN" umount "$nobodys"
	# Not by the function, which would be a shell: this becomes the server.
	"${nobody[@]}" "$PAGEIN" mount -f "$url" "$nobodys" 2>"$base/log" &
	server=$!
	check "in the foreground" wait_for is_mounted "$nobodys"
	check "no capability" [ "$(field "$(statuses "$server")" CapEff)" = 0000000000000000 ]
	kill "$server"
	wait "$server"
	check "a server that is told to stop ends with 0" [ $? -eq 0 ]
	server=''
	check "and fusermount3 has unmounted" not is_mounted "$nobodys"
	as_nobody "$PAGEIN" mount "$url" "$base" 2>"$base/log" && check "not his" false
	check "a mount point that is not his, with words" grep -q "^pagein: mount: $base: " "$base/log"
	# Root has given up the right to go there; its keeper has not.
	chmod 700 "$base/nobody"
	check "root mounts in somebody's directory" "$PAGEIN" mount "$url" "$nobodys"
	check "and unmounts there" "$PAGEIN" umount "$nobodys"
else
	echo "without ordinary users: it needs root, setpriv, fusermount3, and a program that they can run"
fi

[ "$failures" -eq 0 ] && echo "all passed"
exit $((failures > 0))
