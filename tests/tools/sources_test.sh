#!/usr/bin/env bash
# pagein ls, stat, cat and mount over sources that are not a web server's directory: files, manifests
# by path and by URL, and manifests that pagein has written. PAGEIN and ORIGIN name the programs.
set -euo pipefail

base=$(mktemp -d)
www=$base/www
mnt=$base/mnt
server=''
failures=0

finish() {
	mountpoint -q "$mnt" && "$PAGEIN" umount "$mnt"
	[ -z "$server" ] || { kill "$server" && wait "$server"; } || true
	rm -rf "$base"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

failed() {
	printf 'FAILED: %s\n' "$*"
	failures=$((failures + 1))
}

# expect STATUS STDOUT STDERR COMMAND...: patterns of the shell, for all of a stream
expect() {
	local status=$1 out=$2 err=$3 got=0

	shift 3
	timeout 30 "$@" >"$base/out" 2>"$base/err" || got=$?
	# shellcheck disable=SC2053 # patterns
	if [ "$got" -ne "$status" ] || [[ $(tr -d "\0" <"$base/out") != $out ]] ||
		[[ $(<"$base/err") != $err ]]; then
		failed "$* (status $got)"
		cat "$base/out" "$base/err"
	fi
}

# same FILE COMMAND...: the command writes the file's bytes, and nothing else
same() {
	local file=$1

	shift
	timeout 60 "$@" | cmp - "$file" || failed "$*"
}

# refused LINE: a manifest with this second line is refused, and file and line are named
refused() {
	printf '%s\n%s\n' '{"path":"x","url":"x","size":1}' "$1" >"$base/bad"
	expect 1 '' "pagein ls: *$base/bad:2: $2" "$PAGEIN" ls "manifest:$base/bad"
}

counted() {
	curl -sf "$url/.origin/stats" | sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p"
}

serve_as() {
	curl -sf -X PUT --data-binary "$1" "$url/.origin/script"
}

mkdir -p "$www/sub/deep" "$www/void" "$mnt"
: >"$www/empty"
head -c 4097 /dev/urandom >"$www/a b%"
head -c 3000001 /dev/urandom >"$www/sub/large"
printf x >"$www/sub/deep/"$'bad\xff'
touch -d '2024-05-06 07:08:09 UTC' "$www"/empty "$www/a b%" "$www"/sub/large "$www"/sub/deep/*
export no_proxy=127.0.0.1 HOME=$base
"$ORIGIN" --root "$www" >"$base/origin.log" &
server=$!
until grep -q listening "$base/origin.log"; do
	kill -0 "$server"
	sleep 0.05
done
url=http://$(sed 's/^listening on //' "$base/origin.log")

# files and directories
expect 0 $'a b%\nempty\nsub/\nvoid/' '' "$PAGEIN" ls "file://$www/"
expect 0 $'a b%\nempty\nsub/\nvoid/' '' "$PAGEIN" ls "file://$www"
expect 0 $'4097 2024-05-06T07:08:09Z a b%\n*\n   - *Z sub/\n*' '' "$PAGEIN" ls -l "file://$www/"
expect 0 $'4097 2024-05-06T07:08:09Z a b%' '' "$PAGEIN" ls -l "file://$www/a%20b%25"
expect 0 $'url: *file://*/large\ntype: *object\nsize: *3000001\nversion: *"*"\nmodified: 2024-05-06T07:08:09Z\nranges: *yes' \
	'' "$PAGEIN" stat "file://$www/sub/large"
expect 0 $'*type: *directory\nentries: *4' '' "$PAGEIN" stat "file://$www/"
same "$www/sub/large" "$PAGEIN" cat "file://$www/sub/large"
same "$www/empty" "$PAGEIN" cat "file://$www/empty"
tail -c 1000001 "$www/sub/large" >"$base/part"
same "$base/part" "$PAGEIN" cat --range 2000000- "file://$www/sub/large"
expect 1 '' "pagein cat: file://$www/none: No such file or directory" "$PAGEIN" cat "file://$www/none"
expect 1 '' "pagein ls: file://$www/none/: No such file or directory" "$PAGEIN" ls "file://$www/none/"
mkfifo "$www/fifo"
expect 1 '' "pagein cat: file://$www/fifo: not a file" "$PAGEIN" cat "file://$www/fifo"
rm "$www/fifo"
if [ "$(id -u)" -ne 0 ]; then
	chmod 0 "$www/empty"
	expect 1 '' "*: Permission denied" "$PAGEIN" cat "file://$www/empty"
	chmod 644 "$www/empty"
fi

# a manifest of a server's directory: one line an object, in any order of directories
expect 0 '*' '' "$PAGEIN" ls --manifest "$url/"
sort "$base/out" >"$base/list"
python3 - "$base/list" "$www" "$url" <<'END' || failed "the manifest of a directory"
import json, os, sys, urllib.parse
lines = [json.loads(line) for line in open(sys.argv[1])]
found = {}
for line in lines:
    path = line.get("path") or os.fsdecode(urllib.parse.unquote_to_bytes(line["path_encoded"]))
    found[path] = line
expected = {"a b%", "empty", "sub/large", os.fsdecode(b"sub/deep/bad\xff"), "void/"}
assert set(found) == expected, found.keys()
for path, line in found.items():
    if path.endswith("/"):
        assert set(line) == {"path"}, line
        continue
    assert line["size"] == os.stat(os.path.join(sys.argv[2], path)).st_size, line
    assert line["validator"].startswith('"'), line
    assert line["mtime"] == "2024-05-06T07:08:09Z", line
    assert urllib.parse.unquote_to_bytes(line["url"]) == os.fsencode(sys.argv[3] + "/" + path), line
END

# nothing is asked but the bytes
curl -sf -X PUT "$url/.origin/reset"
expect 0 $'a b%\nempty\nsub/\nvoid/' '' "$PAGEIN" ls "manifest:$base/list"
expect 0 $'4097 2024-05-06T07:08:09Z a b%\n*' '' "$PAGEIN" ls -l "manifest:$base/list"
expect 0 '' '' "$PAGEIN" ls "manifest:$base/list#void"
expect 0 $'deep/\nlarge' '' "$PAGEIN" ls "manifest:$base/list#sub/"
expect 0 $'bad*' '' "$PAGEIN" ls "manifest:$base/list#sub/deep"
expect 0 $'url: *'"$url/a%20b%25"$'\ntype: *object\nsize: *4097\nversion: *"*"\nmodified: 2024-05-06T07:08:09Z\n*' \
	'' "$PAGEIN" stat "manifest:$base/list#a b%"
expect 0 $'*type: *directory\nentries: *4' '' "$PAGEIN" stat "manifest:$base/list"
[ "$(counted requests)" -eq 0 ] || failed "asking a manifest asks no server"
same "$www/a b%" "$PAGEIN" cat "manifest:$base/list#a b%"
[ "$(counted requests)" -eq 1 ] || failed "4097 bytes are one request"
same "$www/sub/large" "$PAGEIN" cat "manifest:$base/list#sub/large"
same "$www/empty" "$PAGEIN" cat "manifest:$base/list#empty"
expect 1 '' "pagein cat: manifest:*/list: not in the manifest" "$PAGEIN" cat "manifest:$base/list#none"
expect 1 '' "pagein ls: manifest:*/list: not in the manifest" "$PAGEIN" ls "manifest:$base/list#none/"
expect 1 '' "pagein cat: *: is a directory" "$PAGEIN" cat "manifest:$base/list#sub"
(cd "$base" && expect 0 $'a b%\nempty\nsub/\nvoid/' '' "$PAGEIN" ls manifest:list)

# what is written is read, from every kind of source, and stays what it is
expect 0 '*' '' "$PAGEIN" ls --manifest "manifest:$base/list"
sort "$base/out" | cmp - "$base/list" || failed "the manifest of a manifest is the same"
expect 0 '*' '' "$PAGEIN" ls --manifest "file://$www/"
cp "$base/out" "$base/files"
same "$www/sub/large" "$PAGEIN" cat "manifest:$base/files#sub/large"
expect 0 '{"path":"large","url":"*/sub/large","size":3000001,*' '' "$PAGEIN" ls --manifest "$url/sub/large"

# by URL, with relative links; a remote one can't reach local files, nor lower itself to them
cat >"$www/sub/m.jsonl" <<END
{"path":"one/two","url":"../a%20b%25","size":4097}

{"url":"large","path":"l","size":3000001,"validator":null,"comment":["for","others"]}
END
expect 0 $'l\none/' '' "$PAGEIN" ls "manifest:$url/sub/m.jsonl"
same "$www/a b%" "$PAGEIN" cat "manifest:$url/sub/m.jsonl#one/two"
same "$www/sub/large" "$PAGEIN" cat "manifest:$url/sub/m.jsonl#l"
same "$www/sub/large" "$PAGEIN" cat "manifest:$url/sub/m.jsonl?signature=secret#l"
same "$www/a b%" "$PAGEIN" cat "manifest:$www/sub/m.jsonl#one/two"
printf '{"path":"p","url":"file:///etc/passwd","size":1}\n' >"$www/evil"
expect 1 '' "*$url/evil:1: a file:/// url in a manifest that is no file" "$PAGEIN" ls "manifest:$url/evil"
expect 1 '' "pagein ls: manifest:$url/none*: $url/none: HTTP 404" "$PAGEIN" ls "manifest:$url/none?secret#x/"
expect 1 '' "pagein ls: manifest:$base/none: $base/none: No such file or directory" "$PAGEIN" ls "manifest:$base/none"
expect 1 '' "pagein ls: manifest:manifest:x: *" "$PAGEIN" ls manifest:manifest:x
expect 1 '' "pagein ls: manifest:: *" "$PAGEIN" ls manifest:

# a server that fails now and then, and one that has other bytes
serve_as 'path=/sub/m.jsonl first=2 : status=503'
expect 0 $'l\none/' '' "$PAGEIN" ls "manifest:$url/sub/m.jsonl"
serve_as 'path=/a* : etag="\"other\""'
expect 1 '' "pagein cat: *: *the object has changed*" "$PAGEIN" cat "manifest:$base/list#a b%"
same "$www/a b%" "$PAGEIN" cat "manifest:$www/sub/m.jsonl#one/two"
serve_as ''
# a manifest that says less is compared with less, and one that says it wrong is found out
printf '{"path":"short","url":"%s/empty","size":10}\n' "$url" >"$base/wrong"
expect 1 '' "pagein cat: *" "$PAGEIN" cat "manifest:$base/wrong#short"

# errors name file and line
refused '{' 'not JSON'
refused '[]' 'not a JSON object'
refused '{"path":"a","path":"b","url":"x","size":1}' 'not JSON'
refused '{"url":"x","size":1}' 'no path, or two'
refused '{"path":"","url":"x","size":1}' 'an empty path'
refused '{"path":"/a","url":"x","size":1}' 'a path with an empty part'
refused '{"path":"a//b","url":"x","size":1}' 'a path with an empty part'
refused '{"path":"../a","url":"x","size":1}' 'a path with . or .. in it'
refused '{"path":"a/./b","url":"x","size":1}' 'a path with . or .. in it'
refused "{\"path\":\"$(printf '%0256d' 0)\",\"url\":\"x\",\"size\":1}" 'a path with a part of more than 255 bytes'
refused '{"path_encoded":"%zz","url":"x","size":1}' 'a malformed path_encoded'
refused '{"path":"a","size":1}' 'no url'
refused '{"path":"a","url":"ftp://h/x","size":1}' 'not an http://, https://, s3:// or file:/// url'
refused '{"path":"a","url":"manifest:x","size":1}' 'not an http://, https://, s3:// or file:/// url'
refused '{"path":"a","url":"a b","size":1}' 'a url with bytes that no URL has'
refused '{"path":"a","url":"x"}' 'no size, or one that is none'
refused '{"path":"a","url":"x","size":-1}' 'no size, or one that is none'
refused '{"path":"a","url":"x","size":1.5}' 'no size, or one that is none'
refused '{"path":"a","url":"x","size":1,"validator":"soon"}' 'a validator that is no ETag*'
refused '{"path":"a","url":"x","size":1,"mtime":"noon"}' 'an mtime that is not like *'
refused '{"path":"x","url":"y","size":2}' 'the path of line 1 again'
head -c 70000 /dev/zero | tr '\0' ' ' >"$base/wide"
expect 1 '' "*$base/wide:1: a line of more than 64 KiB" "$PAGEIN" ls "manifest:$base/wide"

# mounts
if [ -e /dev/fuse ]; then
	for source in "manifest:$base/list" "file://$www/"; do
		rm -f "$www/evil" "$www/sub/m.jsonl"
		expect 0 '' '' "$PAGEIN" mount "$source" "$mnt"
		# src/fs/SEMANTICS.md, N3
		diff -r -x 'bad*' "$www" "$mnt" || failed "mount of $source"
		cmp "$www/sub/deep/"$'bad\xff' "$mnt/sub/deep/bad%{ff}" || failed "an escaped name"
		[ "$(stat -c '%s %Y' "$mnt/sub/large")" = "3000001 1714979289" ] || failed "stat in $source"
		"$PAGEIN" umount "$mnt"
	done
	curl -sf -X PUT "$url/.origin/reset"
	expect 0 '' '' "$PAGEIN" mount "manifest:$base/list" "$mnt"
	find "$mnt" -ls >"$base/out"
	[ "$(counted requests)" -eq 0 ] || failed "find in a mounted manifest asks no server"
	cmp "$www/a b%" "$mnt/a b%" || failed "a file of a mounted manifest"
	[ "$(counted requests)" -eq 1 ] || failed "opening is no request, reading is one"
	"$PAGEIN" umount "$mnt"
	expect 0 '' '' "$PAGEIN" mount "manifest:$base/list#sub/large" "$mnt"
	cmp "$www/sub/large" "$mnt/large" || failed "one object of a manifest, mounted"
	"$PAGEIN" umount "$mnt"
	expect 1 '' "*$base/bad:2: *" "$PAGEIN" mount "manifest:$base/bad" "$mnt"
	expect 1 '' "*not an http://*" "$PAGEIN" mount ftp://x/ "$mnt"
else
	echo "skipped: mounts: no /dev/fuse" >&2
fi

[ "$failures" -eq 0 ]
