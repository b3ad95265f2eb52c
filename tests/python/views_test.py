#!/usr/bin/env python3
"""Memory: views, arrays, closing. The oracle is the same file, and numpy.memmap of it."""
import errno
import gc
import io
import itertools
import os
import random
import threading
import unittest

import pagein
from pagein import Advice, Flag, State

import support

try:
    import numpy
except ImportError:
    numpy = None

SIZE = 5 * 1024 * 1024 + 1234
DATA = random.Random(1).randbytes(SIZE)


class Memory(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.url = cls.origin.write("data", DATA)

    def test_a_view_has_the_bytes_and_is_read_only(self):
        with pagein.open(self.url) as object:
            with object.view() as view:
                self.assertEqual((view.nbytes, view.format, view.readonly), (SIZE, "B", True))
                self.assertTrue(view == DATA)
                with self.assertRaises(TypeError):
                    view[0] = 1

    def test_slices_are_views_and_indices_bytes(self):
        with pagein.open(self.url) as object:
            for part in (slice(10, 20), slice(-5, None), slice(5000, 4000), slice(0, 100000, 4096), slice(9, 3, -2)):
                self.assertIsInstance(object[part], memoryview)
                self.assertEqual(bytes(object[part]), DATA[part])
            for index in (0, 4096, -1, -SIZE):
                self.assertEqual(object[index], DATA[index])
            for index in (SIZE, -SIZE - 1):
                with self.assertRaises(IndexError):
                    object[index]

    def test_a_slice_fetches_nothing_before_it_is_touched(self):
        with pagein.open(self.url) as object:
            self.origin.reset()
            part = object[100000:200000]
            self.assertEqual(self.origin.requests(), 0)
            self.assertEqual(part[0], DATA[100000])
            self.assertEqual(self.origin.requests(), 1)
            del part

    def test_the_buffer_protocol(self):
        with pagein.open(self.url) as object:
            if not hasattr(bytes, "__buffer__"):
                self.skipTest("before Python 3.12 a class can't be a buffer")
            with memoryview(object) as view:
                self.assertTrue(view == DATA)
                with self.assertRaises(BufferError):
                    object.close()
            with self.assertRaises(TypeError):
                io.BytesIO(b"1").readinto(object)  # it is not writable
            self.assertEqual(bytes(object.map(4096, 10)), DATA[4096:4106])

    def test_maps_of_parts(self):
        with pagein.open(self.url) as object:
            for offset, length in ((0, 1), (4096, 4096), (8192, None), (SIZE // 4096 * 4096, None)):
                end = None if length is None else offset + length
                with object.map(offset, length) as part:
                    self.assertEqual(part.pread(SIZE), DATA[offset:end])
                    self.assertEqual(len(part), len(DATA[offset:end]))
            for offset, length in ((1, 1), (SIZE + 4096, 1)):
                with self.assertRaises(pagein.Error):
                    object.map(offset, length)

    def test_closing_with_views_is_an_error_and_changes_nothing(self):
        with pagein.open(self.url) as object:
            map = object.map(4096)
            for make, at in ((map.view, 0), (lambda: map[5:9], 5), (lambda: map.view()[7:][1:], 8),
                             (lambda: map.view().cast("c").cast("B"), 0)):
                view = make()
                for closed in (map, object):
                    with self.assertRaises(BufferError):
                        closed.close()
                    self.assertFalse(closed.closed)
                self.assertEqual(view[0], DATA[4096 + at])
                del view
            map.close()
            self.assertTrue(map.closed)
            map.close()

    def test_what_is_closed_can_not_be_used(self):
        object = pagein.open(self.url)
        map, whole, file = object.map(0, 4096), object.whole, object.file()
        object.close()
        object.close()
        for closed in (map, whole):
            for use in (closed.view, lambda: closed[0], lambda: closed.pread(1), closed.populate, closed.stats,
                        closed.residency, closed.retry, lambda: closed.error(0), closed.__enter__):
                with self.assertRaises(ValueError):
                    use()
        for use in (lambda: object.map(0), lambda: object.whole, lambda: object.integrity, lambda: object[0],
                    lambda: file.read(1)):
            with self.assertRaises(ValueError):
                use()
        self.assertIn("closed", repr(object) + repr(map))

    def test_a_view_keeps_its_memory(self):
        view = pagein.open(self.url).view()[4096:]
        gc.collect()
        self.assertEqual(bytes(view[:10]), DATA[4096:4106])
        self.assertEqual(pagein.stats()["maps"], 1)
        del view
        self.assertEqual(pagein.stats()["maps"], 0)

    def test_a_view_in_a_dead_cycle_can_be_touched_by_its_finalizers(self):
        """The collector has cleared weak references then; the memory has to be there all the same."""
        seen = []

        class Reader:
            def __del__(self):
                seen.append(bytes(self.view[self.at:self.at + 4]))
                try:
                    self.map.close()
                    seen.append("closed")
                except BufferError:
                    seen.append("kept")

        # The collector takes the oldest first, which would end the maps, if it knew of them.
        maps = [pagein.open(self.url).whole for _ in range(3)]
        views = [map.view() for map in maps]
        readers = [Reader() for _ in range(3)]
        for i, reader in enumerate(readers):
            reader.at, reader.map, reader.view, reader.others = i * 8192, maps[i], views[i], readers
        del readers, reader, maps, views
        gc.collect()
        self.assertCountEqual(seen, ["kept"] * 3 + [DATA[i * 8192:i * 8192 + 4] for i in range(3)])
        self.assertEqual(pagein.stats()["maps"], 0)

    def test_closing_while_others_make_views(self):
        """Whoever wins: no error but BufferError and ValueError, and right bytes."""
        failures = []

        def read(map):
            try:
                while True:
                    if bytes(map[8190:8200]) != DATA[8190:8200]:
                        failures.append("other bytes")
            except ValueError:
                pass
            except Exception as error:
                failures.append(error)

        for _ in range(20):
            with pagein.open(self.url) as object:
                map = object.whole
                threads = [threading.Thread(target=read, args=(map,)) for _ in range(3)]
                for thread in threads:
                    thread.start()
                while not map.closed:
                    try:
                        map.close()
                    except BufferError:
                        pass
                for thread in threads:
                    thread.join()
        self.assertEqual(failures, [])

    def test_closing_during_a_call_in_another_thread(self):
        """The call ends as if nothing were, and the map goes after it."""
        object = pagein.open(self.url)
        self.origin.reset()
        self.origin.script("path=/data : delay=300ms")
        found = []
        thread = threading.Thread(target=lambda: found.append(object.pread(10, SIZE - 10)))
        thread.start()
        self.origin.wait_for_requests(1)
        object.close()
        thread.join()
        self.assertEqual(found, [DATA[-10:]])

    def test_an_overlay_is_written_in_memory_only(self):
        with pagein.open(self.url) as object, object.map(4096, flags=Flag.PRIVATE) as map:
            with map.view() as view:
                view[5000] = DATA[4096 + 5000] ^ 1
                self.assertEqual(bytes(view[4999:5002]),
                                 bytes([DATA[9095], DATA[9096] ^ 1, DATA[9097]]))
            self.assertEqual(map.dirty(), [(4096, 4096)])
            map.discard()
            self.assertEqual((map.dirty(), map[5000]), ([], DATA[9096]))

    def test_maps_of_other_memory(self):
        for flag, options in ((Flag.SHARED, {}), (Flag.HUGE, {}), (Flag.INLINE, {"cache_bytes": 16 << 20}),
                              (Flag.WAIT | Flag.PRIVATE, {})):
            with self.subTest(flag=flag), pagein.open(self.url, flags=flag, **options) as object:
                try:
                    object.whole
                except pagein.Error as error:
                    self.assertIn(error.errno, (errno.ENOTSUP, errno.EPERM))  # this kernel can't
                    continue
                self.assertEqual(object.pread(100000, 3000000), DATA[3000000:3100000])
                with object.view() as view:
                    self.assertTrue(view == DATA)
                self.assertEqual(object.whole.flags, flag)

    def test_residency_advice_pins_and_stats(self):
        with pagein.open(self.url, memory=4 << 20) as object:
            map = object.whole
            self.assertEqual(map.residency(0, 8192), bytes([State.ABSENT] * 2))
            map.populate(4096, 1)
            self.assertEqual(map.residency(0, 8192), bytes([State.ABSENT, State.RESIDENT]))
            self.assertEqual(len(map.residency()), (SIZE + 4095) // 4096)
            map.advise(Advice.DONTNEED, 4096, 4096)
            self.assertEqual(map.residency(4096, 1), bytes([State.ABSENT]))
            map.pin(0, 8192)
            self.assertEqual(map.stats()["pinned_bytes"], 8192)
            map.unpin()
            self.assertEqual(map.stats()["pinned_bytes"], 0)
            self.assertEqual(map[0], DATA[0])
            self.assertEqual(map.view()[4097], DATA[4097])
            self.assertEqual(map.thread_stats()[0]["tid"], threading.get_native_id())
            for offset, length in ((-1, 2), (0, SIZE + 1), (SIZE, 1), (0, -1)):
                for call in (map.populate, map.residency, map.retry, map.pin):
                    with self.assertRaises(ValueError):
                        call(offset, length)

    def test_options_are_checked(self):
        for options, error in (({"timeout": 1}, TypeError), ({"size": 1}, TypeError),
                               ({"attempts": -2**40}, ValueError), ({"s3": {"zone": "x"}}, TypeError),
                               ({"netrc_file": "a\0b"}, ValueError), ({"verify": 9}, pagein.Error), ({"fork": 9}, pagein.Error)):
            with self.assertRaises(error, msg=options):
                pagein.open(self.url, **options)
        with pagein.open(self.url, fork=pagein.Fork.DENY, verify=pagein.Verify.OFF, hedge_percent=-1, attempts=3,
                         memory=None, s3={"region": "x"}, flags=Flag.WAIT) as object:
            self.assertEqual(object.pread(3), DATA[:3])
            self.assertEqual(object.integrity, pagein.Integrity.UNCHECKED)

    def test_an_empty_object(self):
        with pagein.open(self.origin.write("empty", b"")) as object:
            self.assertEqual((len(object), bytes(object.view()), object.pread(10)), (0, b"", b""))
            self.assertEqual((object.file().read(), object.whole.residency(), object.whole.dirty()), (b"", b"", []))
            object.whole.populate()
            with self.assertRaises(ValueError):
                object.map()

    def test_short_objects(self):
        for size in (1, 4095, 4096, 4097):
            with pagein.open(self.origin.write(f"short-{size}", DATA[:size])) as object:
                self.assertEqual(bytes(object.view()), DATA[:size])
                self.assertEqual(object.pread(10, size - 1), DATA[size - 1:size])


@unittest.skipIf(numpy is None, "no numpy")
class Arrays(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.url = cls.origin.write("data", DATA)
        cls.path = cls.origin.path("data")

    def attempt(self, make):
        """The array, or the kind of the error."""
        try:
            return make()
        except Exception as error:
            return type(error)

    def same(self, one, other, what):
        if isinstance(other, type):
            self.assertIs(one, other, what)
            return
        self.assertNotIsInstance(one, type, what)
        of = [(array.shape, array.dtype, array.strides, array.flags.writeable, array.flags.c_contiguous, array.mode,
               array.offset, array.tobytes()) for array in (one, other)]
        self.assertEqual(of[0], of[1], what)

    def test_it_is_as_numpys(self):
        size = 20002
        pair = numpy.dtype([("a", "<i4"), ("b", "S3")])
        with pagein.open(self.origin.write("small", DATA[:size])) as object:
            for dtype, mode, offset, shape, order in itertools.product(
                    ("u1", "<f8", ">i2", pair), ("r", "c"),
                    (0, 2, 4095, 8192, size - 8, size, size + 6, size + 8192, -1),
                    (None, 0, 3, (2, 3), (size,), (-1,), ()), ("C", "F")):
                local = self.attempt(lambda: numpy.memmap(self.origin.path("small"), dtype, mode, offset, shape, order))
                remote = self.attempt(lambda: object.memmap(dtype, mode, offset, shape, order))
                self.same(remote, local, (dtype, mode, offset, shape, order))
                del remote
            for mode in ("readonly", "copyonwrite", "x"):
                local = self.attempt(lambda: numpy.memmap(self.origin.path("small"), "u1", mode))
                remote = self.attempt(lambda: object.memmap("u1", mode))
                self.same(remote, local, mode)
                del remote
            for mode in ("r+", "w+", "readwrite", "write"):
                with self.assertRaises(PermissionError):
                    object.memmap("u1", mode, shape=(1,))

    def test_an_empty_object_is_as_numpys(self):
        url = self.origin.write("empty", b"")
        with pagein.open(url) as object, self.assertRaises(ValueError):
            object.memmap()
        with self.assertRaises(ValueError):
            numpy.memmap(self.origin.path("empty"), mode="r")

    def test_arithmetic_gives_plain_arrays(self):
        local = numpy.memmap(self.path, "u1", "r")
        with pagein.open(self.url) as object:
            remote = object.memmap("u1")
            for what in (lambda a: a + 1, lambda a: a.sum(), lambda a: a.sum(keepdims=True), lambda a: a[3],
                         lambda a: a[[1, 2]], lambda a: a[1:9:2], lambda a: numpy.sort(a[:100]), lambda a: a.max(),
                         lambda a: a[a > 250], lambda a: numpy.add.reduceat(a, [0, 9999])):
                expected, found = what(local), what(remote)
                self.assertEqual(issubclass(type(found), pagein.arrays.memmap), type(expected) is numpy.memmap)
                self.assertEqual(numpy.ndim(found), numpy.ndim(expected))
                self.assertTrue(numpy.array_equal(found, expected))
                del found
            self.assertEqual((remote.filename, remote[5:].mode, (remote + 1).__class__), (self.url, "r", numpy.ndarray))
            del remote

    def test_an_array_keeps_its_memory_and_can_not_be_made_writable(self):
        for mode in "rc":
            array = pagein.open(self.url).memmap("u1", mode)[9:]
            gc.collect()
            self.assertEqual(array[-1], DATA[-1])
            if mode == "r":
                with self.assertRaises(ValueError):
                    array.flags.writeable = True
            self.assertEqual(pagein.stats()["maps"], 1)
            del array
            self.assertEqual(pagein.stats()["maps"], 0)

    def test_closing_with_arrays_is_an_error(self):
        with pagein.open(self.url) as object:
            for mode in "rc":
                array = object.memmap("<u2", mode)
                other = array[10:].reshape(-1, 1).view("u1")
                for _ in range(2):
                    with self.assertRaises(BufferError):
                        object.close()
                    array = None
                del other

    def test_a_private_array_is_written_in_memory_only(self):
        with pagein.open(self.url) as object:
            array, other = object.memmap("u1", "c", 5000, 100000), object.memmap("u1")
            array[::4096] ^= 255
            expected = numpy.frombuffer(DATA, "u1", 100000, 5000).copy()
            expected[::4096] ^= 255
            self.assertTrue(numpy.array_equal(array, expected))
            self.assertTrue(numpy.array_equal(other, numpy.frombuffer(DATA, "u1")))
            del array, other
        with open(self.path, "rb") as file:
            self.assertTrue(file.read() == DATA)

    def test_a_stride_fetches_the_pages_that_it_touches(self):
        """One float64 in 32 KiB: the library finds that out, and leaves out what lies between."""
        size = 64 << 20
        data = numpy.random.default_rng(2).random(size // 8)
        url = self.origin.write("floats", data.tobytes())
        with pagein.open(url) as object:
            before = pagein.stats()["bytes_fetched"]
            array = object.memmap("<f8")
            self.assertEqual(array[::4096].sum(), data[::4096].sum())
            self.assertLess(pagein.stats()["bytes_fetched"] - before, 1.1 * 4096 * (size // 32768))
            self.assertEqual(array.sum(), data.sum())
            del array
        os.remove(self.origin.path("floats"))


if __name__ == "__main__":
    support.main()
