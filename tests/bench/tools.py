"""What all measures use: figures, builds, and programs that are run."""
import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import tempfile
from typing import Optional

HERE = os.path.dirname(os.path.abspath(__file__))
CASE_TIMEOUT_S = 300  # the slowest takes 20; a hang is a failure of the measure, not of the run
DOORS = ("uffd", "fuse-read", "fuse-mmap")


@dataclasses.dataclass
class Figure:
    """One row of the table: the number of the promise, what was measured, and the bar, if any."""

    row: str
    name: str
    value: float
    at_most: Optional[float] = None
    at_least: Optional[float] = None

    def met(self, value):
        """None: there is no bar."""
        if self.at_most is not None:
            return value <= self.at_most
        return None if self.at_least is None else value >= self.at_least

    def bar(self):
        if self.at_most is not None:
            return f"<= {self.at_most:g}"
        return "" if self.at_least is None else f">= {self.at_least:g}"


class Absent(Exception):
    """This build or machine lacks what the measure needs."""


def call(*command, **options):
    """What the command printed; its complaints are for the reader, or for who asks for them."""
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, **options).stdout


class Build:
    """The programs of one commit, and tests/bench/cases.c of this tree against its library."""

    def __init__(self, source, folder):
        if not os.path.exists(os.path.join(folder, "build.ninja")):
            call("meson", "setup", folder, source, "-Dtests=false", "--buildtype=release")
        call("ninja", "-C", folder)
        self.pagein = os.path.join(folder, "tools", "pagein")
        self.origin = os.path.join(folder, "tools", "origin", "pagein-origin")
        self.cases_program = os.path.join(folder, "bench-cases")
        self.cases_trouble = None
        self._build_cases(source, os.path.join(folder, "src", "libpagein"))

    def _build_cases(self, source, library):
        header = os.path.join(source, "src", "libpagein")
        command = ["cc", "-O2", "-std=gnu17", "-D_GNU_SOURCE", "-I", header, os.path.join(HERE, "cases.c"),
                   "-o", self.cases_program, "-L", library, "-lpagein", f"-Wl,-rpath,{library}", "-pthread"]
        built = subprocess.run(command, check=False, text=True, stderr=subprocess.PIPE)
        if built.returncode != 0:
            self.cases_trouble = built.stderr.strip().splitlines()[-1]

    def cases(self, *arguments, env=None):
        """The figures that one of the cases prints, by name."""
        if self.cases_trouble:
            raise Absent(f"cases.c does not compile here: {self.cases_trouble}")
        lines = call(self.cases_program, *map(str, arguments), env=env, timeout=CASE_TIMEOUT_S).splitlines()
        return {name: float(value) for name, value in map(str.split, lines)}

    def bench(self, *arguments, env=None):
        """The runs of one `pagein bench`, by engine and pattern; on its own server, unless a URL is
        among the arguments."""
        with tempfile.NamedTemporaryFile(suffix=".json") as out:
            command = [self.pagein, "bench", "--json", out.name, *map(str, arguments)]
            done = subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, env=env)
            if "is none; choose from" in done.stderr:
                raise Absent(done.stderr.strip())
            if done.returncode != 0:
                raise subprocess.SubprocessError(done.stderr.strip())
            runs = json.load(out)["runs"]
        return {(run["engine"], run["pattern"]): run for run in runs}


class Mounted:
    """with Mounted(build, url, folder) as path: the object as a file."""

    def __init__(self, build, url, folder):
        self.build, self.url = build, url
        self.mountpoint = os.path.join(folder, "mnt")

    def __enter__(self):
        os.makedirs(self.mountpoint, exist_ok=True)
        call(self.build.pagein, "mount", self.url, self.mountpoint)
        return os.path.join(self.mountpoint, os.path.basename(self.url))

    def __exit__(self, *_):
        call(self.build.pagein, "umount", self.mountpoint)


def need(program):
    if not shutil.which(program):
        raise Absent(f"there is no {program}")


def median_of(count, function):
    return statistics.median(function() for _ in range(count))
