#!/usr/bin/env python3
"""Threads and the GIL, fork, multiprocessing, pickle."""
import errno
import multiprocessing
import os
import pickle
import sys
import threading
import time

import pagein
from pagein import Flag, Fork

import support

SIZE = 8 << 20
PLACE = 5 << 20


def look(object, offset):
    """What a worker does: by call, by touch, and its own gauges."""
    view = object.view()
    return object.pread(10, offset), bytes(view[offset + 100000:offset + 100010]), pagein.stats()["objects"]


def look_at_map(map):
    return map.pread(10), map.offset, len(map), map.flags


class Process(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data = os.urandom(SIZE)
        cls.url = cls.origin.write("data", cls.data)

    def expected(self, offset):
        return self.data[offset:offset + 10], self.data[offset + 100000:offset + 100010]

    def test_the_gil_is_not_needed_to_fill_a_page(self):
        """A touch that waits with the GIL: no other thread runs meanwhile, and it ends all the same."""
        ticks, stop = [0], threading.Event()

        def tick():
            while not stop.is_set():
                ticks[0] += 1
                time.sleep(0.001)

        threads = [threading.Thread(target=tick) for _ in range(4)]
        interval = sys.getswitchinterval()
        with pagein.open(self.url) as object:
            view = object.view()
            self.origin.script("path=/data : delay=300ms")
            for thread in threads:
                thread.start()
            try:
                support.wait_until(lambda: ticks[0] > 10)
                sys.setswitchinterval(3600)  # Nobody is asked to give it up.
                before = ticks[0]
                byte = view[PLACE]
                after = ticks[0]
            finally:
                sys.setswitchinterval(interval)
                stop.set()
                for thread in threads:
                    thread.join()
            del view
        self.assertEqual((byte, after - before), (self.data[PLACE], 0))

    def test_calls_give_up_the_gil(self):
        """The thread that lets the server answer runs while a read waits."""
        with pagein.open(self.url, timeout_ms=60000) as object:
            self.origin.reset()
            self.origin.script("path=/data : status=503")

            def heal():
                self.origin.wait_for_requests(1)
                self.origin.script("")
            thread = threading.Thread(target=heal)
            thread.start()
            self.assertEqual(object.pread(10, PLACE), self.data[PLACE:PLACE + 10])
            thread.join()

    def fork(self, function):
        """What function gave in a child of fork(2)."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(writer, pickle.dumps(function()))
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            answer = pipe.read()
        os.waitpid(child, 0)
        return pickle.loads(answer)

    def test_a_forked_child_has_the_maps(self):
        for policy in (Fork.REARM, Fork.SERVE):
            with pagein.open(self.url, fork=policy) as object:
                view = object.view()
                self.assertEqual(view[PLACE], self.data[PLACE])
                parts = [slice(PLACE, PLACE + 10), slice(PLACE + 1000000, PLACE + 1000010)]
                self.assertEqual(self.fork(lambda: [bytes(view[part]) for part in parts]),
                                 [self.data[part] for part in parts])
                self.assertEqual(bytes(view[7000000:7000010]), self.data[7000000:7000010])
                del view

    def test_a_forked_child_reads_closes_and_opens(self):
        def child():
            found = object.pread(10, PLACE), file.read(10)
            object.close()
            closed = pagein.stats()["objects"], pagein.stats()["maps"]
            with pagein.open(self.url) as other:
                return found, closed, other.pread(10, PLACE)

        with pagein.open(self.url) as object, object.file() as file:
            expected = self.data[PLACE:PLACE + 10]
            self.assertEqual(self.fork(child), ((expected, self.data[:10]), (0, 0), expected))
            self.assertEqual(object.pread(10, PLACE), expected)

    def test_a_child_without_maps_says_so(self):
        def child():
            try:
                object.pread(10, PLACE)
            except pagein.Error as error:
                return error.errno

        with pagein.open(self.url, fork=Fork.DENY) as object:
            object.whole.populate(0, 1)
            self.assertEqual(self.fork(child), errno.ECHILD)

    def test_fork_while_other_threads_read_and_close(self):
        """No lock of ours can be left taken in the child."""
        stop = threading.Event()

        def churn():
            while not stop.is_set():
                with pagein.open(self.url) as other:
                    other.pread(10, PLACE)

        with pagein.open(self.url) as object:
            threads = [threading.Thread(target=churn) for _ in range(3)]
            for thread in threads:
                thread.start()
            try:
                for i in range(10):
                    offset = i * 300000
                    self.assertEqual(self.fork(lambda: object.pread(10, offset)), self.data[offset:offset + 10])
            finally:
                stop.set()
                for thread in threads:
                    thread.join()

    def test_multiprocessing(self):
        for method in ("fork", "spawn", "forkserver"):
            with self.subTest(method=method), pagein.open(self.url) as object, \
                    multiprocessing.get_context(method).Pool(2) as pool:
                offsets = range(0, SIZE - 200000, 1000000)
                found = pool.starmap(look, [(object, offset) for offset in offsets])
                for offset, (call, touch, objects) in zip(offsets, found):
                    self.assertEqual((call, touch), self.expected(offset))
                    self.assertGreaterEqual(objects, 1)
                with object.map(8192, 5000, Flag.PRIVATE) as map:
                    self.assertEqual(pool.apply(look_at_map, (map,)), (self.data[8192:8202], 8192, 5000, Flag.PRIVATE))

    def test_a_pickle_is_of_a_version(self):
        url = self.origin.write("changes", b"first")
        with pagein.open(url, attempts=3, s3={"region": "x"}) as object:
            packed = pickle.dumps(object)
            with pickle.loads(packed) as again:
                self.assertEqual((again.version, again.url, again.pread(9)), (object.version, url, b"first"))
        self.origin.write("changes", b"second")
        with self.assertRaises(pagein.Error) as caught:
            pickle.loads(packed)
        self.assertEqual(caught.exception.errno, errno.ESTALE)

    def test_what_has_no_version_or_is_a_view_has_no_pickle(self):
        self.origin.script("path=/data : drop-header=ETag drop-header=Last-Modified")
        with pagein.open(self.url) as object:
            self.assertEqual(object.version, "")
            with object.view() as view:
                for what in (object, object.whole, object.file(), view):
                    with self.assertRaises(TypeError):
                        pickle.dumps(what)

    def test_exit_with_everything_open(self):
        """Views, arrays, files and threads in a fault: the process ends, by no signal and without a word."""
        code = "import sys, threading, pagein\nobject = pagein.open(sys.argv[1])\nview = object.view()\n" \
               "file = object.file()\nfile.read(10)\nsum(view[:100000:4096])\n" \
               "class Late:\n    def __del__(self): sys.stdout.write(str(self.view[-1]))\n" \
               "late = Late()\nlate.view = view\nlate.me = late\n"
        self.assertEqual(support.run_child(code, self.url), str(self.data[-1]))

    def test_a_library_that_is_not_there(self):
        code = "import os\nos.environ['PAGEIN_LIBRARY'] = '/nowhere'\n" \
               "try:\n    import pagein\nexcept ImportError as error:\n    print('PAGEIN_LIBRARY' in str(error))"
        self.assertEqual(support.run_child(code), "True\n")


if __name__ == "__main__":
    support.main()
