#!/usr/bin/env bash
# service_test.sh - a mount as a service and in fstab: readiness, log levels, mount(8), and nothing
# secret where others can read.
#
# $PAGEIN and $ORIGIN name the programs. Everything that was started or mounted is gone at the end,
# however the test ends.
# shellcheck disable=SC2317 # functions that are called by name
set -u

[ -w /dev/fuse ] || { echo "skipped: /dev/fuse is missing or not writable"; exit 77; }

base=$(mktemp -d /tmp/pagein-service-XXXXXX)
www=$base/www mnt=$base/mnt
origin_pid='' server='' listener='' failures=0

finish() {
	[ -z "$server" ] || kill "$server" 2>/dev/null
	[ -z "$listener" ] || kill "$listener" 2>/dev/null
	while grep -q " $mnt " /proc/self/mountinfo && umount -l "$mnt"; do :; done
	[ -z "$origin_pid" ] || { kill "$origin_pid" && wait "$origin_pid"; }
	rm -rf "$base"
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
lacks() { ! grep -qF -- "$2" <<<"$1"; }
has() { grep -qF -- "$2" <<<"$1"; }
is_mounted() { grep -q " $mnt .* fuse.pagein " /proc/self/mountinfo; }
wait_for() { # a command that comes true
	local i

	for ((i = 0; i < 1000; i++)); do
		"$@" && return
		sleep 0.01
	done
	return 1
}
start() { # $1: the log; the rest: arguments; the environment is the caller's
	local log=$1

	shift
	"$PAGEIN" mount -f "$@" 2>"$log" &
	server=$!
	wait_for is_mounted || { echo "FAILED: mount: $(cat "$log")"; exit 1; }
}
stop() {
	kill "$server"
	wait "$server"
	check "the server ends with 0" [ $? -eq 0 ]
	server=''
}

mkdir -p "$www/sub" "$mnt"
head -c 300000 /dev/urandom >"$www/file"
touch -d '2024-05-06 07:08:00 UTC' "$www/file"

coproc ORIGIN_OUT { exec "$ORIGIN" --root "$www"; }
# shellcheck disable=SC2153 # coproc sets it
origin_pid=$ORIGIN_OUT_PID
read -r -u "${ORIGIN_OUT[0]}" line || { echo "FAILED: no origin"; exit 1; }
authority=${line##* }
url=http://$authority
put() { # a script for the origin
	exec 8<>"/dev/tcp/127.0.0.1/${authority##*:}"
	printf 'PUT /.origin/script HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' "${#1}" "$1" >&8
	cat <&8 >/dev/null
	exec 8<&-
}

# --- sd_notify ---------------------------------------------------------------------------------

listen() { # on $1; writes what comes to $base/notified
	rm -f "$base/notified" "$base/listening"
	python3 - "$1" "$base" <<'END' &
import os, socket, sys
address, base = sys.argv[1:]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind("\0" + address[1:] if address[0] == "@" else address)
open(base + "/listening", "w").close()
with open(base + "/notified", "ab", buffering=0) as out:
    while True:
        out.write(listener.recv(4096) + b"\n")
END
	listener=$!
	wait_for test -e "$base/listening"
}
was_told() { grep -qx "$1" "$base/notified"; }

for address in "$base/notify" "@pagein-test-$$"; do
	listen "$address"
	NOTIFY_SOCKET=$address start "$base/log" "$url/" "$mnt"
	check "READY=1 to $address" wait_for was_told READY=1
	check "and not that it stops" lacks "$(cat "$base/notified")" STOPPING
	stop
	check "STOPPING=1 to $address" wait_for was_told STOPPING=1
	kill "$listener" && wait "$listener" 2>/dev/null
	listener=''
done
NOTIFY_SOCKET=$base/nobody start "$base/log" "$url/" "$mnt"
check "nobody who listens is only worth a line" has "$(cat "$base/log")" "notify: "
stop

# --- logs --------------------------------------------------------------------------------------

put 'path=/sub/ : status=403'
exec 9>"$base/journal"
JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/9) start /dev/fd/9 "$url/" "$mnt"
ls "$mnt/sub" >/dev/null 2>&1
stop
check "the journal gets levels" has "$(cat "$base/journal")" "<4>list: $url/sub/: HTTP 403"
JOURNAL_STREAM=1:2 start "$base/log" "$url/" "$mnt"
ls "$mnt/sub" >/dev/null 2>&1
stop
check "others don't" has "$(cat "$base/log")" "pagein: list: $url/sub/: HTTP 403"
put ''

# --- secrets -----------------------------------------------------------------------------------

everything() { # that others can read
	tr '\0' ' ' <"/proc/$server/cmdline"
	cat /proc/self/mountinfo "$base/log"
	python3 -c 'import os, sys; print(os.getxattr(sys.argv[1], "user.pagein.url"))' "$mnt/file"
}
start "$base/log" "http://us%65r:hunter2@$authority/file?signature=s3cret" "$mnt" -o log-level=debug
check "it works with a query" cmp -s "$www/file" "$mnt/file"
told=$(everything)
for secret in us%65r user: hunter2 s3cret; do
	check "$secret is told to nobody" lacks "$told" "$secret"
done
check "but the rest is" has "$told" "http://$authority/file"
check "a core has no memory in it" [ "$(cat "/proc/$server/coredump_filter")" = 00000000 ]
put 'path=/file : status=403'
head -c 200000 "$mnt/file" >/dev/null 2>&1
put ''
check "nor in the log of a failure" lacks "$(cat "$base/log")" s3cret
stop

# --- mount(8) ----------------------------------------------------------------------------------

options=rw,noauto,_netdev,nofail,x-systemd.automount,x-systemd.requires=network.target
options+=,defaults,noatime,uid=1234,gid=2345,umask=027,metadata_ttl=10s
mkdir "$base/sbin"
ln -s "$(readlink -f "$PAGEIN")" "$base/sbin/mount.pagein"
check "mount.pagein takes fstab's options" \
	"$base/sbin/mount.pagein" "$url/" "$mnt" -s -n -o "$options"
check "owner, group and umask" [ "$(stat -c %u:%g:%a "$mnt/file" 2>&1)" = 1234:2345:440 ]
check "no rw" grep -q " $mnt ro,.*noatime.* fuse.pagein " /proc/self/mountinfo
check "umount" "$PAGEIN" umount "$mnt"

if [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null; then
	echo "$url/ $mnt pagein $options 0 0" >"$base/fstab"
	# shellcheck disable=SC2016 # for the inner shell
	check "mount(8) and umount(8), from fstab" unshare -m bash -c '
		set -e
		mount -t tmpfs none /usr/sbin
		ln -s "$1/sbin/mount.pagein" /usr/sbin
		mount -T "$1/fstab" "$1/mnt"
		cmp "$1/www/file" "$1/mnt/file"
		umount "$1/mnt"
		mount -t pagein "$2/" "$1/mnt"
		cmp "$1/www/file" "$1/mnt/file"
		umount "$1/mnt"' bash "$base" "$url"
else
	echo "without mount(8): it needs root and mount namespaces"
fi

# --- the examples ------------------------------------------------------------------------------

examples=$(dirname "$0")/../../tools/examples
sed "s|/usr/bin/pagein|$(readlink -f "$PAGEIN")|" "$examples/pagein.service" >"$base/example.service"
if command -v systemd-analyze >/dev/null; then
	check "systemd takes the example" systemd-analyze verify --man=no "$base/example.service"
else
	echo "without systemd-analyze: it is not installed"
fi
while read -r _ _ type options _; do
	check "fstab's example: $options" [ "$type" = pagein ]
	check "mount.pagein takes it" "$base/sbin/mount.pagein" "$url/" "$mnt" -o "rw,$options"
	check "umount" "$PAGEIN" umount "$mnt"
done < <(grep -E '^[^#]' "$examples/fstab")

# --- other users -------------------------------------------------------------------------------

as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@" >/dev/null 2>&1; }
refused() { ! "$@"; }
if [ "$(id -u)" -eq 0 ] && as_nobody true; then
	chmod 755 "$base"
	start "$base/log" "$url/" "$mnt"
	check "others are kept out" refused as_nobody cat "$mnt/file"
	stop
	start "$base/log" "$url/" "$mnt" -o allow_other
	check "or let in" as_nobody cat "$mnt/file"
	stop
	start "$base/log" "$url/" "$mnt" -o allow_other,umask=007
	check "as the permissions say" refused as_nobody cat "$mnt/file"
	stop
	start "$base/log" "$url/" "$mnt" -o allow_other,umask=007,gid=65534
	check "which have a group, too" as_nobody cat "$mnt/file"
	stop
else
	echo "without other users: it needs root"
fi

# --- df ----------------------------------------------------------------------------------------

start "$base/log" "$url/" "$mnt"
check "df names the source" [ "$(df --output=source "$mnt" | tail -1)" = "$url/" ]
stop

[ "$failures" -eq 0 ] && echo "all passed"
exit $((failures > 0))
