#!/usr/bin/env python3
"""Servers that fail: an exception from every call, a signal only from a touch, and an end to every wait."""
import errno
import os
import pickle
import signal
import threading

import pagein
from pagein import Flag, State

import support

SIZE = 8 << 20
PLACE = 5 << 20  # far from what opening has brought


class Failure(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data = os.urandom(SIZE)
        cls.url = cls.origin.write("data", cls.data)

    def open(self, **options):
        return pagein.open(self.url, **{"attempts": 2, "timeout_ms": 5000, **options})

    def ways(self, object):
        """Each call that reads a page which is not there."""
        file, raw = object.file(), object.file(0)
        map = object.whole

        def read(one):
            one.seek(PLACE)
            return one.read(10)
        return {"populate": lambda: map.populate(PLACE, 10), "pread": lambda: object.pread(10, PLACE),
                "readinto": lambda: object.readinto(bytearray(10), PLACE), "index": lambda: object[PLACE],
                "file": lambda: read(file), "raw": lambda: read(raw), "rest": lambda: raw.seek(PLACE) and raw.readall(),
                "buffered rest": lambda: file.seek(PLACE) and file.read()}

    def test_each_failure_is_an_exception_from_each_call(self):
        for rule, number, status in (("status=403", errno.EACCES, 403), ("status=404", errno.ESTALE, 404),
                                     ("status=500", errno.EIO, 500), ("reset", errno.ECONNRESET, 0),
                                     ("etag=\"\\\"other\\\"\"", errno.ESTALE, 0),
                                     ("content-range=\"bytes 0-9/8388608\"", errno.EPROTO, 0)):
            with self.open() as object:
                for way, call in self.ways(object).items():
                    self.origin.script(f"path=/data : {rule}")
                    with self.subTest(rule=rule, way=way), self.assertRaises(pagein.FetchError) as caught:
                        call()
                    error = caught.exception
                    self.assertEqual((error.errno, error.url), (number, self.url), error)
                    self.assertLessEqual(abs(error.offset - PLACE), 4096, error)
                    self.assertIn("/data: ", error.reason)
                    # What has changed stays so; else all is well again once the server is.
                    self.origin.script("")
                    if number != errno.ESTALE:
                        self.assertEqual(object.pread(10, PLACE), self.data[PLACE:PLACE + 10])
                        object.whole.advise(pagein.Advice.DONTNEED)

    def test_what_a_failed_page_tells(self):
        with self.open() as object:
            map = object.whole
            self.assertIsNone(map.error(PLACE))
            self.origin.script("path=/data : status=403")
            # A guarded touch, by the kernel.
            self.assertEqual(pagein._copy.copy(map._address + PLACE, memoryview(bytearray(10))), 0)
            error = map.error(PLACE + 5)
            self.assertEqual((error.errno, error.status, error.offset), (errno.EACCES, 403, PLACE))
            self.assertEqual(map.residency(PLACE, 1), bytes([State.FAILED]))
            with self.assertRaises(pagein.FetchError) as caught:
                map.populate(PLACE - 4096, 8192)
            self.assertEqual((caught.exception.status, caught.exception.offset // 4096 in
                              (PLACE // 4096, PLACE // 4096 - 1)), (403, True))
            again = pickle.loads(pickle.dumps(caught.exception))
            self.assertEqual((type(again), again.offset, again.status, str(again)),
                             (pagein.FetchError, caught.exception.offset, 403, str(caught.exception)))
            self.origin.script("")
            map.retry(PLACE, 1)
            self.assertIsNone(map.error(PLACE))
            self.assertEqual(map.view()[PLACE], self.data[PLACE])

    def test_a_failing_server_never_signals_a_reader(self):
        """Pages fail and heal, are dropped and evicted, while threads read: errors, right bytes, no SIGBUS."""
        wrong, outcomes, stop = [], set(), threading.Event()

        def read(object, seed):
            offset = seed * 4096 * 37
            while not stop.is_set():
                offset = (offset + 4096 * 101) % (SIZE - 70000)
                try:
                    if object.pread(70000, offset) != self.data[offset:offset + 70000]:
                        wrong.append(offset)
                    outcomes.add("read")
                except pagein.FetchError as error:
                    outcomes.add(error.errno)

        with self.open(memory=1 << 20) as object:
            threads = [threading.Thread(target=read, args=(object, seed)) for seed in range(4)]
            for thread in threads:
                thread.start()
            for _ in range(30):
                for rule in ("path=/data every=2 : status=403", "path=/data : status=403", ""):
                    self.origin.script(rule)
                    object.whole.advise(pagein.Advice.DONTNEED)
            support.wait_until(lambda: outcomes >= {"read", errno.EACCES})
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual((wrong, outcomes - {"read", errno.EACCES}), ([], set()))

    def test_a_touch_of_a_failed_page_is_a_signal(self):
        """What the manual says, and why the others are there."""
        code = "import sys, pagein\nobject = pagein.open(sys.argv[1], attempts=1)\nview = object.view()\n" \
               "print(view[0], flush=True)\nprint(sys.stdin.readline(), view[int(sys.argv[2])])"
        self.origin.script("path=/data from=2 : status=403")
        number = signal.SIGBUS if pagein.caps().caps & pagein.Cap.SIGBUS else signal.SIGSEGV
        support.run_child(code, self.url, str(PLACE), expect=-number)

    def test_a_changed_object_is_stale(self):
        url = self.origin.write("changes", self.data)
        with pagein.open(url) as object:
            self.assertEqual(object.pread(10), self.data[:10])
            self.origin.write("changes", self.data[::-1])
            with self.assertRaises(pagein.FetchError) as caught:
                object.pread(10, PLACE)
            self.assertEqual(caught.exception.errno, errno.ESTALE)
            self.assertEqual(object.pread(10), self.data[:10])
        with pagein.open(url) as object:
            self.assertEqual(object.pread(10), self.data[:-11:-1])

    def test_what_opening_raises(self):
        for rule, kind, number in (("status=404", FileNotFoundError, errno.ENOENT),
                                   ("status=403", PermissionError, errno.EACCES),
                                   ("ignore-range", pagein.Error, errno.ENOTSUP)):
            self.origin.script(f"path=/data : {rule}")
            with self.subTest(rule=rule), self.assertRaises(kind) as caught:
                self.open()
            self.assertIsInstance(caught.exception, pagein.Error)
            self.assertEqual((caught.exception.errno, caught.exception.url), (number, self.url))
        with self.assertRaises(ConnectionRefusedError):
            pagein.open("http://127.0.0.1:1/", attempts=1)
        with self.assertRaises(pagein.Error):
            pagein.open("gopher://host/")

    def test_a_server_that_does_not_answer(self):
        with self.open(timeout_ms=200, attempts=1) as object:
            self.origin.script("path=/data : stall=0")
            with self.assertRaises(pagein.FetchError) as caught:
                object.pread(10, PLACE)
            self.assertEqual(caught.exception.errno, errno.ETIMEDOUT)

    def test_populate_has_an_end(self):
        with self.open() as object:
            self.origin.script("path=/data : stall=0")
            for timeout_ms in (0, 1, 250):
                with self.assertRaises(TimeoutError) as caught:
                    object.whole.populate(PLACE, 10, timeout_ms)
                self.assertIsInstance(caught.exception, pagein.TimedOutError)
            self.origin.script("")

    def test_ctrl_c_ends_a_wait(self):
        """populate(), and reads of files; the object can be used afterwards."""
        with self.open() as object:
            ways = list(self.ways(object))
        for way in ways:
            with self.open(timeout_ms=60000) as object:
                call = self.ways(object)[way]
                self.origin.reset()
                self.origin.script("path=/data : stall=0")
                thread = threading.Thread(target=self.interrupt)
                thread.start()
                with self.subTest(way=way), self.assertRaises(KeyboardInterrupt):
                    call()
                thread.join()
                self.origin.script("")
                self.assertEqual(object.pread(10, 1 << 20), self.data[1 << 20:(1 << 20) + 10])

    def test_ctrl_c_ends_opening(self):
        self.origin.script("path=/data : delay=60s")
        thread = threading.Thread(target=self.interrupt)
        thread.start()
        with self.assertRaises(KeyboardInterrupt):
            self.open(timeout_ms=2000, attempts=1)
        thread.join()
        self.origin.script("")
        # What was on its way ends by itself.
        support.wait_until(lambda: pagein.stats()["connections"] == 0 and "pagein-open" not in
                           [thread.name for thread in threading.enumerate()])

    def interrupt(self):
        self.origin.wait_for_requests(1)
        os.kill(os.getpid(), signal.SIGINT)

    def test_a_handler_runs_while_a_read_waits(self):
        ran = []
        before = signal.signal(signal.SIGALRM, lambda *arguments: (ran.append(1), self.origin.script("")))
        try:
            with self.open(timeout_ms=1000, attempts=100) as object:
                self.origin.script("path=/data : status=503")
                signal.setitimer(signal.ITIMER_REAL, 0.2)
                self.assertEqual(object.pread(10, PLACE), self.data[PLACE:PLACE + 10])
        finally:
            signal.signal(signal.SIGALRM, before)
        self.assertEqual(ran, [1])

    def test_waiting_for_the_network(self):
        """Flag.WAIT: what fails in a way that may pass is waited for, by touches too."""
        with self.open(flags=Flag.WAIT, attempts=1) as object:
            self.origin.script("path=/data : status=503")
            with self.assertRaises(TimeoutError):
                object.whole.populate(PLACE, 10, 300)
            view, found = object.view(), []
            thread = threading.Thread(target=lambda: found.append(object.pread(10, PLACE)))
            thread.start()
            self.origin.script("")
            thread.join()
            self.assertEqual((found, bytes(view[PLACE:PLACE + 10])), ([self.data[PLACE:PLACE + 10]], found[0]))
            del view


if __name__ == "__main__":
    support.main()
