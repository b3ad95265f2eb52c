#!/usr/bin/env python3
"""security_test.py SECURITY.md ROOT: is each test that the document names there, is it run, and has each promise one?

A test is named `FILE: name`: a function of cmocka's table, or `FILE: "words"`, words in a script.
"""
import os
import re
import sys

document, root = sys.argv[1:]
text = open(document, encoding="utf-8").read()
failures = []
cache = {}


def read(path):
    if path not in cache:
        with open(path, encoding="utf-8") as file:
            cache[path] = file.read()
    return cache[path]


def is_in_suite(file):
    """meson knows the file by its name, or by what stands before "_test"."""
    folder, name = os.path.split(os.path.join(root, file))
    build = read(os.path.join(folder, "meson.build"))
    stem = re.sub(r"(_test)?\.\w+$", "", name)
    return name in build or re.search(rf"'{re.escape(stem)}'", build)


def look(file, test):
    path = os.path.join(root, file)
    if not os.path.exists(path):
        return "no such file"
    if not is_in_suite(file):
        return "meson does not run the file"
    code = read(path)
    if test.startswith('"'):
        return None if test.strip('"') in code else "no such words"
    if not re.search(rf"^static void {test}\(void \*\*state\)", code, re.M):
        return "no such test"
    if len(re.findall(rf"\b{test}\b", code)) < 2:
        return "not in the table"
    return None


named = re.findall(r"`(tests/[\w./-]+):\s+([^`]+)`", text)
for file, test in named:
    reason = look(file, test)
    if reason:
        failures.append(f"{file}: {test}: {reason}")
# A promise goes from its number to the next one, or to the end of its paragraph.
promises = re.findall(r"^- \*\*([A-Z]\d+)\*\*((?:.|\n(?!\n|- \*\*|#))*)", text, re.M)
for number, words in promises:
    if not re.search(r"`tests/|promises P\d|the sandbox below", words):
        failures.append(f"{number}: no test")
if len({number for number, _ in promises}) != len(promises):
    failures.append("a number is there twice")
if not named or not promises:
    failures.append("nothing was found: has the document's form changed?")
print("\n".join(failures) or f"{len(promises)} promises, {len(set(named))} tests")
sys.exit(bool(failures))
