#!/usr/bin/env python3
"""drive.py - makes the calls of a program fail, one after the other: drive.py DOOR BUILD-FOLDER.

DOOR is library, command or mount: the scenarios below. Each is run once, and its calls are counted
(fail.h); then once for each place that calls come from, in which that call fails, in which it fails
in another way, in which the next of its class does, too, and in which all from that one on do.
Whatever fails: no signal ends the program, it ends in time, nothing is left behind, what was read
is right, and an error has words.

PAGEIN_FAULTS_RUNS=N        so many runs of each scenario, chosen by PAGEIN_TEST_SEED, or others each time
PAGEIN_FAULTS_RUNS=places   every place once; "all": every call, by its number, which takes hours
PAGEIN_FAULTS="touch"       that scenario alone; and that run alone, with what it says, the place
                            being a part of a failure's: "touch io@worker_wake+", "touch io:17+/1"
"""
import base64
import concurrent.futures
import glob
import hashlib
import http.server
import json
import os
import pathlib
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import zlib

CLASSES = ["memory", "map", "ioctl", "epoll", "fd", "io", "wait", "file", "thread", "process", "curl", "parse", "fuse"]
FRAMES = 6
PLACE = struct.Struct(f"<QII{FRAMES}Q")  # struct fail_place
STATE = struct.Struct(f"<?3xII{len(CLASSES)}I{len(CLASSES)}I48s4x{PLACE.size}s")  # struct fail_state but for its table of:
PLACES = 4096
SANITIZED = os.environ.get("SANITIZED", "none") != "none"
RUNS = os.environ.get("PAGEIN_FAULTS_RUNS", "8" if SANITIZED else "16")
LIMIT_S = 240 if SANITIZED else 120  # the longest any run may take; all have shorter deadlines
ENDED_BY_LEAKS = 23
SLOW_STACKS = " " in os.environ.get("PAGEIN_FAULTS", "")


class Wrong(Exception):
    """What a run must not do."""


class Blind(Exception):
    """LSan could not look: a sandbox without what failed to be allowed has no /proc."""


def require(condition, text):
    if not condition:
        raise Wrong(text)


# ---- servers ----------------------------------------------------------------------------------


class Bucket(http.server.BaseHTTPRequestHandler):
    """The directory as an S3 bucket, which takes any signature; and who gives credentials for it."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, status, data, **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def list(self, query):
        prefix = query.get("prefix", [""])[0]
        names = sorted(str(path.relative_to(self.server.root)) for path in self.server.root.rglob("*") if path.is_file())
        files = [name for name in names if name.startswith(prefix) and "/" not in name[len(prefix) :]]
        below = sorted({prefix + name[len(prefix) :].split("/")[0] + "/" for name in names if name.startswith(prefix)} - {name + "/" for name in files})
        text = "".join(
            f'<Contents><Key>{name}</Key><LastModified>2024-05-06T07:08:00.000Z</LastModified><ETag>"{self.tag(name)}"</ETag>'
            f"<Size>{(self.server.root / name).stat().st_size}</Size></Contents>"
            for name in files
        ) + "".join(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in below)
        self.answer(
            200,
            f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name>'
            f"<Prefix>{prefix}</Prefix><KeyCount>{len(files) + len(below)}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>"
            f"{text}</ListBucketResult>".encode(),
            Content_Type="application/xml",
        )

    def tag(self, name):
        return f"{hash((name, (self.server.root / name).stat().st_size)) & 0xFFFFFFFF:08x}"

    def serve(self):
        url = urllib.parse.urlsplit(self.path)
        key = urllib.parse.unquote(url.path).partition("/bucket")[2].lstrip("/")
        path = self.server.root / key
        if not url.path.startswith("/bucket"):
            self.give_credentials(url.path)
        elif "list-type" in url.query:
            self.list(urllib.parse.parse_qs(url.query))
        elif not key or not path.is_file():
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>", Content_Type="application/xml")
        else:
            data = path.read_bytes()
            fields = {"ETag": f'"{self.tag(key)}"', "Accept_Ranges": "bytes", "Last_Modified": "Mon, 06 May 2024 07:08:00 GMT"}
            if self.headers.get("x-amz-checksum-mode"):
                fields["x_amz_checksum_crc32"] = base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
                fields["x_amz_checksum_type"] = "FULL_OBJECT"
            span = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if span and data:
                first, last = int(span[1]), min(int(span[2]), len(data) - 1)
                self.answer(206, data[first : last + 1], Content_Range=f"bytes {first}-{last}/{len(data)}", **fields)
            else:
                self.answer(200, data, **fields)

    def give_credentials(self, path):
        """An instance, a container, STS and single sign-on: the last words of paths, and answers."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        end = "2099-01-01T00:00:00Z"
        keys = {"AccessKeyId": "key", "SecretAccessKey": "secret", "Token": "token", "Expiration": end}
        role = {"accessKeyId": "key", "secretAccessKey": "secret", "sessionToken": "token", "expiration": 4070908800000}
        answers = {
            "/latest/api/token": "token",
            "/latest/meta-data/iam/security-credentials/": "role",
            "/latest/meta-data/iam/security-credentials/role": json.dumps(keys),
            "/container": json.dumps(keys),
            "/federation/credentials": json.dumps({"roleCredentials": role}),
            "/token": json.dumps({"accessToken": "new", "expiresIn": 3600, "tokenType": "Bearer", "refreshToken": "other"}),
            "/": '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>key</AccessKeyId>'
            f"<SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken><Expiration>{end}</Expiration></Credentials>"
            "</AssumeRoleResult></AssumeRoleResponse>",
        }
        self.answer(200 if path in answers else 404, answers.get(path, "").encode())

    do_GET = do_HEAD = do_PUT = do_POST = serve


class BucketServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """Clients that fail go away in the middle."""


class Bed:
    """Files, servers on free ports that serve them, and a place for what runs leave."""

    def __init__(self, base):
        self.base = pathlib.Path(base)
        self.root = self.base / "www"
        (self.root / "sub").mkdir(parents=True)
        numbers = random.Random(1)
        for name, size in {"data": 600005, "chunked": 300005, "small": 5000, "empty": 0, "sub/other": 70000}.items():
            (self.root / name).write_bytes(numbers.randbytes(size))
            os.utime(self.root / name, (1714979280, 1714979280))
        self.origins = []
        self.http, self.late = self.serve(), self.serve()
        self.script(self.http, "path=/chunked : chunked")
        self.script(self.late, "every=16 : delay=60ms")
        self.bucket = BucketServer(("127.0.0.1", 0), Bucket)
        self.bucket.root = self.root
        threading.Thread(target=self.bucket.serve_forever, daemon=True).start()
        self.manifest = self.base / "manifest"
        self.manifest.write_text(
            "".join(
                '{"path":"%s","url":"%s/%s","size":%d}\n' % (name, self.http, name, (self.root / name).stat().st_size)
                for name in ("data", "chunked", "small", "empty", "sub/other")
            )
        )
        self.hashed = self.base / "hashed"
        self.hashed.write_text("".join(json.dumps(line) + "\n" for line in self.hashed_lines()))
        self.verified = self.base / "verified"
        self.verified.write_text("".join(json.dumps(self.by_blocks(name)) + "\n" for name in ("data", "chunked", "small", "empty", "sub/other")))
        self.credentials = self.base / "credentials"
        self.credentials.write_text('#!/bin/sh\necho \'{"Version":1,"AccessKeyId":"key","SecretAccessKey":"secret"}\'\n')
        self.credentials.chmod(0o700)
        (self.base / "config").write_text(f"[default]\nregion = eu-west-1\ncredential_process = {self.credentials}\n")
        (self.base / ".netrc").write_text("machine 127.0.0.1 login user password pass\n")
        (self.base / ".netrc").chmod(0o600)

    def by_blocks(self, name):
        data = (self.root / name).read_bytes()
        line = {"path": name, "url": f"{self.http}/{name}", "size": len(data)}
        hashes = b"".join(hashlib.sha256(data[at : at + 65536]).digest() for at in range(0, len(data), 65536))
        return {**line, "block_size": 65536, "block_hashes": "sha256:" + base64.b64encode(hashes).decode()} if data else line

    def hashed_lines(self):
        """The same bytes, by blocks, by a checksum, and by a hash of the whole."""
        data = (self.root / "data").read_bytes()
        place = {"url": f"{self.http}/data", "size": len(data)}
        yield self.by_blocks("data")
        yield {"path": "crc", **place, "digest": f"crc32:{zlib.crc32(data):08x}"}
        yield {"path": "sha", **place, "digest": "sha256:" + hashlib.sha256(data).hexdigest()}

    def sso(self, place, ends):
        """A home with a login, which is renewed if it ends soon: each run has its own, as it is written to."""
        home = place / "home"
        cache = home / ".aws/sso/cache"
        shutil.rmtree(home, ignore_errors=True)
        cache.mkdir(parents=True)
        (home / ".aws/config").write_text(
            "[default]\nregion = eu-west-1\nsso_session = corp\nsso_account_id = 1\nsso_role_name = role\n"
            "[sso-session corp]\nsso_start_url = https://x.example/start\nsso_region = eu-west-1\n"
        )
        later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + ends))
        token = {"accessToken": "token", "expiresAt": later, "clientId": "id", "clientSecret": "secret", "refreshToken": "again"}
        (cache / (hashlib.sha1(b"corp").hexdigest() + ".json")).write_text(json.dumps({**token, "registrationExpiresAt": "2099-01-01T00:00:00Z"}))
        return {"HOME": str(home), "AWS_CONFIG_FILE": str(home / ".aws/config")}

    def plain_config(self, name, text):
        path = self.base / name
        path.write_text("[default]\nregion = eu-west-1\n" + text)
        return {"AWS_CONFIG_FILE": str(path)}

    def bucket_url(self):
        return f"http://127.0.0.1:{self.bucket.server_address[1]}"

    def serve(self):
        self.origins.append(subprocess.Popen([os.environ["ORIGIN"], "--root", self.root], stdout=subprocess.PIPE, text=True))
        return "http://" + self.origins[-1].stdout.readline().split()[-1]

    def script(self, url, rules):
        subprocess.run(["curl", "-sf", "-X", "PUT", "--data-binary", rules, url + "/.origin/script"], check=True)

    def environment(self, with_leaks=True):
        leaks = f"exitcode={ENDED_BY_LEAKS}:detect_leaks={int(with_leaks)}"
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.base),
            "no_proxy": "127.0.0.1",
            "AWS_ENDPOINT_URL": self.bucket_url(),
            "AWS_CONFIG_FILE": str(self.base / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
            # Slow, and needed for whole stacks.
            "LSAN_OPTIONS": f"{leaks}:fast_unwind_on_malloc={0 if SLOW_STACKS else 1}",
            "ASAN_OPTIONS": f"{leaks}:allocator_may_return_null=1",
            "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
            "TSAN_OPTIONS": "exitcode=24",
        }

    def finish(self):
        for origin in self.origins:
            origin.terminate()
            origin.wait()
        self.bucket.shutdown()


# ---- a process whose calls fail -----------------------------------------------------------------


class State:
    """struct fail_state, shared with the program."""

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as file:
            file.truncate(STATE.size + PLACES * PLACE.size)

    def read(self):
        with open(self.path, "rb") as file:
            values = STATE.unpack(file.read(STATE.size))
        count = len(CLASSES)
        self.failures = values[1]
        self.counts = dict(zip(CLASSES, values[3 : 3 + count]))
        self.errors = dict(zip(CLASSES, values[3 + count : 3 + 2 * count]))
        self.first = values[-2].rstrip(b"\0").decode()
        self.frames = PLACE.unpack(values[-1])[3:]
        return self

    def places(self):
        """What FAIL_PLACES has noted."""
        table = self.path.read_bytes()[STATE.size :]
        return [Place(*values) for values in PLACE.iter_unpack(table) if values[0]]


class Place:
    """A call, and the functions that it comes from; known by its frames, told by their names."""

    def __init__(self, key, kind, errors, *frames):
        self.key, self.kind, self.errors = key, CLASSES[kind], errors
        self.frames = tuple(frame for frame in frames if frame)


def threads_of(pid):
    """What hangs, for who reads the failure."""
    lines = []
    for task in map(pathlib.Path, glob.glob("/proc/[0-9]*/task/*")):
        try:
            if (task / "stat").read_text().rpartition(")")[2].split()[2] != str(pid):
                continue
            lines.append(" ".join((task / name).read_text().strip() for name in ("comm", "wchan", "syscall")))
        except OSError:
            pass
    return "; ".join(lines)


def check_sanitizers(text):
    if "LeakSanitizer has encountered a fatal error" in text and "Can't open /proc/" in text:
        raise Blind
    require("Sanitizer" not in text and "runtime error:" not in text, text)


def run(run_bed, arguments, environment, limit_s=LIMIT_S):
    """Exit status, stdout, stderr; the program ends in time, and by itself."""
    process = subprocess.Popen(
        arguments, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        out, err = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        told = threads_of(process.pid)
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise Wrong(f"hangs: {told}\n{err.decode(errors='replace')}") from None
    err = err.decode(errors="replace")
    require(process.returncode >= 0, f"ended by signal {-process.returncode}\n{err}")
    check_sanitizers(err)
    require(process.returncode != ENDED_BY_LEAKS, err)
    return process.returncode, out, err


# ---- scenarios ----------------------------------------------------------------------------------


class Library:
    """A scenario of library.c with this URL."""

    program = "faults-library"

    def __init__(self, name, scenario, url, variables=None):
        self.name, self.scenario, self.url, self.variables = name, scenario, url, variables or {}
        if scenario.startswith("fork"):
            self.program = "faults-fork"

    def check(self, bed, build, environment, place, state):
        url = self.url(bed)
        file = bed.root / ("chunked" if url.endswith("chunked") else "data")
        status, out, err = run(bed, [build / self.program, self.scenario, url, file], {**environment, **self.variables})
        require(status == 0, f"{out.decode(errors='replace')}{err}")


class Command:
    """A command line, and all that it prints when nothing fails. variables(bed, place): its environment."""

    program = "faults-pagein"

    def __init__(self, name, arguments, variables=lambda bed, place: {}):
        self.name, self.arguments, self.variables = name, arguments, variables
        self.expected = None

    def check(self, bed, build, environment, place, state):
        arguments = [build / self.program, *self.arguments(bed)]
        status, out, err = run(bed, arguments, {**environment, **self.variables(bed, place), "FAIL_ALL": "1"})
        if self.expected is None:
            self.expected = out
            require(status == 0 and not err, err)
        if status == 0:
            # What jansson has no memory for is taken for no UTF-8, and can be read as well.
            same = out.replace(b'"path_encoded":', b'"path":') == self.expected
            require(same, f"exit status 0, and other bytes\n{err}")
        else:
            # What has no order or no details yet is told as far as it goes.
            known = {*self.expected.split(), b"-"}
            right = self.expected.startswith(out) if "cat" in self.name else known.issuperset(out.split())
            require(right, f"wrong bytes on stdout\n{err}{out[:2000]!r}")
            # Who reads no more has no use for words.
            unheard = state.read().first == "write 0032" or re.fullmatch(r"io\W.*\+.*", environment.get("FAIL", ""))
            require(unheard or re.search(r"^(pagein|mount\.pagein|umount)", err, re.M), f"exit status {status} without words: {err}")
            require(state.failures, f"exit status {status}, and nothing had failed: {err}")


def mounted(path):
    return any(line.split()[4] == str(path) for line in open("/proc/self/mountinfo"))


class Mount:
    """A mount from its start to its end: all files are read and mapped; in the foreground, or not."""

    program = "faults-pagein"

    def __init__(self, name, url, daemon=False, options=""):
        self.name, self.url, self.daemon, self.options = name, url, daemon, options

    def check(self, bed, build, environment, place, state):
        mount = place / "mnt"
        mount.mkdir(exist_ok=True)
        try:
            self.check_at(bed, build, environment, place, state, mount)
        finally:
            while mounted(mount) and subprocess.run(["umount", "-l", mount], check=False).returncode == 0:
                pass

    def walk(self, bed, build, environment, mount):
        status, out, err = run(bed, [build / "faults-walk", mount, bed.root], environment)
        require(status in (0, 2), f"{out.decode(errors='replace')}{err}")
        return out.decode() if status else ""

    def check_at(self, bed, build, environment, place, state, mount):
        options = "metadata-ttl=0s,negative-ttl=0s,timeout=9s,loops=2" + self.options
        arguments = [build / self.program, "mount", *([] if self.daemon else ["-f"]), self.url(bed), mount, "-o", options]
        log = place / "log"
        with open(log, "wb") as stderr:
            server = subprocess.Popen(
                arguments, env={**environment, "FAIL_ALL": "1"}, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, start_new_session=not self.daemon
            )
        daemon = None
        try:
            end = time.monotonic() + LIMIT_S
            while server.poll() is None and (self.daemon or not mounted(mount)):
                require(time.monotonic() < end, f"neither mounts nor ends: {threads_of(server.pid)}")
                time.sleep(0.005)
            if self.daemon:
                daemon = self.daemon_of(mount)
                require(server.returncode != 0 or mounted(mount) or state.read().failures, "exit status 0, and no mount")
            errors = self.walk(bed, build, environment, mount) if mounted(mount) else ""
            status = self.end(server, daemon)
        finally:
            for process in (server.pid, daemon):
                if process:
                    try:
                        os.kill(process, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
            server.wait()
        text = log.read_text(errors="replace")
        require(status >= 0, f"ended by signal {-status}\n{text}")
        check_sanitizers(text)
        # In the sandbox only the keeper can unmount: who can't ask it has words, if they can be written.
        words = "unmount: the process that mounts: " in text or re.fullmatch(r"io\W.*\+.*", environment.get("FAIL", ""))
        # A daemon's are in the system's log.
        words = words or (self.daemon and re.match(r"(send|recvmsg) 0104", state.read().first))
        require(not mounted(mount) or words, f"left a mount\n{text}")
        require(status == 0 or "pagein: " in text, f"exit status {status} without words\n{text}")
        failures = state.read().failures
        require(failures or (status == 0 and not errors), f"nothing had failed: {errors}{text}")

    def daemon_of(self, mount):
        """The process behind the mount: nobody's child any more, and the only other with this operand."""
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if str(mount) in path.read_text(errors="replace").split("\0") and "pagein" in os.readlink(path.parent / "exe"):
                    return int(path.parent.name)
            except OSError:
                pass
        return None

    def end(self, server, daemon):
        """SIGTERM ends the server, in time; its exit status."""
        if server.poll() is None:
            server.terminate()
        elif daemon:
            os.kill(daemon, signal.SIGTERM)
        end = time.monotonic() + LIMIT_S
        while server.poll() is None or (daemon and pathlib.Path(f"/proc/{daemon}/exe").exists()):
            require(time.monotonic() < end, f"does not end: {threads_of(daemon or server.pid)}")
            time.sleep(0.005)
        return server.returncode


def s3(bed):
    return "s3://bucket/data"


HTTP = lambda bed: bed.http + "/data"
ROLE = "role_arn = arn:aws:iam::1:role/r\nsource_profile = one\n[profile one]\ncredential_process = {}\n"
LIBRARY = [
    Library(name, name, HTTP)
    for name in (
        "touch ask limit limit-ask cache inline private private-limit detach huge shared move guard caps "
        "fork fork-serve fork-private private-read touch-end cache-end private-end shared-end"
    ).split()
] + [
    Library("touch-file", "touch", lambda bed: f"file://{bed.root}/data"),
    Library("touch-s3", "touch", s3),
    Library("touch-manifest", "touch", lambda bed: f"manifest:{bed.manifest}#data"),
    Library("touch-chunked", "touch", lambda bed: bed.http + "/chunked"),
    Library("limit-variable", "ask", HTTP, {"PAGEIN_MEMORY": "1M"}),
    Library("hedge", "hedge", lambda bed: bed.late + "/data"),
    Library("verify", "verify", lambda bed: f"manifest:{bed.hashed}#crc"),
    Library("verify-require", "verify-require", lambda bed: f"manifest:{bed.hashed}#crc"),
    Library("verify-blocks", "verify-blocks", lambda bed: f"manifest:{bed.hashed}#data"),
    Library("verify-s3", "verify-require", s3),
]
COMMAND = [
    Command("cat-http", lambda bed: ["cat", "--timeout", "9s", HTTP(bed)]),
    Command("cat-chunked", lambda bed: ["cat", "--timeout", "9s", bed.http + "/chunked"]),
    Command("cat-file", lambda bed: ["cat", "--timeout", "9s", f"file://{bed.root}/data"]),
    Command("cat-s3", lambda bed: ["cat", "--timeout", "9s", s3(bed)]),
    Command("cat-manifest", lambda bed: ["cat", "--timeout", "9s", f"manifest:{bed.manifest}#data"]),
    Command("cat-verify-hash", lambda bed: ["cat", "--timeout", "9s", "--verify", "require", f"manifest:{bed.hashed}#sha"]),
    Command("cat-verify-blocks", lambda bed: ["cat", "--timeout", "9s", "--verify", "blocks", f"manifest:{bed.hashed}#data"]),
    Command("cat-verify-s3", lambda bed: ["cat", "--timeout", "9s", "--verify", "require", s3(bed)]),
    Command("stat-sso", lambda bed: ["stat", s3(bed)], lambda bed, place: bed.sso(place, 7200)),
    Command("stat-sso-renewed", lambda bed: ["stat", s3(bed)], lambda bed, place: bed.sso(place, 300)),
    Command("stat-role", lambda bed: ["stat", s3(bed)], lambda bed, place: bed.plain_config("role", ROLE.format(bed.credentials))),
    Command(
        "stat-container",
        lambda bed: ["stat", s3(bed)],
        lambda bed, place: {**bed.plain_config("plain", ""), "AWS_CONTAINER_CREDENTIALS_FULL_URI": bed.bucket_url() + "/container"},
    ),
    Command(
        "stat-instance",
        lambda bed: ["stat", s3(bed)],
        lambda bed, place: {**bed.plain_config("plain", ""), "AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": bed.bucket_url() + "/"},
    ),
    Command("ls-http", lambda bed: ["ls", "-l", bed.http + "/"]),
    Command("ls-file", lambda bed: ["ls", "-l", f"file://{bed.root}/"]),
    Command("ls-s3", lambda bed: ["ls", "-l", "s3://bucket/"]),
    Command("ls-manifest", lambda bed: ["ls", "-l", f"manifest:{bed.manifest}"]),
    Command("ls-to-manifest", lambda bed: ["ls", "--manifest", "s3://bucket/"]),
    Command("stat-http", lambda bed: ["stat", HTTP(bed)]),
    Command("stat-s3", lambda bed: ["stat", s3(bed)]),
]
MOUNT = [
    Mount("mount-http", lambda bed: bed.http + "/"),
    Mount("mount-file", lambda bed: f"file://{bed.root}/"),
    Mount("mount-s3", lambda bed: "s3://bucket/"),
    Mount("mount-manifest", lambda bed: f"manifest:{bed.manifest}"),
    Mount("mount-verify", lambda bed: f"manifest:{bed.verified}", options=",verify=blocks"),
    Mount("mount-limit", lambda bed: bed.http + "/", options=",memory=1M"),
    Mount("mount-daemon", lambda bed: bed.http + "/", daemon=True),
]
if os.environ.get("SANITIZED") == "thread":
    # The parent's thread that the child's fork waits for may want a lock that the child's has.
    print("without fork-serve: ThreadSanitizer holds its locks over a fork", file=sys.stderr)
    LIBRARY = [scenario for scenario in LIBRARY if scenario.name != "fork-serve"]
DOORS = {"library": LIBRARY, "command": COMMAND, "mount": MOUNT}


# ---- which call fails ---------------------------------------------------------------------------


class Names:
    """What addr2line knows of a program: each return address is the functions that it is in."""

    def __init__(self, path):
        self.path, self.known = path, {}

    def learn(self, frames):
        addresses = sorted({frame for frame in frames if frame not in self.known})
        if not addresses or not shutil.which("addr2line"):
            return
        command = ["addr2line", "-a", "-f", "-i", "-e", self.path]
        lines = subprocess.run(command, input="".join(f"{frame - 1:x}\n" for frame in addresses), capture_output=True, text=True, check=True).stdout
        for frame, part in zip(addresses, re.split(r"^0x\w+\n", lines, flags=re.M)[1:]):
            words = part.split("\n")
            self.known[frame] = "<".join(f"{name}:{where.rpartition(':')[2].split()[0]}" for name, where in zip(words[::2], words[1::2]))

    def tell(self, frames):
        self.learn(frames)
        return "<".join(self.known.get(frame, f"{frame:x}") for frame in frames if frame)


NAMES = {}


def names_of(build, scenario):
    return NAMES.setdefault(scenario.program, Names(build / scenario.program))


def plans(state, places):
    """Calls by number or by place: that one, all from that one on, each in every way."""
    if RUNS == "all":
        targets = [(f"{kind}:{number}", state.errors[kind]) for kind in CLASSES for number in range(1, state.counts[kind] + 1)]
    else:
        targets = [(f"{place.kind}@{place.key:x}", place.errors) for place in places]
    return [f"{target}{on}{f'/{variant}' if variant else ''}" for target, errors in targets for variant in range(errors) for on in ("", "+2", "+")]


def one_run(bed, build, scenario, plan, with_leaks=True):
    """None, or what was wrong."""
    place = bed.base / f"run-{threading.get_ident()}"
    place.mkdir(exist_ok=True)
    state = State(place / "state")
    environment = {**bed.environment(with_leaks), "FAIL_STATE": str(state.path)}
    environment.update({"FAIL": plan} if plan else {"FAIL_PLACES": "1"})
    try:
        scenario.check(bed, build, environment, place, state)
        return state.read(), None
    except Blind:
        return one_run(bed, build, scenario, plan, False)
    except Wrong as wrong:
        return state.read(), str(wrong)


def run_plan(bed, build, scenario, plan):
    """What goes wrong before its call has come is the machine's doing, and gets another chance."""
    state, wrong = one_run(bed, build, scenario, plan)
    return one_run(bed, build, scenario, plan) if wrong is not None and not state.failures else (state, wrong)


def dry_run(bed, build, scenario):
    """What nothing failing shows: state, what was wrong, and all places, in an order."""
    state, wrong = one_run(bed, build, scenario, None)
    return state, wrong, sorted(state.places(), key=lambda place: (place.kind, place.frames))


def told(build, scenario, plan, state, wrong):
    """A number is another call elsewhere, a place is not."""
    where = re.match(r"\w+", plan)[0] + "@" + names_of(build, scenario).tell(state.frames) + re.search(r"(\+\d*)?(/\d+)?$", plan)[0] if state.failures else plan
    return f"{'right' if wrong is None else 'FAILED'}: PAGEIN_FAULTS='{scenario.name} {where}' ({plan}; {state.failures} failed; first: {state.first})\n{(wrong or '').rstrip()}"


def begin(bed, build, scenario, pool, seed):
    """What nothing failing shows, and the runs that follow from that."""
    state, wrong, places = dry_run(bed, build, scenario)
    chosen = plans(state, places) if wrong is None else []
    possible = len(chosen)
    if RUNS not in ("all", "places") and possible > int(RUNS):
        chosen = random.Random(f"{seed} {scenario.name}").sample(chosen, int(RUNS))
    runs = [(plan, pool.submit(run_plan, bed, build, scenario, plan)) for plan in chosen]
    return scenario, state, len(places), wrong, possible, runs


def finish(build, scenario, state, places, wrong, possible, runs):
    """Calls counted, places, runs, those that met their call, and those that were wrong."""
    if wrong is not None:
        print(f"FAILED: PAGEIN_FAULTS='{scenario.name}', with nothing failing\n{wrong}")
        return 0, 0, 1, 1, 1
    failed = met = 0
    for plan, future in runs:
        result, wrong = future.result()
        met += result.failures > 0
        if wrong is not None:
            failed += 1
            print(told(build, scenario, plan, result, wrong), flush=True)
    calls = " ".join(f"{kind} {count}" for kind, count in state.counts.items() if count)
    print(f"{scenario.name}: {len(runs)} of {possible} runs, {met} met their call, {failed} wrong; {places} places; calls: {calls}", flush=True)
    return sum(state.counts.values()), places, len(runs), met, failed


def plans_named(bed, build, scenario, text):
    """A plan as told() writes it, with a part of the place's name, or a number."""
    kind, sign, rest = re.match(r"(\w+)([:@])(.*)$", text).groups()
    name, suffix = re.match(r"(.*?)((?:\+\d*)?(?:/\d+)?)$", rest).groups()
    _, _, places = dry_run(bed, build, scenario)  # also tells what is right
    if sign == ":":
        return [text]
    names = names_of(build, scenario)
    names.learn(frame for place in places for frame in place.frames)
    return [f"{kind}@{place.key:x}{suffix}" for place in places if place.kind == kind and name in names.tell(place.frames)]


def run_named(bed, build, scenario, text):
    plans_found, failed = plans_named(bed, build, scenario, text), 0
    for plan in plans_found:
        state, wrong = one_run(bed, build, scenario, plan)
        failed += wrong is not None
        print(told(build, scenario, plan, state, wrong))
    if not plans_found:
        print(f"{scenario.name}: {text}: no call comes from there")
    return failed > 0 or not plans_found


def main():
    door, build = sys.argv[1], pathlib.Path(sys.argv[2])
    seed = os.environ.get("PAGEIN_TEST_SEED") or str(random.randrange(1 << 32))
    wanted, _, plan = os.environ.get("PAGEIN_FAULTS", "").partition(" ")
    scenarios = [scenario for scenario in DOORS[door] if wanted in ("", scenario.name)]
    if door == "mount" and not os.access("/dev/fuse", os.W_OK):
        print("skipped: /dev/fuse is missing or not writable", file=sys.stderr)
        return 77
    print(f"PAGEIN_TEST_SEED={seed} PAGEIN_FAULTS_RUNS={RUNS}", flush=True)
    with tempfile.TemporaryDirectory(prefix="pagein-faults-") as base:
        bed = Bed(base)
        try:
            if plan:
                return run_named(bed, build, scenarios[0], plan)
            with concurrent.futures.ThreadPoolExecutor(4 * (os.cpu_count() or 1)) as pool:
                begun = [begin(bed, build, scenario, pool, seed) for scenario in scenarios]
                results = [finish(build, *parts) for parts in begun]
        finally:
            bed.finish()
    calls, places, runs, met, failed = (sum(column) for column in zip(*results))
    print(f"{door}: {len(results)} scenarios, {calls} calls, {places} places, {runs} runs, {met} met their call, {failed} wrong")
    return failed > 0


sys.exit(main())
