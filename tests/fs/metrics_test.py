#!/usr/bin/python3
"""metrics_test.py - .pagein/metrics of mounts: read by Prometheus's parsers, compared with what the
server has counted; and `pagein top`, which must agree with it.

$PAGEIN and $ORIGIN name the programs. Nothing is left mounted or running, however it ends.
"""
import json
import os
import pty
import re
import select
import signal
import stat
import subprocess
import sys
import tempfile
import termios
import time
import traceback
import urllib.request

try:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
    from prometheus_client.parser import text_string_to_metric_families as older
except ImportError as missing:
    print(f"skipped: {missing}: tools/setup")
    sys.exit(77)
if not os.access("/dev/fuse", os.R_OK | os.W_OK):
    print("skipped: /dev/fuse is missing or not writable")
    sys.exit(77)

PAGEIN, ORIGIN = os.environ["PAGEIN"], os.environ["ORIGIN"]
OBJECTS = 32  # that are named
NOBODY = 65534


def wait_for(condition, what):
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError(f"never: {what}")


class Origin:
    def __init__(self, root):
        self.process = subprocess.Popen([ORIGIN, "--root", root],
                                        stdout=subprocess.PIPE, text=True)
        self.place = self.process.stdout.readline().split()[-1]
        self.port = int(self.place.split(":")[1])

    def stats(self):
        with urllib.request.urlopen(f"http://{self.place}/.origin/stats") as answer:
            return json.load(answer)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Mount:
    def __init__(self, base, source, options="metadata-ttl=1s"):
        self.directory = tempfile.mkdtemp(prefix="mnt-", dir=base)
        self.server = subprocess.Popen([PAGEIN, "mount", "-f", source, self.directory, "-o", options])
        wait_for(lambda: os.path.ismount(self.directory) or self.server.poll() is not None, "mounted")
        assert self.server.poll() is None, "the server ended"

    def path(self, name):
        return os.path.join(self.directory, name)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def metrics(self):
        return self.read(".pagein/metrics").decode()

    def figures(self):
        return numbers(self.metrics())

    def end(self):
        if self.server.poll() is not None:
            return
        self.server.terminate()
        status = self.server.wait(timeout=60)
        assert status == 0, f"the server's status is {status}"
        assert not os.path.ismount(self.directory)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.end()
            return
        self.server.kill()
        self.server.wait()
        subprocess.run(["umount", "-l", self.directory], check=False)


def numbers(text):
    """{(name, its label's value): number}, of a text that both parsers take."""
    result = {}
    for family in openmetrics(text):
        for sample in family.samples:
            labels = tuple(value for name, value in sample.labels.items() if name != "le")
            key = (sample.name,) + tuple(sample.labels.values())
            assert key not in result, key
            result[key] = sample.value
            assert len(labels) <= 1
    assert len(list(older(text))) > 0
    return result


def total(figures, name):
    return figures[(f"pagein_{name}_total",)]


def is_counter(key):
    return re.search("_(total|bucket|sum|count)$", key[0])


def assert_not_fallen(before, after):
    for key, number in before.items():
        if is_counter(key):
            assert after[key] >= number, (key, number, after[key])


# ---- what there is --------------------------------------------------------------------------

# M1 M2 M3
def it_is_a_file_like_those_of_proc(base, origin):
    with Mount(base, f"http://{origin.place}/", "file-mode=0440,dir-mode=0550,gid=12") as mount:
        assert ".pagein" not in os.listdir(mount.directory)
        assert os.listdir(mount.path(".pagein")) == ["metrics"]
        for name, mode in ((".pagein", stat.S_IFDIR | 0o550), (".pagein/metrics", stat.S_IFREG | 0o440)):
            status = os.stat(mount.path(name))
            assert (status.st_mode, status.st_size, status.st_gid) == (mode, 0, 12), status
        for name in (".pagein/other", ".pagein/metrics/x"):
            try:
                os.stat(mount.path(name))
                raise AssertionError(name)
            except (FileNotFoundError, NotADirectoryError):
                pass
        for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC):
            try:
                os.close(os.open(mount.path(".pagein/metrics"), flags))
                raise AssertionError(flags)
            except OSError as error:
                assert error.strerror == "Read-only file system", error
        text = mount.metrics()
        assert text.endswith("\n# EOF\n") and len(text) > 4096
        for program in (["cat", mount.path(".pagein/metrics")],
                        ["curl", "-sS", f"file://{mount.path('.pagein/metrics')}"],
                        ["dd", "bs=7", "status=none", f"if={mount.path('.pagein/metrics')}"]):
            output = subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True).stdout
            assert numbers(output).keys() >= numbers(text).keys(), program
        # A reader by offsets, as pread(2) of a collector may be.
        fd = os.open(mount.path(".pagein/metrics"), os.O_RDONLY)
        whole = os.pread(fd, 1 << 20, 0)
        assert os.pread(fd, 100, 1000) == whole[1000:1100]
        assert os.pread(fd, 100, len(whole)) == b"" == os.pread(fd, 100, 1 << 40)
        os.close(fd)


def it_agrees_with_the_server(base, origin, loops=1):
    with Mount(base, f"http://{origin.place}/", f"loops={loops}") as mount:
        urllib.request.urlopen(urllib.request.Request(
            f"http://{origin.place}/.origin/reset", method="PUT")).close()
        before = mount.figures()
        sizes = 0
        for name in ("large", "sub/small", "sub/empty", "large2"):
            with open(os.path.join(base, "www", name), "rb") as local:
                bytes_ = local.read()
            assert mount.read(name) == bytes_
            sizes += len(bytes_)
        # What is read ahead of a file that is closed may still be on its way.
        wait_for(lambda: mount.figures()[("pagein_transfers",)] == 0, "calm")
        figures, counted = mount.figures(), origin.stats()

        def since(name):
            return total(figures, name) - total(before, name)

        # The question for the server's counters is not among them.
        asked = since("requests") + since("questions")
        assert asked == counted["requests"], (asked, counted)
        assert since("fetched_bytes") + since("question_bytes") == counted["body_bytes"], counted
        # The kernel may have dropped a page before it was looked at, and asked again: no less, then,
        # and all of it is some object's.
        assert since("read_bytes") >= sizes, (since("read_bytes"), sizes)
        used = sum(number for key, number in figures.items() if key[0] == "pagein_object_used_bytes_total")
        assert since("read_bytes") == used, (since("read_bytes"), used)
        assert since("reads") == figures[("pagein_wait_seconds_count",)] + since("read_hits")
        assert since("read_failures") == 0
        assert figures[("pagein_object_used_bytes_total", f"http://{origin.place}/large")] >= 3000000
        assert figures[("pagein_open_files",)] == 0
        assert_not_fallen(before, figures)


def so_do_three_loops(base, origin):
    it_agrees_with_the_server(base, origin, 3)


# M4
def an_open_file_is_one_snapshot(base, origin):
    with Mount(base, f"http://{origin.place}/", "loops=3") as mount:
        first = os.open(mount.path(".pagein/metrics"), os.O_RDONLY)
        begun = os.read(first, 500)
        mount.read("large")
        second = os.open(mount.path(".pagein/metrics"), os.O_RDONLY)
        mount.read("large2")
        texts = []
        for fd, text in ((first, begun), (second, b"")):
            while part := os.read(fd, 4096):
                text += part
            texts.append(numbers(text.decode()))
            os.close(fd)
        assert total(texts[0], "reads") == 0
        assert total(texts[1], "read_bytes") >= 3000000
        assert total(mount.figures(), "read_bytes") >= total(texts[1], "read_bytes") + 2000000
        # One that is open when the mount ends is nobody's loss.
        left = os.open(mount.path(".pagein/metrics"), os.O_RDONLY)
        os.read(left, 10)
        mount.end()
        os.close(left)


# M5
def it_needs_no_server(base, _origin):
    own = Origin(os.path.join(base, "www"))
    with Mount(base, f"http://{own.place}/", "timeout=1s,metadata-ttl=1s") as mount:
        mount.read("sub/small")
        before = mount.figures()
        with open(mount.path("large"), "rb") as file:
            own.end()
            try:
                os.pread(file.fileno(), 4096, 2500000)
                raise AssertionError("read without a server")
            except OSError:
                pass
            after = mount.figures()
        assert total(after, "read_failures") > total(before, "read_failures")
        assert total(after, "retries") > 0
        assert_not_fallen(before, after)
        assert after[("pagein_object_failures_total", f"http://{own.place}/large")] > 0


# M6
def many_objects_are_few_lines(base, origin):
    with Mount(base, f"http://{origin.place}/", "loops=2") as mount:
        # Most were used a little, some much, and one after all others.
        for i in range(300):
            mount.read(f"many/{i}")
        for _ in range(2):
            mount.read("large")
        text = mount.metrics()
        figures = numbers(text)
        named = [key[1] for key in figures if key[0] == "pagein_object_uses_total"]
        assert len(named) == OBJECTS, len(named)
        assert named[0] == f"http://{origin.place}/large"
        # The largest of the many, which come from 1 to 300 bytes.
        assert f"http://{origin.place}/many/299" in named
        assert len(text) < 40000
        lines = len(text.splitlines())
        before = figures
        mount.read("large2")
        figures = mount.figures()
        assert len(mount.metrics().splitlines()) == lines
        for key, number in before.items():
            if is_counter(key) and key in figures:
                assert figures[key] >= number, key


# M7
def it_tells_no_secrets(base, origin):
    source = f"http://joe:geheim@{origin.place}/sub/small?token=geheim&sig=geheim"
    with Mount(base, source) as mount:
        mount.read("small")
        text = mount.metrics()
        assert "geheim" not in text and "joe" not in text
        assert f'object="http://{origin.place}/sub/small"' in text


def awkward_names_are_labels(base, _origin):
    root = os.path.join(base, "awkward")
    os.mkdir(root)
    names = ['q"uote', "back\\slash", "{x=\"1\"} 2", "caf\u00e9", "a b"]
    for name in names:
        with open(os.path.join(root, name), "w", encoding="utf-8") as file:
            file.write("x" * 5000)
    with Mount(base, f"file://{root}/") as mount:
        for name in names:
            assert len(mount.read(name)) == 5000
        figures = mount.figures()
        shown = [key[1] for key in figures if key[0] == "pagein_object_uses_total"]
        assert len(shown) == len(names), shown
        top = subprocess.run([PAGEIN, "top", "--once", mount.directory], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
        for name in shown:
            assert name in top, name


def others_read_it_where_they_may(base, origin):
    if os.geteuid() != 0:
        print("skipped: permissions: only root can be two users")
        return

    def as_nobody(path):
        return subprocess.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                               "cat", path], check=False, capture_output=True).returncode == 0

    os.chmod(base, 0o755)
    for options, allowed in (("metadata-ttl=1s", False), ("allow_other", True),
                             ("allow_other,file-mode=0400", False),
                             ("allow_other,dir-mode=0500", False)):
        with Mount(base, f"http://{origin.place}/", options) as mount:
            os.chmod(base, 0o755)
            assert as_nobody(mount.path(".pagein/metrics")) == allowed, options


# ---- pagein top -----------------------------------------------------------------------------

def row(output, name):
    """The first number of a row of the table."""
    for line in output.splitlines():
        if line.startswith(name + "  "):
            return float(line[len(name):].split()[0].replace(",", "").rstrip("%x"))
    raise AssertionError(f"no {name} in:\n{output}")


def top(*arguments):
    return subprocess.run([PAGEIN, "top", *arguments], check=True, stdout=subprocess.PIPE,
                          text=True).stdout


def top_agrees(base, origin):
    with Mount(base, f"http://{origin.place}/") as mount:
        mount.read("large")
        mount.read("sub/small")
        wait_for(lambda: mount.figures()[("pagein_transfers",)] == 0, "calm")
        figures = mount.figures()
        pid = str(mount.server.pid)
        # The server's process, of the two with that command line, tells where its mount is.
        for output in (top("--once", mount.directory), top(pid), top("--once", mount.directory + "/")):
            assert "\033" not in output
            assert row(output, "reads") == total(figures, "reads")
            assert row(output, "  answered at once") == total(figures, "read_hits")
            assert row(output, "requests") == total(figures, "requests")
            assert row(output, "other requests") >= total(figures, "questions")
            used = total(figures, "read_bytes")
            fetched = total(figures, "fetched_bytes") + total(figures, "question_bytes")
            assert abs(row(output, "amplification") - fetched / used) < 0.02
            assert abs(row(output, "hit ratio")
                       - 100 * total(figures, "read_hits") / total(figures, "reads")) < 0.1
            assert f"http://{origin.place}/large" in output
            assert "price" not in output
        # 1000 requests cost 5, a GB costs 2.5.
        price = row(top("--price-request=5", "--price-gb=2.5", mount.directory), "price")
        asked = total(figures, "requests") + total(figures, "questions")
        assert abs(price - (asked * 0.005 + fetched * 2.5e-9)) < 0.1, price


def top_refuses(base, _origin):
    for arguments, status, words in (
            ([base], 1, "neither a mount"),
            ([os.path.join(base, "no")], 1, "neither a mount"),
            (["999999999"], 1, "no such process"),
            ([str(os.getpid())], 1, "PAGEIN_METRICS"),
            ([], 2, ""),
            (["--price-gb=1.2.3", base], 2, "is not an amount"),
            (["--price-gb=-1", base], 2, "is not an amount"),
            (["--interval=0", base], 2, "too small")):
        result = subprocess.run([PAGEIN, "top", *arguments], check=False, capture_output=True, text=True)
        assert result.returncode == status and words in result.stderr, (arguments, result)
        assert result.stderr.count("\n") == 1, result.stderr


def read_until(fd, what):
    seen = b""
    end = time.monotonic() + 60
    while what not in seen:
        assert select.select([fd], [], [], max(0, end - time.monotonic()))[0], (what, seen)
        seen += os.read(fd, 65536)
    return seen


def top_on_a_terminal(base, origin):
    """It draws again and again, shows what has changed, ends at q or a signal, and leaves the
    terminal as it was."""
    with Mount(base, f"http://{origin.place}/") as mount:
        for ending in ("q", signal.SIGINT):
            outer, inner = pty.openpty()
            before = termios.tcgetattr(inner)
            process = subprocess.Popen([PAGEIN, "top", "--interval=100ms", mount.directory],
                                       stdin=inner, stdout=inner)
            read_until(outer, b"a second")
            assert termios.tcgetattr(inner) != before
            mount.read("large")
            read_until(outer, b"/large")
            if ending == "q":
                os.write(outer, b"xq")
            else:
                process.send_signal(ending)
            while process.poll() is None:
                if select.select([outer], [], [], 0.1)[0]:
                    os.read(outer, 65536)
            assert process.returncode == 0
            assert termios.tcgetattr(inner) == before
            os.close(outer)
            os.close(inner)


def top_says_when_the_mount_has_gone(base, origin):
    mount = Mount(base, f"http://{origin.place}/")
    outer, inner = pty.openpty()
    process = subprocess.Popen([PAGEIN, "top", "--interval=100ms", mount.directory],
                               stdin=inner, stdout=inner, stderr=subprocess.PIPE, text=True)
    read_until(outer, b"a second")
    mount.end()
    while process.poll() is None:
        if select.select([outer], [], [], 0.1)[0]:
            os.read(outer, 65536)
    assert process.returncode == 1
    words = process.communicate()[1]
    assert words.startswith("pagein top: ") and words.count("\n") == 1, words
    os.close(outer)
    os.close(inner)


def make_files(root):
    os.makedirs(os.path.join(root, "sub"))
    os.makedirs(os.path.join(root, "many"))
    sizes = {"large": 3000000, "large2": 2000000, "sub/small": 5000, "sub/empty": 0}
    sizes.update({f"many/{i}": i + 1 for i in range(300)})
    for name, size in sizes.items():
        path = os.path.join(root, name)
        with open(path, "wb") as file:
            file.write(os.urandom(size))
        os.utime(path, (1714979280, 1714979280))


def main():
    failures = 0
    tests = [it_is_a_file_like_those_of_proc,
             it_agrees_with_the_server, so_do_three_loops,
             an_open_file_is_one_snapshot, it_needs_no_server, many_objects_are_few_lines,
             it_tells_no_secrets, awkward_names_are_labels, others_read_it_where_they_may,
             top_agrees, top_refuses, top_on_a_terminal, top_says_when_the_mount_has_gone]
    with tempfile.TemporaryDirectory(prefix="pagein-metrics-") as base:
        make_files(os.path.join(base, "www"))
        origin = Origin(os.path.join(base, "www"))
        for test in tests:
            try:
                test(base, origin)
                print(f"ok: {test.__name__}")
            except Exception as error:  # pylint: disable=broad-except
                failures += 1
                print(f"FAILED: {test.__name__}: {type(error).__name__}: {error}")
                traceback.print_exc(file=sys.stdout)
        origin.end()
    return 1 if failures else 0


sys.exit(main())
