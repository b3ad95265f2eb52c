#!/usr/bin/env python3
"""_abi.py and pagein.h say the same: each structure, field, constant and prototype, in both directions.

HEADER names pagein.h, CC the compiler, VERSION is the project's.
"""
import ctypes
import os
import re
import shlex
import subprocess
import tempfile
import unittest

import pagein
from pagein import _abi

with open(os.environ["HEADER"]) as header_file:
    HEADER = re.sub(r"//[^\n]*", "", re.sub(r"/\*.*?\*/", "", header_file.read(), flags=re.S))


def header_structs():
    """Names of fields, by the structure's name."""
    return {name: [re.search(r"(\w+)(\[\w+\])?$", field.strip())[1] for field in body.split(";") if field.strip()]
            for name, body in re.findall(r"struct (\w+) \{(.*?)\}", HEADER, re.S)}


def header_enums():
    return {name: re.findall(r"\b(PAGEIN_\w+)", body)
            for name, body in re.findall(r"enum (\w+) \{(.*?)\}", HEADER, re.S)}


def header_functions():
    """[result, parameter...] in C's words without names, by the function's name."""
    found = {}
    code = re.sub(r"^#[^\n]*(\\\n[^\n]*)*", "", HEADER, flags=re.M)
    for result, name, parameters in re.findall(r"([\w ]+?[ *]+)(pagein_\w+)\((.*?)\);", re.sub(r"\s+", " ", code)):
        words = [] if parameters == "void" else [re.sub(r"\w+$", "", one.strip()) for one in parameters.split(",")]
        found[name] = [plain(one) for one in [result, *words]]
    return found


def plain(words):
    return re.sub(r" ?\* ?", "*", re.sub(r"\bconst\b", "", words)).strip()


SCALARS = {"int": ctypes.c_int, "unsigned": ctypes.c_uint, "uint64_t": ctypes.c_uint64, "size_t": ctypes.c_size_t,
           "void": None, "char*": ctypes.c_char_p, "void*": ctypes.c_void_p,
           "unsigned char*": ctypes.POINTER(ctypes.c_ubyte)}


def ctype_of(words):
    words = words.replace("struct ", "")
    if words in SCALARS:
        return SCALARS[words]
    name, stars = words.rstrip("*"), words.count("*")
    if name in _abi.STRUCTS and stars == 1:
        return ctypes.POINTER(_abi.STRUCTS[name])
    if name in ("pagein_object", "pagein_map"):
        return ctypes.c_void_p if stars == 1 else ctypes.POINTER(ctypes.c_void_p)
    raise AssertionError(f"no counterpart of {words!r}")


def expected_lines():
    for name, struct in _abi.STRUCTS.items():
        yield f"sizeof {name} {ctypes.sizeof(struct)}", f"sizeof(struct {name})"
        for field, _ in struct._fields_:
            place = getattr(struct, field)
            yield f"{name}.{field} offset {place.offset}", f"offsetof(struct {name}, {field})"
            yield f"{name}.{field} size {place.size}", f"sizeof(((struct {name} *)0)->{field})"
    for kind, prefix in _abi.ENUMS.values():
        for member in kind:
            yield f"{prefix}{member.name} {int(member)}", prefix + member.name
    for macro, value in _abi.MACROS.items():
        yield f"{macro} {value}", macro


class AbiTest(unittest.TestCase):
    def test_sizes_offsets_and_values_are_the_compilers(self):
        expected = list(expected_lines())
        code = "".join(f'\tprintf("{line.rsplit(" ", 1)[0]} %llu\\n", (unsigned long long){expression});\n'
                       for line, expression in expected)
        with tempfile.TemporaryDirectory() as folder:
            program = os.path.join(folder, "abi")
            source = program + ".c"
            with open(source, "w") as file:
                file.write("#include <stdio.h>\n#include <pagein.h>\nint main(void)\n{\n" + code + "\treturn 0;\n}\n")
            subprocess.run([*shlex.split(os.environ.get("CC", "cc")), "-I", os.path.dirname(os.environ["HEADER"]),
                            source, "-o", program], check=True)
            printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
        self.assertGreater(len(expected), 100)
        self.assertEqual([line for line, _ in expected], printed)

    def test_nothing_of_the_header_is_missing(self):
        self.assertEqual(header_structs(), {name: [field for field, _ in struct._fields_]
                                            for name, struct in _abi.STRUCTS.items()})
        self.assertEqual(header_enums(), {name: [prefix + member.name for member in kind]
                                          for name, (kind, prefix) in _abi.ENUMS.items()})

    def test_prototypes_are_the_headers(self):
        functions = header_functions()
        for name in _abi.NOT_BOUND:
            functions.pop(name)
        self.assertEqual({name: [ctype_of(one) for one in words] for name, words in functions.items()},
                         {name: list(types) for name, types in _abi.PROTOTYPES.items()})

    def test_signed_and_unsigned_fields_are_the_headers(self):
        """Sizes alone don't tell."""
        for name, body in re.findall(r"struct (\w+) \{(.*?)\}", HEADER, re.S):
            kinds = dict(_abi.STRUCTS[name]._fields_)
            for field in filter(None, (one.strip() for one in body.split(";"))):
                words, field_name, array = re.search(r"^(.*?)(\w+)(\[\w+\])?$", field, re.S).groups()
                words = plain(words)
                kind = kinds[field_name]
                if array:
                    kind = kind._type_
                expected = {"char": ctypes.c_char, "int32_t": ctypes.c_int32}.get(words) or ctype_of(words)
                self.assertIs(kind, expected, f"{name}.{field_name}")

    def test_the_version_is_the_projects(self):
        self.assertEqual(pagein.__version__, os.environ["VERSION"])


if __name__ == "__main__":
    unittest.main()
