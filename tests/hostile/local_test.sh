#!/usr/bin/env bash
# local_test.sh - the table's lines about this machine: files of credentials that others can read or
# that are none, mount points, full disks, two instances, and processes that are killed with -9.
#
# Each case says what is met, the exit status and the words that are wanted; all end within 20 s.
# PAGEIN and ORIGIN name the programs. There are no sockets and no cache directories of pagein's that
# somebody else could own.
set -u

[ -w /dev/fuse ] || { echo "skipped: /dev/fuse is missing or not writable"; exit 77; }

base=$(mktemp -d /tmp/pagein-local-XXXXXX)
www=$base/www mnt=$base/mnt other=$base/other
origin_pid='' failures=0 cases=0

unmount_all() {
	local point

	for point in "$mnt" "$other"; do
		while grep -q " $point " /proc/self/mountinfo && umount -l "$point"; do :; done
	done
}

finish() {
	unmount_all
	[ -n "$origin_pid" ] && kill "$origin_pid" && wait "$origin_pid"
	rm -rf "$base"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

fail() { echo "FAILED: $*"; failures=$((failures + 1)); }

# check WHAT COMMAND...: the command succeeds
check() {
	local what=$1

	shift
	cases=$((cases + 1))
	timeout -s KILL 20 "$@" >"$base/out" 2>&1 || fail "$what: $(head -c 300 "$base/out")"
}

# meet WHAT STATUS WORDS COMMAND...
meet() {
	local what=$1 status=$2 words=$3 got

	shift 3
	cases=$((cases + 1))
	timeout -s KILL 20 "$@" >"$base/out" 2>"$base/err"
	got=$?
	if [ "$got" -ne "$status" ]; then
		fail "$what: status $got instead of $status: $(head -c 300 "$base/err")"
	elif [ -n "$words" ] && ! grep -qF -- "$words" "$base/err"; then
		fail "$what: '$(head -c 300 "$base/err")' instead of '$words'"
	fi
}

script() {
	curl -sf -X PUT --data-binary "$1" "$url/.origin/script" || fail "the script"
}

# The process that serves a mount point.
server_of() {
	local d

	for d in /proc/[0-9]*; do
		tr '\0' '\n' 2>/dev/null <"$d/cmdline" | grep -qxF "$1" &&
			[ "$(readlink "$d/exe")" = "$(readlink -f "$PAGEIN")" ] && echo "${d#/proc/}"
	done
}

mount_quietly() { "$PAGEIN" mount "$url/" "$mnt" -o "timeout=${1:-3s},metadata-ttl=0s"; }

mkdir -p "$www/d" "$mnt" "$other"
head -c 3000000 /dev/urandom >"$www/file"
ln "$www/file" "$www/waits"
head -c 100 /dev/urandom >"$www/d/small"

coproc ORIGIN_OUT { exec "$ORIGIN" --root "$www"; }
origin_pid=$ORIGIN_OUT_PID
read -r -u "${ORIGIN_OUT[0]}" line || { echo "FAILED: no origin"; exit 1; }
url=http://${line##* }

# --- files of credentials ----------------------------------------------------------------------

netrc=$base/netrc
for option in netrc-file token-file; do
	rm -rf "$netrc"
	meet "$option: is missing" 1 "$netrc" "$PAGEIN" cat --$option="$netrc" "$url/d/small"
	echo "machine 127.0.0.1 login a password s3cret" >"$netrc"
	[ $option = token-file ] && echo "s3cret" >"$netrc"
	chmod 600 "$netrc"
	meet "$option: is right" 0 "" "$PAGEIN" cat --$option="$netrc" "$url/d/small"
	for mode in 604 640 666 777; do
		chmod $mode "$netrc"
		meet "$option: mode $mode" 1 "$netrc" "$PAGEIN" cat --$option="$netrc" "$url/d/small"
		grep -q s3cret "$base/err" && fail "$option: the secret is told"
	done
	chmod 600 "$netrc"
	if [ "$(id -u)" -eq 0 ]; then
		chown nobody "$netrc"
		meet "$option: is another user's" 1 "$netrc" "$PAGEIN" cat --$option="$netrc" "$url/d/small"
		chown root "$netrc"
	fi
	ln -sf "$netrc" "$base/link"
	meet "$option: is a link" 0 "" "$PAGEIN" cat --$option="$base/link" "$url/d/small"
	ln -sf "$base/loop" "$base/loop"
	meet "$option: is a loop of links" 1 "$base/loop" "$PAGEIN" cat --$option="$base/loop" "$url/d/small"
	rm "$netrc"
	mkfifo -m 600 "$netrc"
	meet "$option: is a FIFO" 1 "$netrc" "$PAGEIN" cat --$option="$netrc" "$url/d/small"
	rm "$netrc"
	mkdir -m 700 "$netrc"
	meet "$option: is a directory" 1 "$netrc" "$PAGEIN" cat --$option="$netrc" "$url/d/small"
	rmdir "$netrc"
	(umask 077 && head -c 20000000 /dev/zero | tr '\0' x >"$netrc")
	meet "$option: has 20 MB" 1 "$netrc" "$PAGEIN" cat --$option="$netrc" "$url/d/small"
done

# --- manifests ---------------------------------------------------------------------------------

manifest=$base/manifest
meet "manifest: is missing" 1 "$manifest" "$PAGEIN" ls "manifest:$manifest"
mkdir "$manifest"
meet "manifest: is a directory" 1 "$manifest" "$PAGEIN" ls "manifest:$manifest"
rmdir "$manifest"
mkfifo "$manifest"
meet "manifest: is a FIFO" 1 "$manifest" "$PAGEIN" ls "manifest:$manifest"
rm "$manifest"
meet "manifest: is endless" 1 "/dev/zero" "$PAGEIN" ls "manifest:/dev/zero"
meet "manifest: is a loop of links" 1 "$base/loop" "$PAGEIN" ls "manifest:$base/loop"
: >"$manifest"
meet "manifest: is empty" 0 "" "$PAGEIN" ls "manifest:$manifest"
head -c 100000 /dev/urandom >"$manifest"
meet "manifest: is noise" 1 "$manifest:1:" "$PAGEIN" ls "manifest:$manifest"
head -c 1000000 /dev/zero | tr '\0' x >"$manifest"
meet "manifest: is one line" 1 "$manifest:1:" "$PAGEIN" ls "manifest:$manifest"
for path in ../x /x a//b . a/./b 'a/../../b'; do
	printf '{"path":"%s","url":"%s/file","size":3000000}\n' "$path" "$url" >"$manifest"
	meet "manifest: a path $path" 1 "$manifest:1:" "$PAGEIN" ls "manifest:$manifest"
done
printf '{"path":"x","url":"%s/file","size":3000000}' "$url" >"$manifest"
meet "manifest: ends without a line break" 0 "" "$PAGEIN" ls "manifest:$manifest"
printf '{"path":"x","url":"%s/file","size":300' "$url" >"$manifest"
meet "manifest: is cut" 1 "$manifest:1:" "$PAGEIN" ls "manifest:$manifest"

# --- mount points ------------------------------------------------------------------------------

meet "mount point: is missing" 1 "$base/none" "$PAGEIN" mount "$url/" "$base/none"
meet "mount point: is a file" 1 "$www/file" "$PAGEIN" mount "$url/" "$www/file"
ln -s "$base/nowhere" "$base/dangling"
meet "mount point: is a link to nowhere" 1 "$base/dangling" "$PAGEIN" mount "$url/" "$base/dangling"
meet "mount point: is a loop of links" 1 "$base/loop" "$PAGEIN" mount "$url/" "$base/loop"
ln -s "$mnt" "$base/good-link"
meet "mount point: is a link" 0 "" "$PAGEIN" mount "$url/" "$base/good-link"
check "mount point: is a link: serves" cmp "$www/file" "$mnt/file"
meet "two instances: the same point" 1 "busy" "$PAGEIN" mount "$url/" "$mnt"
check "two instances: the first one serves" cmp "$www/file" "$mnt/file"
meet "two instances: another point" 0 "" "$PAGEIN" mount "$url/" "$other"
check "two instances: the second one serves" cmp "$www/file" "$other/file"
meet "two instances: of the mount itself" 0 "" "$PAGEIN" cat "file://$mnt/d/small"
meet "umount: one" 0 "" "$PAGEIN" umount "$other"
check "umount: the other one serves" cmp "$www/file" "$mnt/file"
meet "umount: the other" 0 "" "$PAGEIN" umount "$mnt"
meet "umount: again" 1 "not mounted" "$PAGEIN" umount "$mnt"

# --- full disks --------------------------------------------------------------------------------

meet "cat: a full disk" 1 "No space left on device" sh -c "'$PAGEIN' cat '$url/file' >/dev/full"
meet "ls: a full disk" 1 "No space left on device" sh -c "'$PAGEIN' ls '$url/' >/dev/full"
meet "stat: a full disk" 1 "No space left on device" sh -c "'$PAGEIN' stat '$url/file' >/dev/full"
meet "cat: nobody reads on" 0 "" bash -c "'$PAGEIN' cat '$url/file' | head -c 10 >/dev/null"
meet "cat: no stdout" 1 "Bad file descriptor" sh -c "'$PAGEIN' cat '$url/file' >&-"
"$PAGEIN" mount -f "$url/" "$mnt" -o timeout=3s,metadata-ttl=0s 2>/dev/full &
server=$!
for _ in $(seq 400); do grep -q " $mnt " /proc/self/mountinfo && break; sleep 0.05; done
script 'path=/d/small : status=500'
meet "mount: a log that is full, an error" 1 "Input/output error" cat "$mnt/d/small"
script ''
check "mount: a log that is full" cmp "$www/file" "$mnt/file"
"$PAGEIN" umount "$mnt"
wait "$server" || fail "mount: a log that is full: status $?"

# --- killed with -9 ----------------------------------------------------------------------------

mount_quietly
check "kill -9: before" cmp "$www/file" "$mnt/file"
exec 9<"$mnt/d/small"
kill -9 "$(server_of "$mnt")"
sleep 0.2
meet "kill -9: a new reader" 1 "Transport endpoint is not connected" cat "$mnt/file"
meet "kill -9: an open file" 1 "" cat <&9
exec 9<&-
meet "kill -9: umount" 0 "" "$PAGEIN" umount "$mnt"
mount_quietly 60s || fail "kill -9: mounted again"
check "kill -9: serves again" cmp "$www/file" "$mnt/file"

# Readers that wait for a server that says nothing.
server=$(server_of "$mnt")
script 'path=/waits range=1M- : stall=0'
for i in 1 2 3 4; do
	timeout -s KILL 60 dd if="$mnt/waits" of=/dev/null bs=4096 skip=$((500 + i * 40)) count=1 2>"$base/dd$i" &
	readers[i]=$!
done
sleep 0.5
kill -9 "$server"
for i in 1 2 3 4; do
	cases=$((cases + 1))
	wait "${readers[i]}"
	grep -qE "not connected|connection abort|Input/output" "$base/dd$i" ||
		fail "kill -9: a reader that waits: $(cat "$base/dd$i")"
done
script ''
meet "kill -9: umount after readers" 0 "" "$PAGEIN" umount "$mnt"

# At any moment of its life: each time the point is free, or can be freed, and mounted again.
for i in $(seq 20); do
	"$PAGEIN" mount -f "$url/" "$mnt" 2>/dev/null &
	server=$!
	[ "$i" -gt 10 ] && (cat "$mnt/file" >/dev/null 2>&1 &)
	sleep "0.0$(printf %02d $((i * 4)))"
	kill -9 "$server"
	wait "$server" 2>/dev/null
	grep -q " $mnt " /proc/self/mountinfo && "$PAGEIN" umount "$mnt"
	grep -q " $mnt " /proc/self/mountinfo && fail "kill -9 after $((i * 4)) ms: still mounted"
	cases=$((cases + 1))
done
mount_quietly
check "kill -9 at any moment: serves again" cmp "$www/file" "$mnt/file"
meet "the end" 0 "" "$PAGEIN" umount "$mnt"

echo "command: $cases cases"
[ "$failures" -eq 0 ]
