#!/usr/bin/env bash
# --verify: right bytes pass, wrong ones are told, and what can't be checked is refused, through cat,
# ls and a mount. The digests are Python's. PAGEIN and ORIGIN name the programs.
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

# expect STATUS STDERR COMMAND...: STDERR is a pattern of the shell
expect() {
	local status=$1 err=$2 got=0

	shift 2
	timeout 60 "$@" >"$base/out" 2>"$base/err" || got=$?
	# shellcheck disable=SC2053 # a pattern
	if [ "$got" -ne "$status" ] || [[ $(<"$base/err") != $err ]]; then
		failed "$* (status $got)"
		cat "$base/err"
	fi
}

# passes FILE COMMAND...: the file's bytes come, and no complaint
passes() {
	local file=$1

	shift
	expect 0 '' "$@"
	cmp "$base/out" "$file" || failed "$*: other bytes"
}

# right: what has come is the beginning of the file
right() {
	cmp -n "$(stat -c %s "$base/out")" "$base/out" "$1" || failed "a wrong byte was shown"
}

serve_as() {
	curl -sf -X PUT --data-binary "$1" "$url/.origin/script"
}

requests() {
	curl -sf "$url/.origin/stats" | sed -n 's/.*"requests": \([0-9]*\).*/\1/p'
}

mkdir -p "$www" "$mnt"
head -c 3000001 /dev/urandom >"$www/large"
head -c 20000 /dev/urandom >"$www/small"
cat >"$base/digest.py" <<'END'
import base64, hashlib, json, sys, zlib

def crc(polynomial, width, data):
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (polynomial if value & 1 else 0)
        table.append(value)
    ones = value = (1 << width) - 1
    for byte in data:
        value = value >> 8 ^ table[(value ^ byte) & 0xff]
    return (value ^ ones).to_bytes(width // 8, "big")

kinds = {
    "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "crc32c": lambda data: crc(0x82f63b78, 32, data),
    "crc64nvme": lambda data: crc(0x9a6c9329ac4bc9b5, 64, data),
    "sha1": lambda data: hashlib.sha1(data).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
    "sha512": lambda data: hashlib.sha512(data).digest(),
}

def wrong(digest):
    return digest[:-1] + bytes([digest[-1] ^ 1])

def whole(path, url, data, kind, change=lambda digest: digest):
    return {"path": path, "url": url, "size": len(data),
            "digest": kind + ":" + change(kinds[kind](data)).hex()}

# Of blocks, in lines of `per_line` of them, the last line first.
def blocks(path, url, data, kind, block, per_line):
    hashes = [kinds[kind](data[i:i + block]) for i in range(0, len(data), block)]
    text = lambda i: kind + ":" + base64.b64encode(b"".join(hashes[i:i + per_line])).decode()
    lines = [{"path": path, "block_from": i, "block_hashes": text(i)}
             for i in range(per_line, len(hashes), per_line)]
    lines.append({"path": path, "url": url, "size": len(data), "block_size": block,
                  "block_hashes": text(0)})
    return lines[::-1]

if __name__ == "__main__":
    what, www, url = sys.argv[1:4]
    if what == "base64":
        data = open(www, "rb").read()
        print(base64.b64encode(kinds[url](data)).decode())
        sys.exit()
    lines = []
    for name in ("large", "small"):
        data = open(www + "/" + name, "rb").read()
        for kind in kinds:
            lines.append(whole(f"{kind}/{name}", f"{url}/{name}", data, kind))
            lines.append(whole(f"wrong-{kind}/{name}", f"{url}/{name}", data, kind, wrong))
        lines.append({"path": f"none/{name}", "url": f"{url}/{name}", "size": len(data)})
        lines += blocks(f"blocks/{name}", f"{url}/{name}", data, "sha256", 65536, 7)
        lines += blocks(f"odd/{name}", f"{url}/{name}", data, "crc64nvme", 12288, 100)
    for line in lines:
        print(json.dumps(line))
END
digest() {
	python3 "$base/digest.py" base64 "$www/$2" "$1"
}

export no_proxy=127.0.0.1 HOME=$base
"$ORIGIN" --root "$www" >"$base/origin.log" &
server=$!
until grep -q listening "$base/origin.log"; do
	kill -0 "$server"
	sleep 0.05
done
url=http://$(sed 's/^listening on //' "$base/origin.log")
list=$base/list
python3 "$base/digest.py" manifest "$www" "$url" >"$list"
from="manifest:$list#"

# digests of a manifest: all of them are made, and each wrong one is told
for kind in crc32 crc32c crc64nvme sha1 sha256 sha512; do
	for name in large small; do
		passes "$www/$name" "$PAGEIN" cat "$from$kind/$name"
		passes "$www/$name" "$PAGEIN" cat --verify=require "$from$kind/$name"
		expect 1 "*$kind:*, seen $kind:*" "$PAGEIN" cat "${from}wrong-$kind/$name"
		right "$www/$name"
		[ "$(stat -c %s "$base/out")" -lt "$(stat -c %s "$www/$name")" ] || failed "all of a wrong object"
		passes "$www/$name" "$PAGEIN" cat --verify=off "${from}wrong-$kind/$name"
	done
done
expect 1 "*expected sha256:*, seen sha256:*" "$PAGEIN" cat --verify=blocks "${from}wrong-sha256/small"
[ ! -s "$base/out" ] || failed "a byte of a small object was shown before it was checked"

# lists of blocks
for name in large small; do
	for path in blocks odd; do
		passes "$www/$name" "$PAGEIN" cat --verify=blocks "$from$path/$name"
		passes "$www/$name" "$PAGEIN" cat "$from$path/$name"
	done
done
dd if="$www/large" of="$base/part" iflag=skip_bytes,count_bytes skip=2000000 count=1000 status=none
passes "$base/part" "$PAGEIN" cat --verify=require --range 2000000-2000999 "${from}odd/large"

# what can't be checked is refused, of each kind of source
for source in "$url/large" "file://$www/large" "${from}none/large"; do
	passes "$www/large" "$PAGEIN" cat "$source"
	for mode in require blocks; do
		expect 1 "pagein cat: *: can't be verified: *" "$PAGEIN" cat --verify=$mode "$source"
		[ ! -s "$base/out" ] || failed "bytes that can't be verified"
	done
done
expect 1 "pagein cat: *: can't be verified: there are no hashes of its blocks" \
	"$PAGEIN" cat --verify=blocks "${from}crc32c/large"
expect 1 "pagein cat: *: not verified: only a part was read*" \
	"$PAGEIN" cat --verify=require --range 0-99999 "${from}crc32c/large"
passes <(head -c 100 "$www/small") "$PAGEIN" cat --verify=require --range 0-99 "${from}crc32c/small"
expect 2 "*verify*sideways*" "$PAGEIN" cat --verify=sideways "${from}none/large"

# what a server says of the whole
serve_as "path=/large : header=\"Repr-Digest: sha-256=:$(digest sha256 large):\""
passes "$www/large" "$PAGEIN" cat --verify=require "$url/large"
expect 0 '' "$PAGEIN" ls --manifest "$url/large"
[[ $(<"$base/out") == *"\"digest\":\"sha256:$(sha256sum "$www/large" | cut -c-64)\""* ]] ||
	failed "the manifest has no digest"
cp "$base/out" "$base/written"
passes "$www/large" "$PAGEIN" cat --verify=require "manifest:$base/written#large"
serve_as "path=/large : header=\"Repr-Digest: sha-256=:$(digest sha256 small):\""
expect 1 "*expected sha256:*" "$PAGEIN" cat "$url/large"
right "$www/large"
serve_as "path=/large : header=\"Repr-Digest: crc32c=:$(digest crc32c large):\""
expect 0 '' "$PAGEIN" ls --manifest --verify=require "$url/large"
expect 1 "pagein ls: *: can't be verified: *" "$PAGEIN" ls --manifest --verify=require "$url/"
[[ $(<"$base/out") == *'"large"'*'"digest":"crc32c:'* && $(<"$base/out") != *'"small"'* ]] ||
	failed "the manifest of what can be verified"
# Another digest under the same ETag
serve_as "path=/large : header=\"Repr-Digest: sha-256=:$(digest sha256 large):\"
path=/large range=2M-3M : header=\"Repr-Digest: sha-256=:$(digest sha256 small):\""
expect 1 "*the object has changed: another digest*" "$PAGEIN" cat "$url/large"

# ... and of a part: the probe's answer; then one that is not of its bytes
serve_as "path=/small : header=\"Content-Digest: crc32c=:$(digest crc32c small):\""
expect 1 "*not those of their Content-Digest*" "$PAGEIN" cat "$url/small"
head -c 16384 "$www/small" >"$www/start"
tail -c +16385 "$www/small" >"$www/rest"
serve_as "path=/small range=0-1 : header=\"Content-Digest: sha-512=:$(digest sha512 start):\"
path=/small range=16384-20000 : header=\"Content-Digest: sha-512=:$(digest sha512 rest):\""
passes "$www/small" "$PAGEIN" cat "$url/small"
serve_as "path=/small range=16384-20000 : header=\"Content-Digest: sha-512=:$(digest sha512 start):\""
expect 1 "*bytes 16384-19999: expected sha512:*" "$PAGEIN" cat "$url/small"
passes "$www/small" "$PAGEIN" cat --verify=off "$url/small"

# the same ETag with other bytes
serve_as 'path=/large range=64K-3M : corrupt=5000'
expect 1 "*" "$PAGEIN" cat "${from}blocks/large"
grep -q ': block [0-9]*, bytes [0-9]*-[0-9]*: expected sha256:.*, seen sha256:' "$base/err" ||
	failed "which block was wrong"
right "$www/large"
"$PAGEIN" cat "${from}none/large" | cmp -s - "$www/large" && failed "the server is not wrong"
# ... once: another connection is right
serve_as 'path=/large range=64K-3M nth=1 : corrupt=5000'
passes "$www/large" "$PAGEIN" cat "${from}odd/large"

# hashes that ls makes: those that sha256sum and Python make
serve_as ''
truncate -s 70M "$www/long"
printf end >>"$www/long"
: >"$www/empty"
expect 0 '' "$PAGEIN" ls --hashes "$url/"
cp "$base/out" "$base/hashed"
split -b 65536 --filter='sha256sum | cut -c-64' "$www/large" >"$base/sums"
python3 - "$base/hashed" "$www" "$base/sums" <<'END' || failed "hashes that ls makes"
import base64, hashlib, json, sys
listed, www, sums = sys.argv[1:4]
objects, hashes = {}, {}
for line in open(listed):
    assert len(line) <= 65536
    line = json.loads(line)
    if "url" in line:
        objects[line["path"]] = line
        assert hashes.setdefault(line["path"], []) == [], "an object's own line is its first"
    else:
        assert line["block_from"] == len(hashes[line["path"]])
    kind, text = line["block_hashes"].split(":")
    assert kind == "sha256"
    data = base64.b64decode(text, validate=True)
    hashes[line["path"]] += [data[i:i + 32].hex() for i in range(0, len(data), 32)]
assert {"large", "small", "long", "empty"} <= set(objects)
for name, line in objects.items():
    data, block = open(www + "/" + name, "rb").read(), line["block_size"]
    assert line["size"] == len(data) and line["validator"]
    assert line["digest"] == "sha256:" + hashlib.sha256(data).hexdigest()
    assert hashes[name] == [hashlib.sha256(data[i:i + block]).hexdigest()
                            for i in range(0, len(data), block)]
assert objects["large"]["block_size"] == 65536
assert hashes["large"] == open(sums).read().split()
assert len(hashes["long"]) == 1121
END
made="manifest:$base/hashed#"
for name in large small long empty; do
	passes "$www/$name" "$PAGEIN" cat --verify=blocks "$made$name"
done
# ... of an object that changes meanwhile, or is not what its server says: none
serve_as 'path=/large range=1M-3M : etag="\"other\""'
expect 1 "pagein ls: $url/large: *changed*" "$PAGEIN" ls --hashes "$url/"
[[ $(<"$base/out") == *'"small"'* && $(<"$base/out") != *'"large"'* ]] ||
	failed "hashes of an object that has changed"
serve_as "path=/large : header=\"Repr-Digest: sha-256=:$(digest sha256 small):\""
expect 1 "pagein ls: *: its bytes are not those*" "$PAGEIN" ls --hashes "$url/large"
serve_as "path=/large : header=\"Repr-Digest: crc32c=:$(digest crc32c small):\""
expect 1 "*pagein ls: *: expected crc32c:*" "$PAGEIN" ls --hashes "$url/large"
[ ! -s "$base/out" ] || failed "hashes of what is not right"
serve_as 'path=/large range=1M-3M : status=404'
expect 1 "pagein ls: *" "$PAGEIN" ls --hashes "$url/large"

# a mount
serve_as ''
if [ -w /dev/fuse ]; then
	# One byte of block 20 is another, under the same version: that block can't be read.
	cp -p "$www/large" "$base/right"
	byte=$(od -An -tu1 -j 1320000 -N 1 "$www/large")
	printf '%b' "\\0$(printf %o $((byte ^ 1)))" | dd of="$www/large" bs=1 seek=1320000 conv=notrunc status=none
	touch -r "$base/right" "$www/large"
	"$PAGEIN" mount -o verify=blocks "manifest:$base/hashed" "$mnt"
	for ((block = 0; block < 46; block++)); do
		dd if="$base/right" of="$base/part" bs=64K skip=$block count=1 status=none
		if [ $block = 20 ]; then
			expect 1 '*Input/output error*' dd if="$mnt/large" bs=64K skip=$block count=1 iflag=direct status=none
			[ ! -s "$base/out" ] || failed "bytes of a wrong block"
		else
			passes "$base/part" dd if="$mnt/large" bs=64K skip=$block count=1 iflag=direct status=none
		fi
	done
	"$PAGEIN" umount "$mnt"
	cp -p "$base/right" "$www/large"
	"$PAGEIN" mount -o verify=auto "manifest:$list" "$mnt"
	for path in blocks odd crc64nvme sha256 none; do
		for name in large small; do
			passes "$www/$name" cat "$mnt/$path/$name"
		done
	done
	for kind in crc32c sha256; do
		for name in large small; do
			expect 1 '*Input/output error*' cat "$mnt/wrong-$kind/$name"
			right "$www/$name"
		done
	done
	"$PAGEIN" umount "$mnt"
	"$PAGEIN" mount -o verify=auto "manifest:$list" "$mnt"
	serve_as 'path=/large range=64K-3M : corrupt=5000'
	expect 1 '*Input/output error*' cat "$mnt/blocks/large"
	right "$www/large"
	# Through a mapping of it: a signal, or right bytes.
	got=0
	python3 - "$mnt/blocks/large" "$www/large" 2>"$base/err" <<'END' || got=$?
import mmap, sys
files = [open(path, "rb") for path in sys.argv[1:]]
maps = [mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) for file in files]
sys.exit(3 if maps[0][:] != maps[1][:] else 0)
END
	[ "$got" -eq 135 ] || failed "a mapping of a wrong block: $got: $(<"$base/err")"
	serve_as ''
	passes "$www/large" cat "$mnt/blocks/large"
	"$PAGEIN" umount "$mnt"
	"$PAGEIN" mount -o verify=require "manifest:$list" "$mnt"
	for path in none/large sha256/large; do
		expect 1 '*Operation not supported*' cat "$mnt/$path"
	done
	for path in blocks/large crc32/large sha256/small; do
		passes "$www/${path#*/}" cat "$mnt/$path"
	done
	before=$(requests)
	expect 1 '*Input/output error*' cat "$mnt/wrong-sha512/small"
	[ ! -s "$base/out" ] || failed "bytes that were not checked"
	[ $(($(requests) - before)) -le 12 ] || failed "a wrong object is asked for for ever"
	"$PAGEIN" umount "$mnt"
else
	echo 'no /dev/fuse: no mount was tested'
fi

[ "$failures" -eq 0 ]
