#!/usr/bin/env python3
"""Completions of the command for a shell, from the options table.

    complete.py TABLE.json bash|zsh|fish

What is completed: subcommands, options, the words that an option can have, files and directories.
Sources are not looked up: a key that is pressed must not send requests.
"""
import json
import pathlib
import re
import sys

HEAD = "# Made from the options table of pagein: see tools/completions/complete.py there.\n"


def value_kind(option):
    """How the option's argument is completed: a list of words, "file", or "" for anything."""
    if option["choices"]:
        return option["choices"]
    return "file" if option["argument"] == "FILE" else ""


def operand_kind(row):
    """Of the last operand; the one before it is a source, which may be a file as well."""
    return "directory" if row["operands"].split()[-1:] == ["DIR"] else "file"


def o_options(table):
    return [option for option in table["options"]
            if option["in_o"] and "mount" in option["subcommands"]]


def options_of(table, row):
    return [option for option in table["options"] if row["name"] in option["subcommands"]]


def written(option):
    return "--" + option["name"] + ("=" if option["argument"] else "")


# ---- bash ----------------------------------------------------------------------------------------

BASH = """
_pagein_words() {
	mapfile -t COMPREPLY < <(compgen "$@")
	# A value follows at once.
	if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
		compopt -o nospace
	fi
}

# _pagein_list CURRENT WORDS: the last of several that are joined by commas
_pagein_list() {
	local before=''

	[[ $1 != *,* ]] || before=${1%%,*},
	_pagein_words -P "$before" -W "$2" -- "${1##*,}"
}

_pagein_value() {
	case $1 in
%(values)s
	*) return 0 ;;
	esac
}

_pagein() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local subcommand=${COMP_WORDS[1]}

	COMPREPLY=()
	# "=" is a word of its own to bash.
	if [[ $current == = ]]; then
		current=''
	elif [[ $previous == = && $COMP_CWORD -gt 2 ]]; then
		previous=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	if [[ $COMP_CWORD -eq 1 ]]; then
		_pagein_words -W '%(subcommands)s --help --version' -- "$current"
	elif [[ $subcommand == mount && $previous == -o ]]; then
		_pagein_list "$current" '%(o_words)s'
		compopt -o nospace
	elif [[ $previous == --* && " %(valued)s " == *" $subcommand$previous "* ]]; then
		_pagein_value "$subcommand$previous" "$current"
	elif [[ $current == -* ]]; then
		case $subcommand in
%(options)s
		esac
	else
		case $subcommand in
		%(directories)s) _pagein_words -A directory -- "$current" ;;
		*) _pagein_words -f -- "$current" ;;
		esac
		compopt -o filenames
	fi
}

complete -F _pagein pagein
"""


def bash_action(option):
    kind = value_kind(option)
    if kind == "file":
        return '_pagein_words -f -- "$2" && compopt -o filenames ;;'
    if option["is_list"]:
        return f"_pagein_list \"$2\" '{' '.join(kind)}' ;;"
    return f"_pagein_words -W '{' '.join(kind)}' -- \"$2\" ;;"


def bash(table):
    rows = table["subcommands"]
    values, valued = {}, []
    for row in rows:
        for option in options_of(table, row):
            if option["argument"]:
                valued.append(f"{row['name']}--{option['name']}")
                if value_kind(option):
                    values.setdefault(bash_action(option), []).append(valued[-1])
    return BASH % {
        "subcommands": " ".join(row["name"] for row in rows),
        "values": "\n".join(f"\t{' | '.join(keys)}) {action}" for action, keys in values.items()),
        "valued": " ".join(valued),
        "o_words": " ".join(option["name"] + ("=" if option["argument"] else "")
                            for option in o_options(table)) + " ro nosuid nodev noexec noatime",
        "options": "\n".join(
            f"\t\t{row['name']}) _pagein_words -W '{' '.join(map(written, options_of(table, row)))}' "
            f"-- \"$current\" ;;" for row in rows),
        "directories": " | ".join(row["name"] for row in rows if operand_kind(row) == "directory"),
    }


# ---- zsh -----------------------------------------------------------------------------------------

def zsh_quote(text):
    return re.sub(r"([\[\]:\\])", r"\\\1", text).replace("'", "'\\''")


def zsh_action(option):
    kind = value_kind(option)
    if not option["argument"]:
        return ""
    if kind == "file":
        return f":{option['argument']}:_files"
    if option["is_list"]:
        return f":{zsh_quote(option['argument'])}:_sequence compadd - {' '.join(kind)}"
    return f":{zsh_quote(option['argument'])}:" + (f"({' '.join(kind)})" if kind else " ")


def zsh_options(table, row):
    for option in options_of(table, row):
        action = f"[{zsh_quote(option['help'])}]{zsh_action(option)}"
        yield f"'{written(option)}{action}'"
        if option["letter"]:
            yield f"'-{option['letter']}{action}'"


def zsh(table):
    rows = table["subcommands"]
    described = "\n".join(f"\t\t'{row['name']}:{zsh_quote(row['help'])}'" for row in rows)
    cases = []
    for row in rows:
        lines = list(zsh_options(table, row))
        if row["name"] == "mount":
            words = " ".join(option["name"] for option in o_options(table))
            lines.append(f"'-o[options as in fstab]:OPTIONS:_sequence compadd - {words}'")
        if operand_kind(row) == "directory":
            lines.append("'*:operand:_files -/'")
        elif row["operands"]:
            lines.append("'*:operand:_files'")
        cases.append(f"\t{row['name']})\n\t\t_arguments " + " \\\n\t\t\t".join(lines) + "\n\t\t;;")
    return f"""#compdef pagein
{HEAD}
_pagein() {{
	local -a subcommands=(
{described}
	)

	if ((CURRENT == 2)); then
		_describe subcommand subcommands
		return
	fi
	shift words
	((CURRENT--))
	case $words[1] in
{chr(10).join(cases)}
	esac
}}

_pagein "$@"
"""


# ---- fish ----------------------------------------------------------------------------------------

def fish_quote(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish(table):
    lines = []
    for row in table["subcommands"]:
        lines.append(f"complete -c pagein -n __fish_use_subcommand -f -a {row['name']} "
                     f"-d {fish_quote(row['help'])}")
        seen = f"complete -c pagein -n '__fish_seen_subcommand_from {row['name']}'"
        if operand_kind(row) == "directory":
            lines.append(f"{seen} -f -a '(__fish_complete_directories)'")
        for option in options_of(table, row):
            line = f"{seen} -l {option['name']} -d {fish_quote(option['help'])}"
            line += f" -s {option['letter']}" if option["letter"] else ""
            kind = value_kind(option)
            if kind == "file":
                line += " -r -F"
            elif option["argument"]:
                line += " -x" + (f" -a {fish_quote(' '.join(kind))}" if kind else "")
            lines.append(line)
        if row["name"] == "mount":
            words = " ".join(option["name"] for option in o_options(table))
            lines.append(f"{seen} -s o -x -a '(__fish_append , {words})' -d 'options as in fstab'")
    return "\n".join(lines) + "\n"


def main():
    table = json.loads(pathlib.Path(sys.argv[1]).read_text())
    shell = sys.argv[2]
    text = {"bash": bash, "zsh": zsh, "fish": fish}[shell](table)
    sys.stdout.write(text if shell == "zsh" else HEAD + text)


main()
