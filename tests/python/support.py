"""What the tests of the Python package stand on: an origin, files that are its oracle, and gauges.

ORIGIN names the server's program, PAGEIN_LIBRARY the library, PYTHONPATH has the package's folder.
"""
import ctypes
import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

import pagein

GAUGES = ("objects", "maps", "resident_bytes", "transfers", "connections", "cached_bytes", "pinned_bytes")
PR_SET_PDEATHSIG = 1
LIMIT_S = 20  # of a wait for something that has to come


def require_maps():
    """Ends the program as a skipped test where there can be no maps."""
    caps = pagein.caps()
    if caps.error:
        print(f"skipped: {caps.message}")
        sys.exit(77)


def die_with_parent():
    """A test that ends by a signal leaves no server behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Origin:
    """pagein-origin on a folder of its own."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="pagein-python-")
        self.process = subprocess.Popen([os.environ["ORIGIN"], "--root", self.folder],
                                        stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        self.host = self.process.stdout.readline().split()[-1]

    def finish(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
        shutil.rmtree(self.folder)

    def url(self, name):
        return f"http://{self.host}/{name}"

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        """The file, and its URL."""
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.url(name)

    def script(self, text):
        self._ask("PUT", "script", text)

    def reset(self):
        self._ask("PUT", "reset")

    def requests(self):
        return int(self._ask("GET", "stats").split(b'"requests": ')[1].split(b",")[0])

    def wait_for_requests(self, count):
        wait_until(lambda: self.requests() >= count)

    def _ask(self, method, what, body=""):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(self.url(f".origin/{what}"), body.encode() or None, method=method)
        with opener.open(request) as answer:
            return answer.read()


def wait_until(is_so):
    end = time.monotonic() + LIMIT_S
    while not is_so():
        if time.monotonic() > end:
            raise AssertionError("it did not come")
        time.sleep(0.005)


class Case(unittest.TestCase):
    """A test with an origin; when it ends, nothing of it is left: all gauges are zero."""

    @classmethod
    def setUpClass(cls):
        cls.origin = Origin()

    @classmethod
    def tearDownClass(cls):
        cls.origin.finish()

    def setUp(self):
        self.origin.script("")
        self.origin.reset()
        self.addCleanup(self.check_gauges)

    def check_gauges(self):
        gc.collect()
        stats = pagein.stats()
        self.assertEqual({name: stats[name] for name in GAUGES}, dict.fromkeys(GAUGES, 0))


def run_child(code, *arguments, expect=0):
    """Runs code in another Python, and gives what it printed."""
    child = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True,
                           timeout=3 * LIMIT_S, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    if child.returncode != expect:
        raise AssertionError(f"status {child.returncode}\n{child.stdout}{child.stderr}")
    return child.stdout


def main():
    require_maps()
    unittest.main(verbosity=2)
