#!/usr/bin/env python3
"""What takes over a second says how far it is, on a terminal, and wipes that out; else nothing.

A server holds its last answer back until the line has been seen on a pseudo-terminal, so nothing here
depends on time: a limit turns a line that never comes into a failure. PAGEIN names the program.
"""

import http.server
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import threading
import time

PAGEIN = os.environ["PAGEIN"]
LIMIT_S = 30
MIB = 1 << 20
SIZE = 20 * MIB
NAMES = ["a", "b", "c", "d", "e"]
ENTRIES = "".join(f'<a href="{name}">{name}</a>   01-Jan-2024 10:00   -\n' for name in NAMES)
PAGE = f"<html><body><h1>Index of /d/</h1><pre>{ENTRIES}</pre></body></html>".encode()

go_on = threading.Event()
held = threading.Event()


def hold():
    held.set()
    go_on.wait(LIMIT_S)


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, status, head, body=b""):
        self.send_response(status)
        for name, value in head.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self):
        if self.path == "/d/e":
            hold()
        self.answer(200, {"Content-Length": "7", "ETag": '"1"', "Accept-Ranges": "bytes"})

    def do_GET(self):
        if self.path in ("/d/", "/slow/"):
            if self.path == "/slow/":
                hold()
            self.answer(200, {"Content-Type": "text/html", "Content-Length": str(len(PAGE))}, PAGE)
            return
        if self.path != "/o":
            self.answer(404, {"Content-Length": "0"})
            return
        first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups())
        last = min(last, SIZE - 1)
        if last == SIZE - 1 and first > 0:
            hold()
        self.answer(206, {"Content-Length": str(last - first + 1), "ETag": '"1"',
                          "Content-Range": f"bytes {first}-{last}/{SIZE}"}, bytes(last - first + 1))


class Threads(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a connection that was closed


server = Threads(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
os.environ["no_proxy"] = "127.0.0.1"


def on_terminal(line, *arguments, status=0):
    """Runs it with its stderr on a terminal, and lets the server go on when `line` is there."""
    go_on.clear()
    held.clear()
    ours, theirs = pty.openpty()
    process = subprocess.Popen([PAGEIN, *arguments], stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    text = ""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        if not select.select([ours], [], [], 1)[0]:
            continue
        try:
            more = os.read(ours, 65536).decode()
        except OSError:  # EIO: the other end is closed
            break
        if not more:
            break
        text += more
        if re.search(line, text):
            go_on.set()
    go_on.set()
    os.close(ours)
    assert process.wait(LIMIT_S) == status, (arguments, process.returncode, text)
    assert re.search(line, text), (arguments, line, text)
    assert text.endswith("\r\033[K"), (arguments, "the line stays", text)


def in_a_pipe(*arguments):
    """The same, but stderr is none: nothing comes, for as long as a line would take."""
    go_on.clear()
    held.clear()
    process = subprocess.Popen([PAGEIN, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert held.wait(LIMIT_S), arguments
    time.sleep(1.5)
    go_on.set()
    said = process.communicate(timeout=LIMIT_S)[1]
    assert process.returncode == 0 and said == b"", (arguments, said)


on_terminal(r"\r\033\[Kcat: waiting for \d+ s", "cat", url + "/o", "--range", f"{SIZE - 10}-{SIZE - 1}")
on_terminal(r"\r\033\[Kcat: 1\d of 20 MiB, [0-9.]+ a second, \d+ s left", "cat", url + "/o")
on_terminal(r"\r\033\[Kls: waiting for [1-9]\d* s", "ls", url + "/slow/")
on_terminal(r"\r\033\[Kls: 4 of 5 objects, [0-9.]+ a second, \d+ s left", "ls", "-l", url + "/d/")
on_terminal(r"\r\033\[Kls: 5 entries, [0-9.]+ a second", "ls", "--manifest", url + "/d/")
for arguments in (("cat", url + "/o"), ("ls", "-l", url + "/d/"), ("ls", "--manifest", url + "/d/")):
    in_a_pipe(*arguments)

if os.access("/dev/fuse", os.R_OK | os.W_OK) and os.geteuid() == 0:
    with tempfile.TemporaryDirectory() as directory:
        try:
            on_terminal(r"\r\033\[Kmount: waiting for [1-9]\d* s", "mount", url + "/slow/", directory)
        finally:
            subprocess.run([PAGEIN, "umount", directory], check=False)
else:
    print("without a mount: that wants /dev/fuse and root", file=sys.stderr)
