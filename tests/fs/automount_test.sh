#!/usr/bin/env bash
# automount_test.sh - autofs mounts when somebody looks, and unmounts when nobody has for a while:
# an indirect map, which is the line in tools/examples/fstab, and a direct one, whose directory is
# an autofs mount itself, as with systemd's x-systemd.automount; and mount -a.
#
# $PAGEIN and $ORIGIN name the programs. The automounter runs in mount and process namespaces of its
# own, where mount(8) finds our mount.pagein: whatever happens, all of it ends with them. A server
# that automount(8) has to wait for without end is killed with them, too, after TIME_MAX seconds.
# shellcheck disable=SC2317 # functions that are called by name
set -u

TIME_MAX=90
examples=$(dirname "$0")/../../tools/examples

skip() { echo "skipped: $1"; exit 77; }
failures=0
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
fails() { ! "$@" 2>/dev/null; }
is_mounted() { grep -q " $1 .* fuse.pagein " /proc/self/mountinfo; }
is_trigger() { grep -q " $1 .* - autofs " /proc/self/mountinfo; }
wait_for() { # a command that comes true
	local i

	for ((i = 0; i < 3000; i++)); do
		"$@" && return
		sleep 0.01
	done
	return 1
}

# ---- in the namespaces: $2 is the directory, $3 the server ---------------------------------------

if [ "${1-}" = inside ]; then
	base=$2 url=$3
	mount --make-rprivate /
	# automount(8) asks for a place for its sockets, mount(8) for its helpers in /sbin.
	mount -t tmpfs none /run
	cp "$(command -v automount)" "$base/automount"
	mount -t tmpfs none /usr/sbin
	cp -P "$base/sbin/mount.pagein" /usr/sbin

	echo "$url/ $base/fstab.mnt pagein ro,nofail,_netdev,allow_other 0 0" >"$base/fstab"
	check "mount -a" mount -a -T "$base/fstab"
	check "has mounted" cmp "$base/www/file" "$base/fstab.mnt/file"
	check "mount -a, again" mount -a -T "$base/fstab"
	server=$(pgrep -x mount.pagein)
	check "by a server in a session of its own" [ "$(ps -o sid= -p "$server" | tr -d ' ')" = "$server" ]
	check "umount" umount "$base/fstab.mnt"

	# In a group of its own: the group of an automounter never triggers it.
	setsid "$base/automount" --foreground --pid-file "$base/pid" "$base/auto.master" >"$base/log" 2>&1 &
	automount=$!
	check "an indirect map" wait_for is_trigger "$base/auto"
	check "a direct map" wait_for is_trigger "$base/direct"
	for dir in "$base/auto/objects" "$base/direct"; do
		check "nothing is mounted at ${dir##*/}" fails is_mounted "$dir"
		exec 7<"$dir/file"
		check "until somebody looks" cmp "$base/www/file" /dev/fd/7
		check "then it is" is_mounted "$dir"
		exec 7<&-
		check "and unmounted when nobody looks" wait_for fails is_mounted "$dir"
		check "and comes again" [ "$(ls "$dir")" = file ]
	done
	check "no server is an error" fails ls "$base/auto/nobody"
	[ "$failures" -eq 0 ] || cat "$base/log"
	kill "$automount"
	wait "$automount"
	check "automount ends with 0" [ $? -eq 0 ]
	check "with all that it mounted" fails grep -q "$base/" /proc/self/mountinfo
	exit $((failures > 0))
fi

# ---- outside -----------------------------------------------------------------------------------

[ -w /dev/fuse ] || skip "/dev/fuse is missing or not writable"
[ "$(id -u)" -eq 0 ] || skip "automount needs root"
command -v automount >/dev/null || skip "no automount: tools/setup installs autofs"
[ -c /dev/autofs ] || skip "this kernel has no autofs"
unshare --mount --pid --fork true 2>/dev/null || skip "no namespaces"

base=$(mktemp -d /tmp/pagein-automount-XXXXXX)
origin_pid=''
finish() {
	[ -z "$origin_pid" ] || { kill "$origin_pid" && wait "$origin_pid"; }
	rm -rf "$base"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

mkdir -p "$base/www" "$base/sbin" "$base/fstab.mnt" "$base/auto" "$base/direct"
head -c 300000 /dev/urandom >"$base/www/file"
ln -s "$(readlink -f "$PAGEIN")" "$base/sbin/mount.pagein"
coproc ORIGIN_OUT { exec "$ORIGIN" --root "$base/www"; }
# shellcheck disable=SC2153 # coproc sets it
origin_pid=$ORIGIN_OUT_PID
read -r -u "${ORIGIN_OUT[0]}" line || { echo "FAILED: no origin"; exit 1; }
url=http://${line##* }

cat >"$base/auto.master" <<END
$base/auto $base/auto.objects --timeout=1
/- $base/auto.direct --timeout=1
END
# The example, with this server in it; a colon has a backslash in front of it there.
escaped=${url//:/\\\\:}
sed -n "s|^#\t\(objects .*\) :https.*|\1 :$escaped/|p" "$examples/fstab" >"$base/auto.objects"
check "the example has a map" grep -q "^objects .*-fstype=pagein.* :http\\\\:" "$base/auto.objects"
echo "nobody -fstype=pagein :http\\://127.0.0.1\\:1/" >>"$base/auto.objects"
echo "$base/direct -fstype=pagein,ro :${url//:/\\:}/" >"$base/auto.direct"

check "in namespaces" timeout -s KILL $TIME_MAX unshare --mount --pid --fork --kill-child \
	--mount-proc "$0" inside "$base" "$url"
[ "$failures" -eq 0 ] && echo "all passed"
exit $((failures > 0))
