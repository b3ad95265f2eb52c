#!/usr/bin/env python3
"""What README.md and the manual pages show is run as it stands there.

    snippets_test.py SOURCE BUILD [DOCUMENT...]     the top folder, the build's; only these files

Every block is taken from the text itself, so that none can be forgotten: a block is run, or it is
among NOT_RUN with the reason. Blocks of a document run in its order, in one directory. What is
replaced is only where things are: REPLACED below. Commands which need a terminal (TERMINAL) get one,
and somebody who types "q"; what `pagein bench` is asked for is made short.

    sh      bash, every command of it succeeding        c       built as libpagein(3) says, and run
    python  run                                         json    read by pagein as a manifest
    fstab   each line is mounted as mount(8) would

In Markdown a block names its language; in a manual page it follows from the section.
"""
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

import servers

# A block that has this line is not run.
NOT_RUN = {
    "tools/demo": "is run by tests/fresh-root, and installs packages",
    "tools/setup": "installs packages; tests/fresh-root runs it, tools/check does the rest",
    "tools/package": "tests/package/check runs it",
    "mount -t pagein": "mount(8) looks for its helpers in /sbin only: tests/package/use has them there",
}
TERMINAL = ("view", "top")
BENCH_SHORT = "--count 20 --runs 5 --size 4M"
TIMEOUT_S = 120

failures, used = [], set()


class Block:
    def __init__(self, document, line, language, text):
        self.document, self.line, self.language, self.text = document, line, language, text

    def __str__(self):
        return f"{self.document}:{self.line}"


def markdown_blocks(path):
    lines = path.read_text().splitlines()
    fences = [i for i, line in enumerate(lines) if line.startswith("```")]
    for start, end in zip(fences[::2], fences[1::2]):
        yield Block(path.name, start + 1, lines[start][3:].strip(),
                    "\n".join(lines[start + 1:end]) + "\n")


def page_language(section, title, text):
    if text.startswith("{"):
        return "json"
    if re.search(r"  pagein  \S+  \d \d$", text, flags=re.M):
        return "fstab"
    if section == "3":
        return "prototypes" if title == "SYNOPSIS" else "c"
    return "sh"


def page_blocks(path):
    section = path.name.split(".")[-2]
    title, start, lines = "", None, path.read_text().splitlines()
    for i, line in enumerate(lines):
        if start is None and line.startswith("# "):
            title = line[2:]
        if line != "```":
            continue
        if start is None:
            start = i
            continue
        # scdoc(1) has a backslash for itself.
        text = "\n".join(lines[start + 1:i]).replace("\\\\", "\\") + "\n"
        yield Block(path.name, start + 1, page_language(section, title, text), text)
        start = None


def c_program(text):
    if "main(" in text:
        return text
    includes = re.findall(r"^#include .*\n", text, flags=re.M)
    body = re.sub(r"^#include .*\n", "", text, flags=re.M)
    return (f"#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
            f"{''.join(includes)}#include <pagein.h>\nint main(void)\n{{\n{body}return 0;\n}}\n")


class Runner:
    def __init__(self, source, build, base, replaced):
        self.base, self.replaced = base, replaced
        self.environment = {
            "PATH": f"{base}/bin:{os.environ['PATH']}",
            "HOME": str(base),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "no_proxy": "127.0.0.1",
            "PKG_CONFIG_PATH": str(build / "meson-uninstalled"),
            "LD_LIBRARY_PATH": str(build / "src" / "libpagein"),
            "PAGEIN_LIBRARY": str(build / "src" / "libpagein" / "libpagein.so.0"),
            "PYTHONPATH": str(source / "src" / "python"),
            "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": replaced["https://minio.example:9000"],
        }
        self.commands = {"sh": self.sh, "c": self.c, "python": self.python, "json": self.json,
                         "fstab": self.fstab, "prototypes": self.prototypes}

    def local(self, text):
        for there, here in self.replaced.items():
            text = text.replace(there, here)
        return text

    def sh(self, text):
        return f"set -euo pipefail\n{self.local(text)}"

    def c(self, text):
        pathlib.Path("snippet.c").write_text(c_program(self.local(text)))
        return "cc -o snippet snippet.c $(pkg-config --cflags --libs libpagein) && ./snippet"

    def prototypes(self, text):
        pathlib.Path("snippet.c").write_text(re.sub(r"^cc .*\n", "", text, flags=re.M))
        return "cc -Wall -Werror -fsyntax-only snippet.c $(pkg-config --cflags libpagein)"

    def python(self, text):
        pathlib.Path("snippet.py").write_text(self.local(text))
        return "python3 snippet.py"

    def json(self, text):
        pathlib.Path("snippet.jsonl").write_text(self.local(text))
        return "pagein ls -l manifest:snippet.jsonl"

    def fstab(self, text):
        lines = [line.split() for line in text.splitlines() if line and line[0] != "#"]
        mount = self.replaced["/mnt"]
        if os.geteuid() != 0:
            lines = [line for line in lines if "allow_other" not in line[3]]
        return "set -e\n" + "\n".join(
            f"mount.pagein {self.local(source)} {mount} -o {shlex.quote(options)}\npagein umount {mount}"
            for source, _, _, options, _, _ in lines)

    def run(self, block):
        reasons = [word for word in NOT_RUN if re.search(rf"^{word}\b", block.text, flags=re.M)]
        used.update(reasons)
        if reasons:
            return "not run"
        if block.language not in self.commands:
            failures.append(f"{block}: a block in '{block.language}': nobody can run that")
            return "?"
        folder = self.base / block.document
        folder.mkdir(exist_ok=True)
        os.chdir(folder)
        command = self.commands[block.language](block.text)
        try:
            done = subprocess.run(["bash", "-c", command], env=self.environment, timeout=TIMEOUT_S,
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  errors="replace")
        except subprocess.TimeoutExpired as error:
            failures.append(f"{block}: not done after {TIMEOUT_S} s:\n{block.text}{error.output}")
            return "hangs"
        if done.returncode != 0:
            failures.append(f"{block}: status {done.returncode}:\n{block.text}"
                            f"{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return "ran"


def make_commands(base, pagein):
    """What snippets call by name."""
    folder = base / "bin"
    folder.mkdir()
    (folder / "mount.pagein").symlink_to(pagein)
    # The system's, which has the system's numpy: another may stand before it in PATH.
    if os.path.exists("/usr/bin/python3"):
        (folder / "python3").symlink_to("/usr/bin/python3")
    (folder / "pagein").write_text(f"""#!/usr/bin/env bash
case "$1 ${{2-}}" in
"bench diff") ;;
"bench "*) exec {pagein} "$@" {BENCH_SHORT} ;;
{' | '.join(f'"{word} "*' for word in TERMINAL)})
	command=$(printf '%q ' {pagein} "$@")
	while printf q && sleep 0.2; do :; done 2>/dev/null |
		timeout -s KILL 60 script -qec "stty rows 40 cols 120; $command" /dev/null
	exit "${{PIPESTATUS[1]}}"
	;;
esac
exec {pagein} "$@"
""")
    (folder / "pagein").chmod(0o755)


def main():
    source, build = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
    documents = [pathlib.Path(path).resolve() for path in sys.argv[3:]] or (
        [source / "README.md"] + sorted((source / "tools" / "man").glob("*.scd")) +
        sorted((source / "src" / "libpagein" / "man").glob("*.scd")))
    blocks = [block for path in documents
              for block in (markdown_blocks if path.suffix == ".md" else page_blocks)(path)]
    with tempfile.TemporaryDirectory() as name, servers.Servers(build, pathlib.Path(name)) as served:
        base = pathlib.Path(name)
        (base / "mnt").mkdir()
        make_commands(base, build / "tools" / "pagein")
        runner = Runner(source, build, base, {
            "https://minio.example:9000": served.bucket_url,
            "https://host.example/": served.url,
            "https://host/": served.url,
            "/mnt": str(base / "mnt"),
        })
        for block in blocks:
            print(f"{runner.run(block):8} {block} {block.language}", flush=True)
            # What a block has left mounted would be the next one's failure.
            if os.path.ismount(base / "mnt"):
                failures.append(f"{block}: leaves a mount behind")
                subprocess.run([build / "tools" / "pagein", "umount", base / "mnt"], check=False)
        os.chdir("/")
    if len(sys.argv) == 3:
        failures.extend(f"NOT_RUN has '{word}', and no block" for word in NOT_RUN.keys() - used)
    for words in failures:
        print(words)
    print(f"{len(blocks)} blocks, {len(failures)} failures")
    return 1 if failures or not blocks else 0


sys.exit(main())
