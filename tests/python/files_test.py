#!/usr/bin/env python3
"""Files: what reads files reads objects. The oracle is the local file, read by the same program."""
import io
import random
import sqlite3
import tarfile
import threading
import unittest
import zipfile

import pagein

import support

try:
    import numpy
except ImportError:
    numpy = None
try:
    import h5py
except ImportError:
    h5py = None
try:
    import pandas
except ImportError:
    pandas = None
try:
    import fsspec
except ImportError:
    fsspec = None

SIZE = 3 * 1024 * 1024 + 77
DATA = random.Random(3).randbytes(SIZE)


class Files(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.url = cls.origin.write("data", DATA)

    def test_a_file_does_what_a_local_one_does(self):
        """Random calls of each kind, with and without a buffer."""
        dice = random.Random(4)
        for buffer_bytes in (0, 16, 8192, 1 << 20):
            with pagein.open(self.url) as object, object.file(buffer_bytes) as remote, \
                    open(self.origin.path("data"), "rb", buffer_bytes) as local:
                calls = [lambda file, n: file.read(n), lambda file, n: file.tell(),
                         lambda file, n: file.seek(n), lambda file, n: file.seek(-n, io.SEEK_END),
                         lambda file, n: file.seek(min(n, 5), io.SEEK_CUR), lambda file, n: file.readline(n),
                         lambda file, n: self.fill(file, n)]
                for _ in range(150):
                    call, n = dice.choice(calls), dice.choice((0, 1, 100, 4096, 5000, 300000, SIZE))
                    self.assertEqual(call(remote, n), call(local, n))
                remote.seek(1000)
                local.seek(1000)
                self.assertEqual(remote.read(), local.read())
                self.assertEqual((remote.read(), remote.read(5)), (b"", b""))

    def fill(self, file, length):
        buffer = bytearray(length)
        return file.readinto(buffer), bytes(buffer)

    def test_what_a_file_is_and_is_not(self):
        with pagein.open(self.url) as object:
            file = object.file()
            self.assertTrue(file.readable() and file.seekable() and not file.writable())
            self.assertEqual(file.name, self.url)
            self.assertEqual(file.peek(1)[:1], DATA[:1])
            for call in (lambda: file.write(b"x"), file.fileno, lambda: file.truncate(0)):
                with self.assertRaises(io.UnsupportedOperation):
                    call()
            for call in (lambda: file.seek(-1), lambda: file.seek(0, 9)):
                with self.assertRaises(ValueError):
                    call()
            file.seek(SIZE + 100)
            self.assertEqual(file.read(1), b"")
            file.close()
            with self.assertRaises(ValueError):
                file.read(1)

    def test_reads_in_sequence_are_read_ahead_of_and_others_not(self):
        with pagein.open(self.url) as object, object.file() as file:
            for offset in range(1 << 20, 3 << 20, 512 << 10):
                file.seek(offset)
                file.read(10)
            self.assertLess(object.whole.stats()["resident_bytes"], 100000)
        with pagein.open(self.url) as object, object.file() as file:
            self.origin.reset()
            while file.read(65536):
                pass
            self.assertLess(self.origin.requests(), 20)

    def test_many_threads_read_at_once(self):
        failures = []

        def read(object, seed):
            dice = random.Random(seed)
            for _ in range(50):
                offset, size = dice.randrange(SIZE), dice.choice((1, 5000, 200000))
                if object.pread(size, offset) != DATA[offset:offset + size]:
                    failures.append((offset, size))

        for options in ({}, {"memory": 1 << 20}, {"cache_bytes": 1 << 20}):
            with pagein.open(self.url, **options) as object:
                threads = [threading.Thread(target=read, args=(object, seed)) for seed in range(6)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
        self.assertEqual(failures, [])

    def test_more_than_the_memory_limit_can_be_read(self):
        with pagein.open(self.url, memory=1 << 20) as object:
            self.assertTrue(object.pread(SIZE) == DATA)
            self.assertTrue(object.file().read() == DATA)
            self.assertLessEqual(pagein.stats()["resident_bytes"], 2 << 20)

    def test_without_process_vm_readv(self):
        """As where a sandbox forbids it."""
        def forbidden(*arguments):
            pagein._copy.ctypes.set_errno(1)
            return -1

        whole = pagein._copy._readv
        pagein._copy._readv = forbidden
        try:
            with pagein.open(self.url) as object:
                self.assertTrue(object.pread(SIZE) == DATA)
                self.origin.script("path=/data : status=403")
                object.whole.advise(pagein.Advice.DONTNEED)
                with self.assertRaises(pagein.FetchError):
                    object.pread(10, SIZE // 2)
        finally:
            pagein._copy._readv = whole

    def test_lines(self):
        lines = [f"line {i} of a text\n" for i in range(50000)]
        url = self.origin.write("text", "".join(lines).encode())
        with pagein.open(url) as object, io.TextIOWrapper(object.file()) as file:
            self.assertEqual(list(file), lines)

    def test_zip_and_tar(self):
        members = {f"folder/{i}": random.Random(i).randbytes(20000) for i in range(100)}
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data, zipfile.ZIP_STORED)
        taped = io.BytesIO()
        with tarfile.open(fileobj=taped, mode="w") as archive:
            for name, data in members.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        with pagein.open(self.origin.write("zip", packed.getvalue())) as object, object.file() as file:
            with zipfile.ZipFile(file) as archive:
                self.assertEqual(archive.read("folder/42"), members["folder/42"])
                # Its list of contents and one member, not 2 MB.
                self.assertLess(object.whole.stats()["resident_bytes"], 200000)
                self.assertIsNone(archive.testzip())
        with pagein.open(self.origin.write("tar", taped.getvalue())) as object, object.file() as file:
            with tarfile.open(fileobj=file) as archive:
                self.assertEqual(archive.extractfile("folder/99").read(), members["folder/99"])

    def test_sqlite(self):
        with sqlite3.connect(self.origin.path("db")) as db:
            db.execute("create table t (id integer primary key, name text)")
            db.executemany("insert into t values (?, ?)", ((i, f"name {i}") for i in range(20000)))
        db.close()
        if not hasattr(sqlite3.Connection, "deserialize"):
            self.skipTest("sqlite3.Connection.deserialize() is of Python 3.11")
        with pagein.open(self.origin.url("db")) as object:
            object.whole.populate()
            db = sqlite3.connect(":memory:")
            with object.view() as view:
                db.deserialize(view)
            self.assertEqual(db.execute("select count(*), max(name) from t").fetchone(), (20000, "name 9999"))
            db.close()

    @unittest.skipIf(h5py is None, "no h5py")
    def test_hdf5(self):
        table = numpy.random.default_rng(5).random((2000, 500))
        with h5py.File(self.origin.path("h5"), "w") as file:
            file.create_dataset("table", data=table, chunks=(100, 500))
            file["table"].attrs["unit"] = "m"
        with pagein.open(self.origin.url("h5")) as object, object.file() as raw, h5py.File(raw, "r") as file:
            self.assertEqual(file["table"].attrs["unit"], "m")
            self.assertTrue(numpy.array_equal(file["table"][1200:1300], table[1200:1300]))
            self.assertLess(object.whole.stats()["resident_bytes"], 1 << 20)
            self.assertTrue(numpy.array_equal(file["table"][:], table))

    @unittest.skipIf(pandas is None, "no pandas")
    def test_pandas(self):
        table = pandas.DataFrame({"a": range(5000), "b": [f"value {i}" for i in range(5000)]})
        table.to_csv(self.origin.path("table.csv"), index=False)
        with pagein.open(self.origin.url("table.csv")) as object, object.file() as file:
            pandas.testing.assert_frame_equal(pandas.read_csv(file), table)


@unittest.skipIf(fsspec is None, "no fsspec")
class FileSystem(support.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        import pagein.filesystem
        cls.url = cls.origin.write("data", DATA)
        cls.fs = fsspec.filesystem("pagein", attempts=2, skip_instance_cache=True)

    def test_urls_lead_to_objects(self):
        with fsspec.open(f"pagein://{self.url}") as file:
            self.assertTrue(file.read() == DATA)
        with fsspec.open(f"simplecache::pagein://{self.url}") as file:
            self.assertTrue(file.read() == DATA)
        with self.assertRaises(FileNotFoundError):
            fsspec.open(f"pagein://{self.url}.missing").open()
        with self.assertRaises(NotImplementedError):
            fsspec.open(f"pagein://{self.url}", "wb").open()
        with fsspec.open(f"pagein://{self.url}", "r", encoding="latin-1", newline="") as file:
            self.assertEqual(file.read(1000).encode("latin-1"), DATA[:1000])

    def test_what_a_file_system_tells(self):
        for path in (self.url, f"pagein://{self.url}"):
            info = self.fs.info(path)
            self.assertEqual((info["name"], info["size"], info["type"]), (self.url, SIZE, "file"))
            self.assertTrue(self.fs.exists(path) and self.fs.isfile(path) and not self.fs.isdir(path))
            self.assertFalse(self.fs.exists(path + ".missing"))
            self.assertEqual((self.fs.size(path), self.fs.ls(path, detail=False)), (SIZE, [self.url]))
            for part in (slice(None), slice(5, 9), slice(-10, None), slice(9, 5), slice(SIZE - 1, SIZE + 9)):
                self.assertEqual(self.fs.cat_file(path, part.start, part.stop), DATA[part])
        self.assertEqual(self.fs.cat([self.url, self.url]), {self.url: DATA})

    def test_another_version_has_another_key(self):
        url = self.origin.write("changes", b"1")
        before = self.fs.ukey(url)
        self.assertEqual(before, self.fs.ukey(url))
        self.origin.write("changes", b"22")
        self.assertNotEqual(before, self.fs.ukey(url))

    @unittest.skipIf(pandas is None, "no pandas")
    def test_other_schemes_where_they_are_asked_for(self):
        pagein.filesystem.register("pagein-test-scheme")
        self.assertIs(fsspec.get_filesystem_class("pagein-test-scheme"), pagein.filesystem.PageinFileSystem)
        self.origin.write("table.csv", b"a,b\n1,2\n")
        table = pandas.read_csv(f"pagein://{self.origin.url('table.csv')}", storage_options={"attempts": 2})
        self.assertEqual(table.values.tolist(), [[1, 2]])
        code = "import sys, fsspec, pagein.filesystem\npagein.filesystem.register('http')\n" \
               "with fsspec.open(sys.argv[1]) as file: print(type(file.raw).__module__, len(file.read()))"
        self.assertEqual(support.run_child(code, self.url), f"pagein.files {SIZE}\n")


if __name__ == "__main__":
    support.main()
