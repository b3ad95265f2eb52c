#!/usr/bin/env bash
# programs_test.sh - programs that people run on a mount do there what they do on the local files.
#
# $PAGEIN and $ORIGIN name the programs. Each program runs twice, on the directory that the origin
# serves and on the mount of it, and must say the same. One that is not installed is named, and not
# counted. Everything that was started or mounted is gone at the end, however the test ends.
# shellcheck disable=SC2317 # functions that are called by name
set -u

[ -w /dev/fuse ] || { echo "skipped: /dev/fuse is missing or not writable"; exit 77; }

base=$(mktemp -d /tmp/pagein-programs-XXXXXX)
www=$base/www mnt=$base/mnt
origin_pid='' failures=0

finish() {
	while grep -q " $mnt " /proc/self/mountinfo && umount -l "$mnt"; do :; done
	[ -z "$origin_pid" ] || { kill "$origin_pid" && wait "$origin_pid"; }
	rm -rf "$base"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

export HOME=$base LC_ALL=C GIT_CONFIG_NOSYSTEM=1 PYTHONDONTWRITEBYTECODE=1

pass() { echo "ok: $*"; }
fail() {
	echo "FAILED: $*"
	failures=$((failures + 1))
}
needs() { # a command, and why it may not be there
	command -v "$1" >/dev/null && return
	echo "without $1: ${2:-it is not installed}"
	return 1
}

# same NAME FUNCTION: what it writes and returns, given a directory, is the same for both
same() {
	local name=$1 status_here status_there

	shift
	timeout 60 bash -c "set -e; $(declare -f "$1"); $1 \"\$1\" \"\$2\"" bash "$www" "$base/work-here" \
		>"$base/here" 2>"$base/here.err"
	status_here=$?
	timeout 60 bash -c "set -e; $(declare -f "$1"); $1 \"\$1\" \"\$2\"" bash "$mnt" "$base/work-there" \
		>"$base/there" 2>"$base/there.err"
	status_there=$?
	if [ "$status_here" -ne 0 ]; then
		fail "$name: on the local files: status $status_here: $(cat "$base/here.err")"
	elif [ "$status_there" -ne 0 ]; then
		fail "$name: status $status_there: $(cat "$base/there.err")"
	elif [ ! -s "$base/here" ] || ! cmp -s "$base/here" "$base/there"; then
		fail "$name: $(diff "$base/here" "$base/there" | head -n 5)"
	else
		pass "$name"
	fi
	rm -rf "$base/work-here" "$base/work-there"
}

# --- what they read ----------------------------------------------------------------------------

mkdir -p "$www/src/deep/er" "$mnt"
head -c 20000000 /dev/urandom >"$www/random.bin"
: >"$www/src/empty"
for i in $(seq 300); do
	printf 'line %d of a file with the number %d\n' "$i" $((i * i)) >"$www/src/file-$i.txt"
done
seq 200000 >"$www/src/deep/er/numbers.txt"
cp "$www/src/deep/er/numbers.txt" "$www/src/a name with spaces.txt"

python3 - "$www" <<'END'
import struct, sys, wave, zipfile
www = sys.argv[1]
with zipfile.ZipFile(www + "/archive.zip", "w", zipfile.ZIP_DEFLATED) as archive:
    for i in range(500):
        archive.writestr(f"member-{i}", f"{i} ".encode() * (i * 7))
with wave.open(www + "/sound.wav", "wb") as sound:
    sound.setnchannels(2), sound.setsampwidth(2), sound.setframerate(44100)
    sound.writeframes(b"".join(struct.pack("<hh", i % 3000, i % 500) for i in range(200000)))
END

if needs sqlite3; then
	sqlite3 "$www/data.db" "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, value REAL);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
		INSERT INTO t SELECT i, 'name ' || (i * 7919 % 100000), i / 3.0 FROM n;
		CREATE INDEX by_name ON t (name);"
fi
if needs git; then
	git init -q "$base/repository"
	(
		cd "$base/repository" || exit 1
		git config user.name a && git config user.email a@b && git config gc.auto 0
		for i in 1 2 3; do
			cp -r "$www/src" "copy-$i" && git add . && git commit -q -m "commit $i"
		done
		git tag first HEAD~2
	)
	git clone -q --bare "$base/repository" "$www/repository.git"
	git -C "$www/repository.git" gc -q
fi
if needs fio; then
	fio --name=verify --filename="$www/fio.bin" --size=16M --bs=64k --rw=write --verify=crc32c \
		--do_verify=0 --verify_state_save=0 --randseed=1 >/dev/null || fail "fio: could not write"
fi
find "$www" -exec touch -h -d '2024-05-06 07:08:00 UTC' {} +

coproc ORIGIN_OUT { exec "$ORIGIN" --root "$www"; }
# shellcheck disable=SC2153 # coproc sets it
origin_pid=$ORIGIN_OUT_PID
read -r -u "${ORIGIN_OUT[0]}" line || { echo "FAILED: no origin"; exit 1; }
"$PAGEIN" mount "http://${line##* }/" "$mnt" || { echo "FAILED: no mount"; exit 1; }

# --- the programs ------------------------------------------------------------------------------

run_find() {
	# A directory's size is nobody's business.
	(cd "$1" && find . \( -type f -printf '%P %y %s %TY-%Tm-%Td %TH:%TM\n' \) -o -printf '%P %y\n' | sort)
}
same find run_find

run_tar() {
	tar -C "$1" --sort=name --mode=0444 --owner=0 --group=0 --mtime=@0 -cf - . | sha256sum
}
same tar run_tar

run_cp() {
	cp -a "$1" "$2" && (cd "$2" && find . -type f -exec sha256sum {} + | sort)
	chmod -R u+w "$2"
}
same "cp -a" run_cp

run_rsync() {
	rsync -rt --chmod=u+w "$1/" "$2/"
	rsync -rtci --dry-run "$1/" "$2/"
	rsync -rtcn --stats "$1/" "$2/" | grep -E 'Number of (files|regular files transferred)'
	(cd "$2" && find . -type f -exec sha256sum {} + | sort)
}
needs rsync && same rsync run_rsync

run_git() {
	export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
	git clone -q --no-local "$1/repository.git" "$2"
	git -C "$2" fsck --full 2>&1
	git -C "$2" log --oneline --decorate=no
	git -C "$1/repository.git" rev-list --objects --all | sort
	diff -r "$2/copy-2" "$1/src" && echo same
}
needs git && same "git clone" run_git

run_sqlite() {
	for size in 0 268435456; do
		sqlite3 "$1/data.db" "PRAGMA mmap_size=$size; PRAGMA integrity_check;
			SELECT count(*), sum(value) FROM t; SELECT * FROM t WHERE name = 'name 4711';
			SELECT name FROM t ORDER BY name DESC LIMIT 5;"
	done
	! sqlite3 "$1/data.db" "PRAGMA mmap_size=268435456; SELECT nonsense FROM t;" 2>/dev/null
}
needs sqlite3 && same "sqlite3, with mmap, too" run_sqlite

run_rg() {
	rg --mmap --sort path --no-config 'number 4[0-9]*1$' "$1/src" | sed "s|$1||"
	rg --mmap -c '7' "$1/src/deep/er/numbers.txt"
}
needs rg && same "rg --mmap" run_rg

run_fio() {
	for engine in "psync" "mmap" "psync --direct=1" "libaio --direct=1 --iodepth=16"; do
		# shellcheck disable=SC2086 # an engine and its options
		fio --name=verify --filename="$1/fio.bin" --readonly --size=16M --bs=64k --rw=read \
			--verify=crc32c --verify_fatal=1 --verify_state_save=0 --randseed=1 --ioengine=$engine --output-format=terse |
			cut -d';' -f5,6
		# shellcheck disable=SC2086
		fio --name=random --filename="$1/random.bin" --readonly --size=19M --bs=4k --rw=randread \
			--number_ios=500 --ioengine=$engine --output-format=terse | cut -d';' -f5,6
	done
}
needs fio && same "fio: psync, mmap, O_DIRECT, libaio" run_fio

run_zipfile() {
	python3 - "$1" <<'END'
import random, sys, zipfile, zlib
with zipfile.ZipFile(sys.argv[1] + "/archive.zip") as archive:
    print(archive.testzip())
    names = archive.namelist()
    random.Random(1).shuffle(names)
    for name in names[:50]:
        print(name, zlib.crc32(archive.read(name)))
END
}
same "python zipfile" run_zipfile

# Debian's numpy is for Debian's python, which need not be the first one.
run_numpy() {
	/usr/bin/python3 - "$1" <<'END'
import sys
import numpy
data = numpy.memmap(sys.argv[1] + "/random.bin", dtype="u8", mode="r")
print(data[::4097].sum(), data.sum(), numpy.sort(data[-1000:])[:5], data.max())
END
}
if /usr/bin/python3 -c 'import numpy' 2>/dev/null; then
	same "numpy.memmap" run_numpy
else
	echo "without numpy: it is not installed"
fi

run_ffprobe() {
	ffprobe -v error -show_format -show_streams -count_packets "$1/sound.wav" | grep -v filename
}
needs ffprobe "it would be 160 MB to install" && same ffprobe run_ffprobe

"$PAGEIN" umount "$mnt" || fail "umount"
[ "$failures" -eq 0 ] && echo "all passed"
exit $((failures > 0))
