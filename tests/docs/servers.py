"""The servers behind the host names in the documents: a web server, which is pagein-origin, and a
bucket, which is here: what S3 answers to a list and a get, and no more. Signatures are not looked at;
tests/s3 does that."""
import hashlib
import http.server
import os
import re
import subprocess
import threading
import time
import urllib.parse
import xml.sax.saxutils

WEIGHTS_BYTES = 50_000_000  # sparse: the examples read weights[12345678]
KEYS = {f"{folder}{name}": os.urandom(5000) for folder in ("", "prefix/", "2024/")
        for name in ("key", "other")}


def etag(key):
    return hashlib.md5(KEYS[key]).hexdigest()


class Bucket(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def list(self, bucket, query):
        prefix, delimiter = (query.get(name, [""])[0] for name in ("prefix", "delimiter"))
        keys, folders = [], set()
        for key in sorted(KEYS):
            rest = key[len(prefix):]
            if key.startswith(prefix) and delimiter and delimiter in rest:
                folders.add(prefix + rest.split(delimiter)[0] + delimiter)
            elif key.startswith(prefix):
                keys.append(key)
        quote = xml.sax.saxutils.escape
        body = "".join(
            f"<Contents><Key>{quote(key)}</Key><LastModified>2024-05-06T07:08:00.000Z</LastModified>"
            f"<ETag>&quot;{etag(key)}&quot;</ETag><Size>{len(KEYS[key])}</Size></Contents>"
            for key in keys)
        body += "".join(f"<CommonPrefixes><Prefix>{quote(folder)}</Prefix></CommonPrefixes>"
                        for folder in sorted(folders))
        return (f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult '
                f'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{bucket}</Name>'
                f"<Prefix>{quote(prefix)}</Prefix><KeyCount>{len(keys) + len(folders)}</KeyCount>"
                f"<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{body}"
                f"</ListBucketResult>").encode()

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        bucket, _, key = urllib.parse.unquote(url.path).lstrip("/").partition("/")
        if not key:
            query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
            return self.answer(200, self.list(bucket, query), Content_Type="application/xml")
        if key not in KEYS:
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>",
                               Content_Type="application/xml")
        body, fields = KEYS[key], {
            "ETag": f'"{etag(key)}"', "Last_Modified": "Mon, 06 May 2024 07:08:00 GMT",
            "Accept_Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not asked:
            return self.answer(200, body, **fields)
        first, last = int(asked[1]), min(int(asked[2] or len(body)), len(body) - 1)
        return self.answer(206, body[first:last + 1], **fields,
                           Content_Range=f"bytes {first}-{last}/{len(body)}")

    do_HEAD = do_GET


class Servers:
    def __init__(self, build, base):
        root = base / "www"
        for folder in ("models", "data", "objects", "archive"):
            (root / folder).mkdir(parents=True)
        for path in ("weights.bin", "dump.bin", "models/weights.bin"):
            with open(root / path, "wb") as file:
                file.write(os.urandom(100_000))
                file.truncate(WEIGHTS_BYTES)
        (root / "data" / "b.bin").write_bytes(os.urandom(123))
        self.bucket = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
        self.bucket.daemon_threads = True
        self.bucket_url = "http://127.0.0.1:%d" % self.bucket.server_address[1]
        self.origin = subprocess.Popen(
            [build / "tools" / "origin" / "pagein-origin", "--root", root],
            stdout=subprocess.PIPE, text=True)
        address = self.origin.stdout.readline().removeprefix("listening on ").strip()
        self.url = f"http://{address}/"

    def __enter__(self):
        threading.Thread(target=self.bucket.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.bucket.shutdown()
        # A mount's process ends a moment after it was unmounted.
        time.sleep(0.1)
        self.origin.terminate()
        self.origin.wait()
