#!/usr/bin/env python3
"""The manual pages say what the public header says: all of it, and nothing else.

    man_test.py SOURCES BUILT       the folder of the pages, and the one where they were built

Everything is taken from the header's code, not from its comments; that the pages are well-formed,
scdoc(1) has found out when it built them.
"""
import pathlib
import re
import sys

SECTIONS = {
    "call": ["NAME", "SYNOPSIS", "DESCRIPTION", "RETURN VALUE", "ERRORS", "SEE ALSO"],
    "overview": ["NAME", "SYNOPSIS", "DESCRIPTION", "VERSIONS", "ERRORS", "INTEGRITY",
                 "FORK POLICIES", "THREADS", "MEMORY LIMITS", "KINDS OF MEMORY", "PERMISSIONS", "USERFAULTFD",
                 "ENVIRONMENT", "NOTES", "SEE ALSO"],
}
OVERVIEW = "libpagein"
HEADER_LINES_MAX = 430  # it is read as a manual, at one sitting
# Of the kernel's interface: parts of what the overview names, and names of our own.
MECHANICS = re.compile(r"UFFDIO_\w+_MODE_\w+|UFFD_FOLLOW_FORK|UFFD_NO_REMOVE|UFFD_RAISE")

failures = []


def check(good, words):
    if not good:
        failures.append(words)


def squeeze(text):
    return " ".join(text.split())


def read_header(path):
    """The header's code: its names, its calls' prototypes, and its structures' fields."""
    code = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
    macros = set(re.findall(r"^#define (PAGEIN_\w+) ", code, flags=re.M))
    constants = set(re.findall(r"\bPAGEIN_\w+", code)) - macros - {"PAGEIN_H"}
    # What is left at the top level, once bodies and directives have gone.
    flat = re.sub(r"^#(?:.*\\\n)*.*$", "", code, flags=re.M)
    structs = dict(re.findall(r"struct (pagein_\w+) \{(.*?)\};", flat, flags=re.S))
    enums = set(re.findall(r"enum (pagein_\w+) \{", flat))
    flat = re.sub(r"\{[^{}]*\};?", ";", flat.replace('extern "C" {', ""))
    prototypes = {}
    for statement in flat.split(";"):
        call = re.match(r"[\w \t\n*]*?\b(pagein_\w+)\(", statement.strip())
        if call:
            prototypes[call[1]] = squeeze(statement) + ";"
    fields = {
        struct: [re.search(r"(\w+)(?:\[\w+\])?\s*$", field)[1]
                 for field in body.split(";") if field.strip()]
        for struct, body in structs.items()
    }
    names = set(prototypes) | set(structs) | enums | set(re.findall(r"struct (pagein_\w+);", flat))
    return names, macros, constants, prototypes, fields


def sections(text):
    parts = re.split(r"^# (.+)$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def defined(text):
    """What has a paragraph of its own: "*name*, *name*", and below it the indented words."""
    terms = re.findall(r"^(\*[^\s*]+\*(?:, \*[^\s*]+\*)*)\n\t\S", text, flags=re.M)
    return {name for line in terms for name in re.findall(r"\*([^\s*]+)\*", line)}


def check_page(page, text, names, constants, variables):
    parts = sections(text)
    kind = "overview" if page == OVERVIEW else "call"
    found = [title for title in parts if title in SECTIONS[kind]]
    check(found == SECTIONS[kind], f"{page}: sections {found}, not {SECTIONS[kind]}")
    check(text.startswith(f'{page}(3) "'), f"{page}: its first line names another page")
    for name in set(re.findall(r"\bpagein_\w+", text)) - names:
        check(False, f"{page}: {name} is not in the header")
    for name in set(re.findall(r"\bPAGEIN_\w+", text)) - constants - variables:
        check(False, f"{page}: {name} is not in the header")


def check_call(call, prototype, pages, built):
    homes = [page for page, text in pages.items()
             if call in re.findall(r"\w+", sections(text).get("NAME", "").split(" - ")[0])]
    check(len(homes) == 1, f"{call}: in the NAME of {homes}")
    for home in homes:
        parts = sections(pages[home])
        check(prototype in squeeze(parts.get("SYNOPSIS", "")),
              f"{home}: the SYNOPSIS lacks {prototype}")
        file = built / f"{call}.3"
        check(file.exists(), f"{call}.3 was not built")
        if file.exists() and call != home:
            check(file.read_text() == f".so man3/{home}.3\n", f"{call}.3 is no alias of {home}.3")


def check_fields(struct, fields, pages):
    for field in fields:
        check(any(re.search(rf"\bstruct {struct}\b", text) and field in defined(text)
                  for text in pages.values()), f"struct {struct}: no page tells of {field}")


def check_kernel(overview, sources):
    """Whatever of userfaultfd(2) the library uses, its user gets something from it."""
    told = set(re.findall(r"\bUFFD\w+", sections(overview).get("USERFAULTFD", "")))
    used = {name for file in sources.glob("*.c")
            for name in re.findall(r"\bUFFD(?:IO)?_[A-Z0-9_]+", file.read_text())
            if not MECHANICS.fullmatch(name)}
    check(len(used) > 20, f"only {len(used)} names of the kernel's in the sources")
    for name in used - told:
        check(False, f"{OVERVIEW}: {name} is used, and not told of")
    for name in told - used:
        check(False, f"{OVERVIEW}: {name} is told of, and not used")


def main():
    folder, built = map(pathlib.Path, sys.argv[1:])
    sources = folder.parent
    names, macros, constants, prototypes, fields = read_header(sources / "pagein.h")
    pages = {file.name.removesuffix(".3.scd"): file.read_text()
             for file in sorted(folder.glob("*.3.scd"))}
    readers = (sources / "limit_parse.c", sources / "monitor.c",
               sources.parent / "core" / "trace.c")
    variables = {name for file in readers for name in re.findall(r'"(PAGEIN_\w+)"', file.read_text())}

    lines = len((sources / "pagein.h").read_text().splitlines())
    check(lines < HEADER_LINES_MAX, f"pagein.h has {lines} lines, not below {HEADER_LINES_MAX}")
    check(len(prototypes) > 20, f"only {len(prototypes)} calls in the header")
    for page, text in pages.items():
        check_page(page, text, names, constants | macros, variables)
        check((built / f"{page}.3").exists(), f"{page}.3 was not built")
        check(page == OVERVIEW or page in prototypes, f"{page}: a page of no call")
        for other in re.findall(r"\*(pagein_\w+)\*\(3\)", text):
            check(other in prototypes, f"{page}: {other}(3) is no page")
        check(page == OVERVIEW or f"*{page}*(3)" in sections(pages[OVERVIEW])["SEE ALSO"],
              f"{OVERVIEW}: SEE ALSO lacks {page}(3)")
    for call, prototype in prototypes.items():
        check_call(call, prototype, pages, built)
    for struct, members in fields.items():
        check_fields(struct, members, pages)
    for name in constants - set().union(*map(defined, pages.values())):
        check(False, f"no page tells of {name}")
    for name in macros:
        check(any(f"*{name}*" in text for text in pages.values()), f"no page tells of {name}")
    for name in variables:
        check(name in sections(pages[OVERVIEW])["ENVIRONMENT"], f"{OVERVIEW}: {name} is missing")
    check_kernel(pages[OVERVIEW], sources)

    for words in failures:
        print(words)
    print(f"{len(pages)} pages, {len(prototypes)} calls, {len(constants)} constants,",
          f"{sum(map(len, fields.values()))} fields: {len(failures)} failures")
    return 1 if failures else 0


sys.exit(main())
