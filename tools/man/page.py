#!/usr/bin/env python3
"""A manual page for scdoc(1), from its text, the options table and Markdown.

    page.py TABLE.json PAGE.scd [FOLDER]   writes the page; FOLDER: where included files are

In the text of a page, a line by itself

    @synopsis@          is how the subcommand is called
    @options@           are its options that have no @option@ line, in the table's order
    @option NAME@       is one of them; the indented lines below it go on with it
    @o-words@           are the options that -o takes, too
    @subcommands@       are the subcommands, each with what it is for
    @include FILE@      are the sections of a Markdown file, whose title is left out

so that a name, an argument, a default or a limit stands in the table only, and each option is on
the page of each subcommand that takes it. A line that asks for what is not there fails.
"""
import json
import pathlib
import re
import sys


def escape(text):
    return re.sub(r"([\\*_~#.|`\[\]-])", r"\\\1", text)


def sentence(text):
    return text if re.match(r"\w+:", text) else text[0].upper() + text[1:]


def heading(option):
    names = [f"*-{option['letter']}*"] if option["letter"] else []
    argument = f"=_{escape(option['argument'])}_" if option["argument"] else ""
    return ", ".join(names + [f"*--{option['name']}*{argument}"])


def described(option):
    words = sentence(option["help"])
    if option["choices"]:
        words += ": " + ", ".join(option["choices"])
    words = escape(words) + ("" if words[-1] in ".?" else ".")
    if option["default"] is not None:
        words += f" Default: {escape(option['default'])}."
    return f"{heading(option)}\n\t{words}\n"


def markdown(text):
    """The little of Markdown that our documents use: headings, bold, code, lists of terms."""

    def inline(words):
        parts = re.split(r"(\*\*.+?\*\*|`.+?`)", words)
        return "".join(f"*{escape(part.strip('*`'))}*" if part[:1] in ("*", "`") and len(part) > 2
                       else escape(part) for part in parts)

    blocks = []
    for block in re.split(r"\n\s*\n|\n(?=- )", text):
        block = " ".join(line.strip() for line in block.splitlines())
        title = re.fullmatch(r"(#+) (.*)", block)
        term = re.fullmatch(r"- \*\*(\w+)\*\* (.*)", block)
        if title and len(title[1]) > 1:
            blocks.append(f"# {title[2].upper()}\n")
        elif term:
            blocks.append(f"*{term[1]}*\n\t{inline(term[2])}\n")
        elif block and not title:
            blocks.append(inline(block) + "\n")
    return "\n".join(blocks)


class Page:
    def __init__(self, table, name, folder):
        self.subcommands, self.folder = table["subcommands"], folder
        self.row = next((row for row in self.subcommands if f"pagein-{row['name']}" == name), None)
        self.all = table["options"]
        self.options = {option["name"]: option for option in self.all
                        if self.row and self.row["name"] in option["subcommands"]}
        self.told = []

    def synopsis(self):
        operands = re.sub(r"[A-Z]{2,}", lambda word: f"_{word[0]}_", self.row["operands"])
        operands = operands.replace("[", "\\[").replace("diff", "*diff*")
        return f"*pagein {self.row['name']}* \\[_OPTION_]... {operands}".rstrip() + "\n"

    def one_option(self, name):
        self.told.append(name)
        return described(self.options.pop(name))

    def all_options(self):
        told = [described(option) for option in self.options.values()]
        self.options = {}
        return "\n".join(told)

    def o_words(self):
        return ", ".join(f"*{option['name']}*" for option in self.all
                         if option["in_o"] and "mount" in option["subcommands"]) + "."

    def subcommand_list(self):
        return "\n".join(
            f"*{row['name']}*{' ' if row['operands'] else ''}{escape(row['operands'])}\n"
            f"\t{escape(sentence(row['help']))}. See *pagein-{row['name']}*(1).\n"
            for row in self.subcommands)

    def fill(self, text):
        # Who is named further down is not among "all" further up.
        named = {name: self.one_option(name) for name in re.findall(r"^@option (\S+)@$", text, re.M)}
        words = {
            "synopsis": self.synopsis,
            "options": self.all_options,
            "o-words": self.o_words,
            "subcommands": self.subcommand_list,
        }

        def line(match):
            word, argument = match[1], match[2]
            if word == "option":
                return named[argument].rstrip("\n")
            if word == "include":
                return markdown((self.folder / argument).read_text()).rstrip("\n")
            return match[0][:match[0].index("@")] + words[word]().rstrip("\n")

        text = re.sub(r"^\t?@([a-z-]+)(?: (\S+))?@$", line, text, flags=re.M)
        if self.options:
            sys.exit(f"no @options@ line, for {', '.join(self.options)}")
        return text


def main():
    table, source = map(pathlib.Path, sys.argv[1:3])
    folder = pathlib.Path(sys.argv[3]) if sys.argv[3:] else source.parent
    page = Page(json.loads(table.read_text()), source.name.split(".")[0], folder)
    sys.stdout.write(page.fill(source.read_text()))


main()
