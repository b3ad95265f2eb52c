#!/usr/bin/env python3
"""botocore_profile_test.py - random files, read by botocore and by us; and lines split by shlex.

The same sections and values, and an error where it has one. The seed is fixed.
"""
import random
import shlex
import sys
import tempfile

from support import Answers, skip

try:
    import botocore.configloader
    import botocore.exceptions
except ImportError:
    skip("no botocore (python3-botocore)")

generator = random.Random(5)

PIECES = ["[a]", "[b]", "[profile x]", "[DEFAULT]", "a", "b", "key", "s3", "x y", "A", "a.b", "=",
          " = ", ":", "==", "value", "#", ";", " # c", "'", '"', "[", "]", "\t", " ", "  ", "\n",
          "\n", "\n", "\n  ", "\n    ", "\r\n", "\r", "\n\n", "\u00e9", "\n[a]\n", "\n[b]\nkey=v",
          "\ns3 =\n  addressing_style = path\n", "\na = 1", "\nb : 2 ", "\x0b", "\x0c", "%(a)s"]
NAMES = {"a", "b", "key", "s3", "x y", "a.b"}


def random_file():
    # Half begin well, so that not all of them are errors.
    start = generator.choice(("", "[a]\n"))
    return start + "".join(generator.choice(PIECES) for _ in range(generator.randint(0, 25)))


def nested(value):
    """What botocore makes of an indented block; ours stays text until it is asked for."""
    found = {}
    for line in value.splitlines():
        name, equals, rest = line.partition("=")
        if equals:
            found[name.strip()] = rest.strip()
    return found


def theirs_of(path):
    try:
        parsed = botocore.configloader.raw_config_parse(path)
    except botocore.exceptions.ConfigParseError:
        return None
    return {section: {name: value for name, value in values.items() if name in NAMES}
            for section, values in parsed.items()}


def ours_of(answers, text):
    answer = answers.ask("ini", text)
    if "error" in answer and isinstance(answer["error"], int):
        return None
    result = {}
    for section, values in answer.items():
        if section == "DEFAULT":
            continue
        result[section] = {}
        for name, value in values.items():
            value = value.encode("latin-1").decode("utf-8")
            result[section][name] = nested(value) if value.startswith("\n") else value
    return result


def test_files(answers):
    good = bad = 0
    with tempfile.NamedTemporaryFile("w", newline="", encoding="utf-8") as file:
        for _ in range(3000):
            text = random_file()
            file.seek(0)
            file.truncate()
            file.write(text)
            file.flush()
            theirs, ours = theirs_of(file.name), ours_of(answers, text)
            if ours != theirs:
                sys.exit(f"{text!r}:\nours   {ours}\ntheirs {theirs}")
            if ours is None:
                bad += 1
            else:
                good += 1
    assert good > 300 and bad > 300, (good, bad)
    return good, bad


def test_words(answers):
    for _ in range(3000):
        line = "".join(generator.choice("ab \t'\"\\\n$*#;") for _ in range(generator.randint(0, 12)))
        try:
            theirs = shlex.split(line)
        except ValueError:
            theirs = None
        ours = answers.ask("split", line)
        if isinstance(ours, dict):
            ours = None
        if ours != theirs:
            sys.exit(f"{line!r}: ours {ours}, theirs {theirs}")


answers = Answers()
good, bad = test_files(answers)
test_words(answers)
answers.close()
print(f"botocore {botocore.__version__}: {good} files alike, {bad} refused by both")
