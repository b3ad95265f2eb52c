#!/usr/bin/env python3
"""calls_test.py - each function of others that our code calls is in calls.txt, and only such; and
each function that others call of ours is in a scenario.

calls_test.py CALLS HEADER SCENARIOS OBJECTS LIBRARY...: the public header, library.c, static
libraries, and the folder of the command's object files, of which those of the bench, which is no
part of what others rely on, are left out.
"""
import pathlib
import re
import shutil
import subprocess
import sys

if not shutil.which("nm"):
    print("skipped: nm: not found", file=sys.stderr)
    sys.exit(77)


def symbols(option, path):
    lines = subprocess.run(["nm", option, "-P", path], check=True, capture_output=True, text=True)
    return {line.split()[0].split("@")[0] for line in lines.stdout.splitlines() if " " in line}


def plain(name):
    """What a build that is not fortified calls."""
    return re.sub(r"^__(\w+)_(chk|2)$", r"\1", name)


path, header, scenarios, objects, *libraries = sys.argv[1:]
files = list(pathlib.Path(objects).glob("*.o"))
known = {}
for line in open(path):
    kind, _, names = line.partition(":")
    for name in names.split() if not line.startswith("#") else []:
        assert name not in known, f"{name}: twice"
        known[name] = kind

called, ours = set(), set()
for file in files + libraries:
    ours |= symbols("--defined-only", file)
    if file in libraries or not file.name.startswith("bench"):
        called |= symbols("--undefined-only", file)
others = called - ours

# One that can fail has a wrapper, so its fortified form must have one, too.
unknown = sorted(name for name in others - known.keys() if known.get(plain(name)) != "never")
called_in_any_build = {plain(name) for name in others}
unused = sorted(name for name in known if known[name] != "never" and plain(name) not in called_in_any_build)
for name in unknown:
    print(f"{name}: is called, but not in calls.txt")
for name in unused:
    print(f"{name}: is in calls.txt, but not called")
steps = pathlib.Path(scenarios).read_text()
public = re.findall(r"^(?:\w+ )+\*?(pagein_\w+)\(", pathlib.Path(header).read_text(), re.M)
assert len(public) > 20, public
unmet = sorted(name for name in public if not re.search(rf"\b{name}\(", steps))
for name in unmet:
    print(f"{name}: is in no scenario")
sys.exit(bool(unknown or unused or unmet))
