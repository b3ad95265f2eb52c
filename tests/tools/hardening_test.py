#!/usr/bin/env python3
"""Looks at what was built: do programs and library have what the compiler's flags promise?

hardening_test.py [--fortified] FILE...: each an ELF file of ours. readelf tells all but two things,
which are read from the code: that stacks are probed, and that indirect branches have landing pads
(the note that a file has them everywhere is lost where the C library's start files have none, as
Debian 12's).
"""
import re
import subprocess
import sys

ENDBR64 = bytes.fromhex("f30f1efa")
ENTRIES = {"main", "pagein_open", "pagein_map"}

failures = 0


def readelf(options, file):
    return subprocess.run(["readelf", "-W", *options, file], check=True, capture_output=True, text=True).stdout


def check(file, what, is_good):
    global failures
    if not is_good:
        print(f"FAILED: {file}: {what}")
        failures += 1


def symbols(file):
    names = set()
    for line in readelf(["--dyn-syms"], file).splitlines():
        fields = line.split()
        if len(fields) > 7:
            names.add(fields[7].split("@")[0])
    return names


def code_at(file, names):
    """The first instructions of functions of these names."""
    code = set()
    with open(file, "rb") as elf:
        bytes_of_file = elf.read()
    loads = [[int(word, 16) for word in found] for found in re.findall(
        r"LOAD\s+(0x\w+) (0x\w+) 0x\w+ (0x\w+)", readelf(["-l"], file))]
    for line in readelf(["-s"], file).splitlines():
        fields = line.split()
        if len(fields) > 7 and fields[3] == "FUNC" and fields[6] != "UND" and fields[7].split("@")[0] in names:
            address = int(fields[1], 16)
            for offset, start, size in loads:
                if start <= address < start + size:
                    at = offset + address - start
                    code.add(bytes_of_file[at:at + len(ENDBR64)])
    return code


def look(file, is_fortified):
    header = readelf(["-h"], file)
    segments = readelf(["-l"], file)
    dynamic = readelf(["-d"], file)
    names = symbols(file)

    # An address that can't be guessed: ET_DYN, and for a program the flag that says so.
    check(file, "position-independent", re.search(r"Type:\s+DYN", header))
    if "INTERP" in segments:
        check(file, "a PIE", re.search(r"FLAGS_1.*\bPIE\b", dynamic))
    # All of the linker's tables are read-only before main().
    check(file, "relro", "GNU_RELRO" in segments)
    check(file, "bind now", re.search(r"FLAGS.*BIND_NOW|FLAGS_1.*\bNOW\b|\(BIND_NOW\)", dynamic))
    check(file, "no text relocations", "TEXTREL" not in dynamic)
    check(file, "no search path of its own", not re.search(r"\((RPATH|RUNPATH)\)", dynamic))
    stack = re.search(r"GNU_STACK.*", segments)
    check(file, "a stack that is no code", stack and not re.search(r"\bR?WE\b", stack[0]))
    check(file, "no segment that is code and can be written", not re.search(r"LOAD.*\bRWE\b", segments))
    check(file, "stack protector", "__stack_chk_fail" in names)
    if is_fortified:
        check(file, "fortified", any(name.endswith("_chk") and name != "__stack_chk_fail" for name in names))
    if "X86-64" in header:
        check(file, "landing pads", code_at(file, ENTRIES) == {ENDBR64})
        check(file, "probed stacks", probes(file))


def probes(file):
    """Frames of more than a page are touched page by page: gcc `orq $0,(%rsp)`, clang `movq`."""
    code = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", file], check=True, capture_output=True, text=True).stdout
    return re.search(r"sub\s+\$0x1000,%rsp\n.*(orq|movq)\s+\$0x0,\(%rsp\)", code)


def main():
    arguments = sys.argv[1:]
    is_fortified = "--fortified" in arguments
    files = [argument for argument in arguments if not argument.startswith("--")]

    for file in files:
        look(file, is_fortified)
    sys.exit(failures > 0)


main()
