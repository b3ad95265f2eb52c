#!/usr/bin/env bash
# pagein ls, stat, cat, doctor and the command line around them: what they print, on which stream,
# and their exit status. PAGEIN and ORIGIN name the programs; one server on a free port.
# shellcheck disable=SC2016 # "$0" and "$1" belong to `bash -c`
set -euo pipefail

base=$(mktemp -d)
www=$base/www
server=''
failures=0

finish() {
	[ -z "$server" ] || { kill "$server" && wait "$server"; } || true
	rm -rf "$base"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

# expect STATUS STDOUT STDERR COMMAND...: patterns of the shell, for all of a stream
expect() {
	local status=$1 out=$2 err=$3 got=0

	shift 3
	timeout 30 "$@" >"$base/out" 2>"$base/err" || got=$?
	# shellcheck disable=SC2053 # patterns
	if [ "$got" -ne "$status" ] || [[ $(tr -d "\0" <"$base/out") != $out ]] ||
		[[ $(<"$base/err") != $err ]]; then
		printf 'FAILED: %s\nstatus %s\n' "$*" "$got"
		cat "$base/out" "$base/err"
		failures=$((failures + 1))
	fi
}

# same FILE COMMAND...: the command writes the file's bytes, and nothing else
same() {
	local file=$1

	shift
	if ! timeout 60 "$@" | cmp - "$file"; then
		printf 'FAILED: %s\n' "$*"
		failures=$((failures + 1))
	fi
}

serve_as() {
	curl -sf -X PUT --data-binary "$1" "$url/.origin/script"
}

mkdir -p "$www/sub"
: >"$www/empty"
head -c 4097 /dev/urandom >"$www/a b%"
head -c 20000001 /dev/urandom >"$www/large"
printf x >"$www/"$'line\nbreak'
touch -d '2024-05-06 07:08:00 UTC' "$www"/*
no_proxy=127.0.0.1
export no_proxy
"$ORIGIN" --root "$www" >"$base/origin.log" &
server=$!
until grep -q listening "$base/origin.log"; do
	kill -0 "$server"
	sleep 0.05
done
url=http://$(sed 's/^listening on //' "$base/origin.log")

# the command line
expect 2 '' 'Usage: pagein SUBCOMMAND*' "$PAGEIN"
expect 0 'Usage: pagein SUBCOMMAND*' '' "$PAGEIN" --help
expect 0 'pagein [0-9]*libcurl/*' '' "$PAGEIN" --version
expect 0 'Usage: pagein cat *' '' "$PAGEIN" cat --help
expect 2 '' 'pagein: frobnicate: no such subcommand; see pagein --help' "$PAGEIN" frobnicate
expect 2 '' 'pagein cat: --nope: no such option*' "$PAGEIN" cat --nope "$url/large"
expect 1 '' 'pagein: standard output: No space left on device' bash -c '"$0" --help >/dev/full' "$PAGEIN"
expect 1 '' 'pagein ls: ftp://x/: not an http://, https://, s3://, file:/// or manifest: URL' "$PAGEIN" ls ftp://x/
expect 1 '' "pagein cat: $url/nope: HTTP 404" "$PAGEIN" cat "$url/nope"
expect 1 '' "pagein stat: $url/nope: HTTP 404" "$PAGEIN" stat "$url/nope?signature=secret"

# ls
expect 0 $'a b%\nempty\nlarge\nline\nbreak\nsub/' '' "$PAGEIN" ls "$url/"
expect 0 $'a b%\nempty\nlarge\nline\nbreak\nsub/' '' "$PAGEIN" ls "$url"
expect 0 $'    4097 2024-05-06T07:08:00Z a b%\n*\n       - 2024-05-06T07:08:00Z sub/' '' \
	"$PAGEIN" ls -l "$url/"
expect 0 '' '' "$PAGEIN" ls "$url/sub"
expect 0 'a b%' '' "$PAGEIN" ls "$url/a%20b%25"
expect 0 $'*\nline\\?break\r\n*' '' script -qc "'$PAGEIN' ls '$url/'" /dev/null

# stat
expect 0 $'url: *\ntype: *object\nsize: *20000001\nversion: *"*"\nmodified: 2024-05-06T07:08:00Z\nranges: *yes' \
	'' "$PAGEIN" stat "$url/large"
expect 0 $'*size: *0\nversion: *"*"\n*' '' "$PAGEIN" stat "$url/empty"
expect 0 $'*type: *directory\nentries: *5' '' "$PAGEIN" stat "$url/"

# cat
for file in empty 'a b%' large; do
	encoded=${file//%/%25}
	same "$www/$file" "$PAGEIN" cat "$url/${encoded// /%20}"
done
head -c 10004095 "$www/large" | tail -c 10000000 >"$base/part"
same "$base/part" "$PAGEIN" cat --range 4095-10004094 "$url/large"
tail -c 1 "$www/large" >"$base/part"
same "$base/part" "$PAGEIN" cat "$url/large" --range 20000000-
expect 1 '' 'pagein cat: *: the range is not inside the object' "$PAGEIN" cat --range 20000000-20000001 "$url/large"
expect 1 '' 'pagein cat: *: the range is not inside the object' "$PAGEIN" cat --range 0-0 "$url/empty"
expect 1 '' 'pagein cat: *: is a directory' "$PAGEIN" cat "$url/sub/"
expect 1 '' 'pagein cat: standard output: No space left on device' bash -c '"$0" cat "$1" >/dev/full' "$PAGEIN" "$url/large"
head -c 5 "$www/large" >"$base/part"
same "$base/part" bash -c '"$0" cat "$1" | head -c 5' "$PAGEIN" "$url/large"

# servers that are not well
serve_as 'range=8M-9M first=3 : status=503'
same "$www/large" "$PAGEIN" cat --timeout 20s "$url/large"
serve_as ': stall=0'
expect 1 '' 'pagein cat: *: *timed out*' "$PAGEIN" cat --timeout 600ms "$url/large"
serve_as 'range=8M-99M : stall=0'
expect 1 '*' 'pagein cat: *: no byte arrived in time: ETIMEDOUT' "$PAGEIN" cat --timeout 600ms "$url/large"
serve_as 'range=8M-9M first=1 : delay=1h'
same "$www/large" "$PAGEIN" cat --timeout 1000s "$url/large"
serve_as 'range=8M-9M : etag="\"other\""'
expect 1 '*' "pagein cat: $url/large: *" "$PAGEIN" cat "$url/large"
cmp -n "$(stat -c %s "$base/out")" "$base/out" "$www/large"
serve_as ': ignore-range'
expect 1 '' 'pagein cat: *: the server does not serve ranges' "$PAGEIN" cat "$url/large"
expect 0 $'*size: *20000001\n*ranges: *no' '' "$PAGEIN" stat "$url/large"
serve_as ': close'
expect 1 '' "pagein ls: $url/: *" "$PAGEIN" ls "$url/"

# a core file of any of them has no memory in it: waits until it is set, while the server waits
serve_as ': delay=20s'
"$PAGEIN" cat "$url/large" >"$base/out" 2>"$base/err" &
slow=$!
until [ "$(cat "/proc/$slow/coredump_filter")" = 00000000 ]; do
	kill -0 "$slow" || { failures=$((failures + 1)) && break; }
	sleep 0.01
done
kill "$slow"
wait "$slow" || true
serve_as ''

# doctor
"$PAGEIN" doctor >"$base/out" && status=0 || status=$?
! grep -vE '^(ok|warn|FAIL)  +[^ ].*: +[^ ]|^      fix: [^ ]' "$base/out" || failures=$((failures + 1))
[ "$status" -eq "$(grep -cE '^FAIL  (pagein mount|libpagein):' "$base/out" | sed 's/2/1/')" ] ||
	failures=$((failures + 1))

[ "$failures" -eq 0 ]
