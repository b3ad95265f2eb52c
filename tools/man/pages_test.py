#!/usr/bin/env python3
"""The manual pages of the command say what the command says, and nothing else.

    pages_test.py PAGEIN SOURCE BUILT       the program, the top folder, and where pages were built

In both directions: each subcommand has a page with all sections, on which is each option that its
--help has and no other; and each option, page or variable that some page names is there.
"""
import pathlib
import re
import shutil
import subprocess
import sys

SECTIONS = {
    "1": ["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES", "SEE ALSO"],
    "5": ["NAME", "DESCRIPTION", "EXAMPLES", "SEE ALSO"],
    "7": ["NAME", "DESCRIPTION", "SEE ALSO"],
    "8": ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "FILES", "EXAMPLES", "SEE ALSO"],
}

failures = []


def check(good, words):
    if not good:
        failures.append(words)


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def sections(text):
    parts = re.split(r"^# (.+)$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def bare(text):
    """Without scdoc's marks."""
    return re.sub(r"\\(.)|[*_]", lambda mark: mark[1] or "", text)


def helped(pagein, name):
    """{option: its line in --help}"""
    text = run(pagein, name, "--help").stdout
    found = re.findall(r"^ +(?:-\w, )?(--[a-z-]+)((?:=\S+)?)", text, flags=re.M)
    return dict(found), text


def paged(text):
    """{option: its argument} of the paragraphs that begin with one."""
    terms = re.findall(r"^(\*-.*)\n\t", sections(text).get("OPTIONS", ""), flags=re.M)
    found = (re.search(r"(--[a-z-]+)((?:=\S+)?)$", bare(term)) for term in terms)
    return {match[1]: match[2] for match in found if match}


def check_subcommand(pagein, name, operands, pages):
    page = pages.get(f"pagein-{name}.1")
    check(page is not None, f"{name}: there is no tools/man/pagein-{name}.1.scd in meson.build")
    if page is None:
        return set()
    options, text = helped(pagein, name)
    check(len(options) >= 2, f"{name}: --help has {len(options)} options")
    check("OPTIONS" in sections(page), f"pagein-{name}(1): no section OPTIONS")
    told = paged(page)
    for option in options.keys() | told.keys():
        check(options.get(option) == told.get(option),
              f"pagein-{name}(1): {option}{told.get(option, ' is missing')}, --help: "
              f"{options.get(option, 'none')}")
    synopsis = " ".join(bare(sections(page)["SYNOPSIS"]).split())
    check(f"pagein {name} [OPTION]... {operands}".strip() == synopsis.strip(),
          f"pagein-{name}(1): SYNOPSIS is {synopsis}")
    return set(options)


def check_page(page, text, options, names, variables):
    title, section = page.rsplit(".", 1)
    found = sections(text)
    check(text.startswith(f"{title}({section}) "), f"{page}: its first line names another page")
    check(re.match(rf"\n+{re.escape(title)} - \S", found.get("NAME", "")), f"{page}: NAME")
    for wanted in SECTIONS[section]:
        check(wanted in found, f"{page}: no section {wanted}")
    for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", bare(text))):
        check(option in options, f"{page}: {option} is no option")
    for name in re.findall(r"\*((?:pagein|libpagein|mount\.pagein)[\w.-]*)\*\((\d)\)", text):
        check(name in names, f"{page}: {name[0]}({name[1]}) is no page")
    for variable in set(re.findall(r"\b(?:AWS|PAGEIN)_[A-Z_0-9]+", text.replace("\\", ""))):
        check(variable in variables, f"{page}: {variable} is not read by anybody")


def lint(files):
    if not shutil.which("mandoc"):
        print("mandoc is not installed: form not checked", file=sys.stderr)
        return
    for file in files:
        text = file.read_text()
        if text.startswith(".so "):
            continue
        check("\n.TS" not in text, f"{file.name}: a table, for which not everybody runs tbl(1)")
        for line in run("mandoc", "-Tlint", "-Wwarning", str(file)).stdout.splitlines():
            # scdoc(1) begins a paragraph wherever one could begin.
            check("skipping paragraph macro" in line, line)


def main():
    pagein, (source, built) = sys.argv[1], map(pathlib.Path, sys.argv[2:])
    library = built.parent.parent / "src" / "libpagein" / "man"
    pages = {file.name.removesuffix(".filled.scd"): file.read_text()
             for file in sorted(built.glob("*.filled.scd"))}
    names = {tuple(file.name.rsplit(".", 1)) for file in library.glob("*.3")}
    names |= {tuple(page.rsplit(".", 1)) for page in pages}
    variables = {name for folder in ("src", "tools") for file in (source / folder).rglob("*.[ch]")
                 for name in re.findall(r'"((?:AWS|PAGEIN)_[A-Z_0-9]+)"', file.read_text())}

    subcommands = re.findall(r"^  ([a-z]+)(?: (.*?))?(?:   .*|)$",
                             run(pagein, "--help").stdout, flags=re.M)
    check(len(subcommands) > 5, f"only {len(subcommands)} subcommands in --help")
    options = {"--help", "--version"}
    for name, _ in subcommands:
        usage = re.match(r"Usage: pagein \S+ \[OPTION\]\.\.\. ?(.*)", run(pagein, name, "--help").stdout)
        options |= check_subcommand(pagein, name, usage[1], pages)
    for page, text in pages.items():
        check((built / page).exists(), f"{page} was not built")
        check_page(page, text, options, names, variables)
        subcommand = re.fullmatch(r"pagein-(\w+)\.1", page)
        check(not subcommand or subcommand[1] in dict(subcommands), f"{page}: of no subcommand")
    lint([built / page for page in pages if (built / page).exists()] + sorted(library.glob("*.3")))

    for words in failures:
        print(words)
    print(f"{len(pages)} pages, {len(subcommands)} subcommands, {len(options)} options:",
          f"{len(failures)} failures")
    return 1 if failures else 0


sys.exit(main())
