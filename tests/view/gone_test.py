#!/usr/bin/env python3
"""gone_test.py [PLACE...]: `pagein view` ends when its terminal does.

Its terminal is a pseudoterminal, the other end of which is closed, wherever a key is waited for:
with the signal of that, and with SIGHUP ignored, as nohup(1) has it. And a terminal that gives no
keys any more, only EIO. PAGEIN and ORIGIN name the programs; LIMIT_S is when it counts as hung.
"""
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import urllib.request

PAGEIN, ORIGIN = os.environ["PAGEIN"], os.environ["ORIGIN"]
LIMIT_S = float(os.environ.get("LIMIT_S", 60))
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[()][0-9A-B]|\x1b[=>]|[\x0e\x0f]")
SMALL, LARGE, LIST = "/small", "/generated/64M", "/"
# Where a key is waited for: what is viewed, what is typed, and what is drawn then, of which ncurses
# leaves out what was there before.
PLACES = {
    "list": (LIST, [(b"", b"Enter: open")]),
    "keys-of-list": (LIST, [(b"", b"Enter: open"), (b"h", b"any")]),
    "opening": (LIST, [(b"", b"Enter: open"), (b"G\r", b"opening http")]),
    "pager": (SMALL, [(b"", b"one")]),
    "pager-of-list": (LIST, [(b"", b"Enter: open"), (b"\r", b"one")]),
    "keys": (SMALL, [(b"", b"one"), (b"h", b"any")]),
    "go-to": (SMALL, [(b"", b"one"), (b":12", b"go to")]),
    "search": (SMALL, [(b"", b"one"), (b"/ab", b"text:")]),
    "mark": (SMALL, [(b"", b"one"), (b"m", b"set mark")]),
    # What changes tells so again and again.
    "waiting": (LARGE, [(b"", b"64M"), (b":2M\r", b"200000]")]),
    "searching": (LARGE, [(b"", b"64M"), (b"/not there\r", b"searching at")]),
}


class View:
    def __init__(self, path, ignored=False, orphan=False):
        self.seen = b""
        self.alive, end = os.pipe()
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.set_inheritable(end, True)
            if ignored:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
            if orphan:
                self.leave(end)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
            os.environ.update(TERM="xterm", LC_ALL="C.UTF-8", no_proxy="127.0.0.1")
            os.execv(PAGEIN, [PAGEIN, "view", URL + path])
        os.close(end)

    @staticmethod
    def leave(end):
        """The leader stays, and keeps the terminal; the child of nobody is in the background."""
        leader = os.getpid()
        if os.fork():
            os.close(end)
            signal.pause()
        if os.fork():
            os._exit(0)
        while os.getppid() == leader:
            time.sleep(0.01)
        os.setpgid(0, 0)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)

    def type(self, keys, shown):
        self.seen = b""
        end = time.monotonic() + LIMIT_S
        os.write(self.terminal, keys)
        while shown not in ESCAPES.sub(b"", self.seen):
            assert time.monotonic() < end, f"{shown} is not shown: {self.seen}"
            if select.select([self.terminal], [], [], 1)[0]:
                self.seen += os.read(self.terminal, 1 << 16)

    def has_ended(self):
        return bool(select.select([self.alive], [], [], LIMIT_S)[0])

    def finish(self):
        """How it ended; and it does."""
        ended = self.has_ended()
        if not ended:
            for task in sorted(os.listdir(f"/proc/{self.pid}/task")):
                name, place = (open(f"/proc/{self.pid}/task/{task}/{what}", encoding="ascii").read().strip() for what in ("comm", "wchan"))
                print(f"  {task} {name}: {place}")
            os.kill(self.pid, signal.SIGKILL)
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.alive)
        assert ended, f"it did not end within {LIMIT_S} s"
        return os.waitstatus_to_exitcode(status)


def hang_up(place, ignored):
    path, steps = PLACES[place]
    view = View(path, ignored)
    for keys, shown in steps:
        view.type(keys, shown)
    os.close(view.terminal)
    got = view.finish()
    # The hangup may be seen before its signal.
    assert got == 1 or (got == -signal.SIGHUP and not ignored), f"status {got}"


def no_keys():
    """Reading gives EIO, and there is always something to read."""
    view = View(SMALL, orphan=True)
    view.type(b"", b"one")
    os.write(view.terminal, b"jjjj\n")
    try:
        assert view.has_ended(), f"it did not end within {LIMIT_S} s"
    finally:
        os.kill(view.pid, signal.SIGKILL)
        os.waitpid(view.pid, 0)
        os.close(view.terminal)
        os.close(view.alive)


def main():
    failed = 0
    runs = [(f"{place}{', SIGHUP ignored' if ignored else ''}", place, lambda p=place, i=ignored: hang_up(p, i)) for place in PLACES for ignored in (False, True)]
    for name, place, run in runs + [("no keys", "no-keys", no_keys)]:
        if sys.argv[1:] and place not in sys.argv[1:]:
            continue
        try:
            run()
            print(f"ok   {name}", flush=True)
        except (AssertionError, OSError) as error:
            failed += 1
            print(f"FAIL {name}: {error}", flush=True)
    return failed > 0


if "FAIL  libpagein:" in subprocess.run([PAGEIN, "doctor"], capture_output=True, text=True, check=False).stdout:
    print("skipped: no userfaultfd for this user", file=sys.stderr)
    sys.exit(77)
www = tempfile.mkdtemp(prefix="pagein-gone-")
for name, words in (("small", "one\n"), ("zzz", "never\n")):
    with open(os.path.join(www, name), "w", encoding="ascii") as file:
        file.write(words)
origin = subprocess.Popen([ORIGIN, "--root", www], stdout=subprocess.PIPE, text=True)
try:
    URL = "http://" + origin.stdout.readline().split()[-1]
    rules = b"path=/zzz : delay=1h\npath=/generated/* range=1M-: delay=1h\n"
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        urllib.request.Request(URL + "/.origin/script", data=rules, method="PUT"), timeout=30
    ).close()
    sys.exit(main())
finally:
    origin.terminate()
    origin.wait()
    shutil.rmtree(www, ignore_errors=True)
