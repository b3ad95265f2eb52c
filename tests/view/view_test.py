#!/usr/bin/env python3
"""view_test.py [NAME...]: `pagein view` in a real terminal, which is tmux.

PAGEIN and ORIGIN name the programs. Keys are sent, and what the terminal shows is compared with what
a model here makes of the local file. Nothing waits for a time: the screen is read again until it is
as expected, or LIMIT_S is over. One tmux server of our own, and one origin, for all tests.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unicodedata
import urllib.request

PAGEIN, ORIGIN = os.environ["PAGEIN"], os.environ["ORIGIN"]
SANITIZED = os.environ.get("SANITIZED", "none") != "none"
LIMIT_S = float(os.environ.get("LIMIT_S", 120 if SANITIZED else 40))
CUT = 16384  # sight.h: LINE_CUT_BYTES
BASE = tempfile.mkdtemp(prefix="pagein-view-")
WWW = os.path.join(BASE, "www")
TESTS = []


def test(function):
    TESTS.append(function)
    return function


# ---- the model: what a terminal should show --------------------------------------------------

INVISIBLE = {0xAD, 0x61C, 0x200B, 0x200D, 0x200E, 0x202E, 0x2066, 0x2069, 0xFE0F, 0xFEFF}


def glyphs(line, utf8):
    """(text, columns) of each character, or byte that is none; columns 0: combines."""
    while line:
        count = 1
        if utf8 and line[0] >= 0x80:
            for count in (2, 3, 4, 1):
                try:
                    line[:count].decode("utf-8")
                    break
                except UnicodeDecodeError:
                    continue
        part, line = line[:count], line[count:]
        if count > 1 and utf8:
            char = part.decode("utf-8")
            if ord(char) < 0xA0 or ord(char) in INVISIBLE:
                yield f"<U+{ord(char):04X}>", 8
            elif unicodedata.combining(char):
                yield char, 0
            else:
                yield char, 2 if unicodedata.east_asian_width(char) in "WF" else 1
        elif part[0] >= 0x80:
            yield f"<{part[0]:02x}>", 4
        elif part == b"\t":
            yield "\t", 0
        elif part[0] < 0x20 or part[0] == 0x7F:
            yield "^" + chr(part[0] ^ 0x40), 2
        else:
            yield part.decode("ascii"), 1


def fold(line, columns, utf8):
    rows, row, width = [], "", 0
    for text, count in glyphs(line, utf8):
        if text == "\t":
            if width >= columns:
                rows, row, width = rows + [row], "", 0
            count = 8 - width % 8
            text = " " * min(count, columns - width)
        elif count == 0:
            row += text
            continue
        elif width and width + count > columns:
            rows, row, width = rows + [row], "", 0
        row, width = row + text, width + count
    return rows + [row]


def lines(data):
    """A line that is too long is cut at a multiple of CUT with no newline in as many bytes before."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        place = (start // CUT + 1) * CUT
        while place < end and b"\n" in data[place - CUT : place]:
            place += CUT
        end = min(end, place)
        yield data[start:end]
        start = end


def text_rows(data, columns, utf8=True):
    rows = []
    for line in lines(data):
        rows += fold(line[:-1] if line.endswith(b"\n") else line, columns, utf8)
    return rows


def cut_rows(data, columns, left):
    """ASCII only."""
    rows = []
    for line in lines(data):
        rows.append(fold(line.rstrip(b"\n"), 10**9, True)[0][left : left + columns])
    return rows


def hex_rows(data, columns, start=0):
    digits, count = max(8, len(f"{max(len(data) - 1, 0):x}")), 32
    while digits + 2 + 3 * count + (count - 1) // 8 + 1 + count > columns and count > 1:
        count //= 2
    rows = []
    for at in range(start - start % count, len(data), count):
        part = data[at : at + count]
        row = f"{at:0{digits}x} "
        for i in range(count):
            row += ("  " if i and i % 8 == 0 else " ") + (f"{part[i]:02x}" if i < len(part) else "  ")
        rows.append(row + "  " + "".join(chr(c) if 32 <= c < 127 else "." for c in part))
    return rows


# ---- the terminal, and the server --------------------------------------------------------------


class Terminal:
    socket = f"pagein-view-{os.getpid()}"

    def __init__(self, *arguments, columns=80, rows=24, locale="C.UTF-8", **environment):
        self.tmux("kill-session", "-t", "view", check=False)
        self.columns, self.rows = columns, rows - 2
        for name in ("before", "after", "status"):
            if os.path.exists(os.path.join(BASE, name)):
                os.unlink(os.path.join(BASE, name))
        words = {"LC_ALL": locale, "no_proxy": "127.0.0.1", "PAGEIN_MEMORY": "", "NO_COLOR": ""}
        words.update(environment)
        exports = " ".join(f"{name}='{value}'" for name, value in words.items() if value != "")
        unset = "".join(f" -u {name}" for name, value in words.items() if value == "")
        command = " ".join(f"'{argument}'" for argument in (PAGEIN, "view", *arguments))
        script = (
            f"cd {BASE}; stty -g >before; env{unset} {exports} {command}; echo $? >status.new; "
            "stty -g >after; mv status.new status; exec sleep 1000"
        )
        self.tmux("new-session", "-d", "-s", "view", "-x", str(columns), "-y", str(rows), script)

    @classmethod
    def tmux(cls, *arguments, check=True):
        return subprocess.run(
            ["tmux", "-u", "-L", cls.socket, "-f", "/dev/null", *arguments],
            check=check, capture_output=True, text=True, timeout=60,
            env={**os.environ, "LC_ALL": "C.UTF-8", "TMUX": ""},
        ).stdout

    def keys(self, *keys):
        self.tmux("send-keys", "-t", "view", *keys)
        return self

    def type(self, text, *keys):
        self.tmux("send-keys", "-t", "view", "-l", text)
        return self.keys(*keys) if keys else self

    def screen(self, *flags):
        return self.tmux("capture-pane", "-p", "-t", "view", *flags).split("\n")

    def resize(self, columns, rows):
        self.columns, self.rows = columns, rows - 2
        self.tmux("resize-window", "-t", "view", "-x", str(columns), "-y", str(rows))

    def wait(self, is_right, what):
        end = time.monotonic() + LIMIT_S
        while True:
            screen = self.screen()
            if is_right(screen):
                return screen
            if time.monotonic() > end:
                raise AssertionError(f"{what}; the screen is\n" + "\n".join(screen))
            time.sleep(0.02)

    def shows(self, rows):
        """The first of these rows, as many as there is room for, and nothing below them."""
        wanted = [row.rstrip() for row in rows[: self.rows]]
        wanted += [""] * (self.rows - len(wanted))
        self.wait(
            lambda screen: [row.rstrip() for row in screen[: self.rows]] == wanted,
            "expected\n" + "\n".join(wanted),
        )
        return self

    def says(self, pattern):
        """In the last line."""
        self.wait(lambda screen: re.search(pattern, screen[self.rows + 1]), f"expected {pattern}")
        return self

    def has(self, pattern):
        self.wait(lambda screen: re.search(pattern, "\n".join(screen)), f"expected {pattern}")
        return self

    def pid(self):
        shell = int(self.tmux("list-panes", "-t", "view", "-F", "#{pane_pid}"))
        for task in open(f"/proc/{shell}/task/{shell}/children", encoding="ascii").read().split():
            if b"view" in open(f"/proc/{task}/cmdline", "rb").read():
                return int(task)
        raise AssertionError("pagein view does not run")

    def ends(self, status=0):
        """It is gone, with that status, and has left the terminal as it was."""
        end = time.monotonic() + LIMIT_S
        while not os.path.exists(os.path.join(BASE, "status")):
            assert time.monotonic() < end, "it does not end; " + "\n".join(self.screen())
            time.sleep(0.02)
        got = int(open(os.path.join(BASE, "status"), encoding="ascii").read())
        assert got == status, f"status {got}, not {status}"
        before, after = (open(os.path.join(BASE, name), encoding="ascii").read() for name in ("before", "after"))
        assert before == after, f"stty says {after}, not {before}"
        assert self.tmux("display", "-p", "-t", "view", "#{alternate_on}").strip() == "0"
        assert self.tmux("display", "-p", "-t", "view", "#{cursor_flag}").strip() == "1"
        return self


def ask(path, method="GET", body=None):
    request = urllib.request.Request(URL + path, data=body, method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        return answer.read()


def script(rules):
    ask("/.origin/script", "PUT", rules.encode())


def counts():
    return {name: int(value) for name, value in re.findall(r'"(\w+)": (\d+)', ask("/.origin/stats").decode())}


def make(name, data):
    with open(os.path.join(WWW, name), "wb") as file:
        file.write(data)
    return data


def numbered(count):
    return b"".join(
        b"line %d %s\n" % (i, b"word " * (i * 7919 % 31)) for i in range(1, count + 1)
    )


def refused(*arguments, environment=None, **streams):
    """(status, words) of a run without a terminal of its own."""
    done = subprocess.run(
        [PAGEIN, "view", *arguments], env={**os.environ, "TERM": "xterm", **(environment or {})},
        stderr=subprocess.PIPE, text=True, timeout=LIMIT_S, check=False, **streams,
    )
    return done.returncode, done.stderr


# ---- what is shown -----------------------------------------------------------------------------


def walk(columns, rows):
    """Down, up, to the end and to the beginning, folded."""
    data = make("walk", numbered(5000))
    expected = text_rows(data, columns)
    terminal = Terminal(URL + "/walk", columns=columns, rows=rows).shows(expected)
    terminal.keys("Space").shows(expected[rows - 2 :])
    terminal.keys("j").shows(expected[rows - 1 :])
    terminal.keys("k", "k").shows(expected[rows - 3 :])
    terminal.keys("b").shows(expected)
    terminal.keys("G").shows(expected[-(rows - 2) :]).says("100%")
    terminal.keys("j").shows(expected[-(rows - 2) :])
    terminal.keys("b").shows(expected[-2 * (rows - 2) :])
    terminal.keys("g").shows(expected).says("line 1 ")
    terminal.keys("1", "5", "j").shows(expected[15:])
    terminal.keys("q").ends()


@test
def a_text_at_80x24():
    walk(80, 24)


@test
def a_text_at_200x60():
    walk(200, 60)


@test
def hexadecimal_digits():
    data = make("hex", bytes(i * i // 7 % 256 for i in range(20011)))
    for columns, rows in ((80, 24), (200, 60), (50, 10)):
        expected = hex_rows(data, columns)
        terminal = Terminal("-x", URL + "/hex", columns=columns, rows=rows).shows(expected)
        terminal.keys("Space").shows(expected[rows - 2 :])
        terminal.keys("G").shows(expected[-(rows - 2) :])
        terminal.type(":0x1235", "Enter").shows(hex_rows(data, columns, 0x1235))
        terminal.keys("x").says("0x12").keys("x", "g").shows(expected)
        terminal.keys("q").ends()


AWKWARD = (
    b"plain\n\ttab\tstops\n\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b31m \x7f\x00 bell\x07\n"
    + "éx 中文字 e\u0301 \u202eevil\u2066 zero\u200bwidth \ufeff\u00ad\u0085\n".encode()
    + b"broken \xff\xc3( \xe2\x82 \xf0\x9f\x98\xed\xa0\x80\r\n"
    + "中".encode() * 60 + b"\n" + b"x" * 79 + "中\n".encode() + b"\x1b" * 45 + b"\nno newline at the end"
)


@test
def nothing_is_obeyed():
    """Escape sequences, control characters, bidi overrides: shown, in UTF-8 and in the C locale."""
    make("awkward", AWKWARD)
    for locale in ("C.UTF-8", "C"):
        for columns, rows in ((80, 24), (200, 60)):
            expected = text_rows(AWKWARD, columns, locale != "C")
            terminal = Terminal(URL + "/awkward", columns=columns, rows=rows, locale=locale)
            terminal.shows(expected).keys("q").ends()
    assert "red" not in Terminal.tmux("display", "-p", "-t", "view", "#{pane_title}")


@test
def a_line_without_an_end():
    """Folded and cut; where it is cut in two is the same from above and from below."""
    data = make("long", b"start\n" + b"0123456789" * 9000 + b"\nend\n" + b"z" * 40000)
    expected = text_rows(data, 80)
    terminal = Terminal(URL + "/long").shows(expected)
    terminal.keys("G").shows(expected[-22:])
    for _ in range(3):
        terminal.keys("b")
    terminal.shows(expected[-22 * 4 :])
    terminal.type(":50000", "Enter").says("0xc3[0-9a-f]{2}/")
    terminal.keys("q").ends()
    terminal = Terminal("-S", URL + "/long").shows(cut_rows(data, 80, 0))
    terminal.keys("Right").shows(cut_rows(data, 80, 40))
    terminal.keys("G").shows(cut_rows(data, 80, 40)).keys("Left").shows(cut_rows(data, 80, 0))
    terminal.keys("S", "g").shows(expected).keys("q").ends()


@test
def a_wide_window_and_a_narrow_one():
    data = make("walk", numbered(5000))
    terminal = Terminal(URL + "/walk").shows(text_rows(data, 80))
    for columns, rows in ((132, 43), (40, 12), (10, 6), (80, 24)):
        terminal.resize(columns, rows)
        terminal.shows(text_rows(data, columns))
    terminal.keys("q").ends()


@test
def an_empty_object():
    make("empty", b"")
    Terminal(URL + "/empty").shows(["(empty)"]).keys("G", "Space", "x", "b", "g").shows(["(empty)"]).keys("q").ends()


# ---- going somewhere ----------------------------------------------------------------------------


@test
def places():
    data = make("walk", numbered(5000))
    terminal = Terminal(URL + "/walk").shows(text_rows(data, 80))
    start = data.index(b"line 4000 ")
    rest = text_rows(data[start:], 80)
    terminal.type(f":{start + 2}", "Enter").shows(rest).says(f"0x{start:x}/")
    terminal.keys("m", "a", "g").shows(text_rows(data, 80))
    terminal.keys("'", "a").shows(rest)
    terminal.keys("'", "'").shows(text_rows(data, 80))
    terminal.type(f"{start}P").shows(rest)
    terminal.type(":+1K", "Enter").says(f"0x{start + 1024:x}"[:-2])
    terminal.type(":-1K", "Enter").type("50p").says("  50%")
    terminal.keys("'", "b").says("no such mark")
    terminal.type(":nonsense", "Enter").says("'nonsense' ")
    terminal.type(":120%", "Enter").says("is not a percentage")
    terminal.keys("g").shows(text_rows(data, 80))
    # Lines are known as far as they were read.
    terminal.type(":L3000", "Enter").says("line 3000 is not known")
    for _ in range(12):
        terminal.keys("Space")
    second = data.index(b"line 50 ")
    terminal.type("50g").shows(text_rows(data[second:], 80)).says("line 50 ")
    terminal.keys("q").ends()
    terminal = Terminal(f"--at={start}", URL + "/walk").shows(rest)
    terminal.keys("q").ends()


@test
def searches():
    data = make("walk", numbered(5000))
    terminal = Terminal(URL + "/walk").shows(text_rows(data, 80))

    def found(words):
        terminal.shows(text_rows(data[data.index(words) :], 80))

    terminal.keys("/").type("line 4321", "Enter")
    found(b"line 4321 ")
    terminal.keys("?").type("line 100 ", "Enter")
    found(b"line 100 ")
    # A regular expression, anchored to lines.
    terminal.keys("/", "Tab").says("/regex:").type("^line (2[0-9]00|77777) ", "Enter")
    found(b"line 2000 ")
    terminal.keys("n")
    found(b"line 2100 ")
    terminal.keys("n")
    found(b"line 2200 ")
    terminal.keys("N")
    found(b"line 2100 ")
    terminal.keys("/").type("(", "Enter").says("\\(: .")
    # Bytes.
    terminal.keys("/", "Tab").says("/bytes:").type(b"line 3333".hex(), "Enter")
    found(b"line 3333 ")
    terminal.keys("/").type("6", "Enter").says("pairs of hexadecimal")
    terminal.keys("/", "Tab").says("/text:").type("not there", "Enter").says("not found behind")
    terminal.keys("n").says("not found behind").keys("q").ends()


@test
def a_search_that_takes_long_can_be_stopped():
    script("path=/generated/* range=1M-: delay=1h")
    terminal = Terminal(URL + "/generated/64M").says("generated|64M")
    terminal.keys("/").type("what is not there", "Enter").says(r"searching at 0x[1-9a-f]\w+, \d+%")
    # Moving goes on meanwhile.
    terminal.keys("j", "x").has("(?m)^000000[0-9a-f]0  ")
    terminal.says("searching at").keys("C-c").says("search stopped")
    terminal.keys("q").ends()


# ---- servers that are not well ------------------------------------------------------------------


@test
def keys_work_while_a_page_is_waited_for():
    data = make("walk", numbered(60000))
    script("range=1M-: delay=1h")
    terminal = Terminal(URL + "/walk").shows(text_rows(data[:90000], 80))
    terminal.type(":2M", "Enter").has(r"\[waiting for 0x200000\]")
    terminal.wait(lambda screen: "~" in screen[22], "the bar shows that something is on its way")
    terminal.keys("j", "k", "x").has(r"\[waiting for 0x200000\]")
    terminal.keys("x", "g").shows(text_rows(data[:90000], 80))
    terminal.type(":2M", "Enter").has(r"\[waiting").keys("q").ends()


@test
def a_page_that_can_not_be_had():
    data = make("walk", numbered(60000))
    script("range=1M-: status=503")
    terminal = Terminal("--timeout=1s", URL + "/walk").shows(text_rows(data[:90000], 80))
    terminal.type(":2M", "Enter").has(r"\[unreadable at 0x1ff000: .*503.*; r retries\]|\[unreadable at 0x200000: .*503")
    terminal.wait(lambda screen: "!" in screen[22], "the bar shows the failure")
    terminal.keys("x").has(r"00200000  (\?\? ){8}")
    terminal.keys("x", "g").shows(text_rows(data[:90000], 80))
    # A search ends there, and can go on behind.
    terminal.keys("/").type("line 59999 ", "Enter").says("unreadable at 0x.*503.*n goes on")
    script("")
    terminal.type(":2M", "Enter").keys("r")
    start = data.rindex(b"\n", 0, 2 << 20) + 1
    rows = text_rows(data[start : start + 90000], 80)
    before = len(text_rows(data[start : 2 << 20], 80)) - 1
    terminal.shows(rows[before:])
    terminal.keys("/").type("line 59999 ", "Enter")
    terminal.has("line 59999 ")
    terminal.keys("q").ends()


@test
def an_object_that_changes():
    """Old bytes or an error, and never a mixture."""
    data = make("walk", numbered(60000))
    terminal = Terminal("--timeout=1s", URL + "/walk").shows(text_rows(data[:90000], 80))
    script('path=/walk : etag="\\"other\\""')
    terminal.type(":2M", "Enter").has(r"\[unreadable at 0x")
    terminal.keys("g").shows(text_rows(data[:90000], 80))
    terminal.keys("q").ends()


@test
def what_can_not_be_opened():
    Terminal(URL + "/nope").has("pagein view: http.*/nope: HTTP 404")
    Terminal("ftp://x/y").has("pagein view: ftp://x/y: ")
    make("walk", numbered(5000))
    script("path=/walk : ignore-range")
    Terminal(URL + "/walk").has("pagein view: http.*/walk: .*ranges")


# ---- directories ----------------------------------------------------------------------------------


@test
def a_directory():
    data = make("walk", numbered(5000))
    os.makedirs(os.path.join(WWW, "sub", "inner"), exist_ok=True)
    for i in range(60):
        make(f"sub/file{i:02}", b"number %d\n" % i)
    make("sub/a b%c", b"odd\n")
    make("sub/line\nbreak", b"odd\n")
    terminal = Terminal(URL + "/sub/").has("(?m)^ +4  a b%c$")
    terminal.says(r"/sub/  1/63  ").has(r"file19")
    terminal.keys("Enter").shows(["odd"]).keys("q").says("1/63")
    terminal.keys("Down", "Down", "Enter").shows(["number 1"]).keys("q").says("3/63")
    terminal.keys("G").says("63/63").has(r"(?m) line$|line\^Jbreak")
    terminal.keys("k", "Enter").says(r"/sub/inner/  0/0").keys("Enter", "u").says("1/63")
    terminal = Terminal(URL + "/sub/").says("1/63")
    terminal.keys("u").has("(?m) sub/$").keys("G", "Enter").shows(text_rows(data, 80))
    terminal.keys("q").has("(?m) sub/$").keys("q").ends()
    script("path=/sub/file00 : status=403")
    terminal = Terminal(URL + "/sub").says("1/63").keys("j", "Enter").says("HTTP 403")
    script("path=/sub/file00 : delay=1h")
    terminal.keys("Enter").says("opening http").keys("q").says("2/63")
    terminal.keys("q").ends()


# ---- options, terminals, and the end of it --------------------------------------------------------


@test
def what_fits_on_one_screen():
    make("small", b"one\n\x1b[31mtwo\nthree\n")
    Terminal("-F", URL + "/small").ends().has(r"one\n\^\[\[31mtwo\nthree\n")
    Terminal("-Fx", URL + "/small").ends().has("00000000  6f 6e 65 0a 1b")
    make("more", b"".join(b"%d\n" % i for i in range(24)))
    Terminal("-F", URL + "/more").shows([str(i) for i in range(22)]).keys("q").ends()
    make("full", b"".join(b"%d\n" % i for i in range(23)))
    Terminal("-F", URL + "/full").ends().has("(?m)^22$")


@test
def colours():
    make("small", b"one\n")
    colour = re.compile("\x1b\\[[0-9;]*3[0-7]m")
    terminal = Terminal(URL + "/small", TERM="tmux-256color").shows(["one"])
    terminal.wait(lambda _: colour.search("\n".join(terminal.screen("-e"))), "the bar has a colour")
    terminal.keys("q").ends()
    terminal = Terminal(URL + "/small", TERM="tmux-256color", NO_COLOR="1").shows(["one"])
    terminal.wait(lambda screen: screen[22].startswith("#" * 80), "the bar")
    assert not colour.search("\n".join(terminal.screen("-e")))
    terminal.keys("q").ends()


@test
def what_is_no_terminal_is_refused():
    make("small", b"one\n")
    null = subprocess.DEVNULL
    status, words = refused(URL + "/small", stdin=null, stdout=subprocess.PIPE)
    assert status == 1 and "standard output is no terminal: pagein cat" in words, words
    for arguments in ([], ["-"]):
        status, words = refused(*arguments, stdin=subprocess.PIPE, stdout=null)
        assert status == 2 and "standard input is a stream" in words, words
    for term, expected in (
        ("dumb", "TERM=dumb: this terminal can't move its cursor"),
        ("no-such-one", "TERM=no-such-one: unknown terminal"),
        ("", "TERM is not set"),
    ):
        Terminal(URL + "/small", TERM=term, columns=200).ends(1).has(re.escape(expected))


@test
def signals():
    """The terminal is given back when something ends us, a crash included."""
    data = make("walk", numbered(5000))
    crashes = () if SANITIZED else (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS)
    for number in (signal.SIGTERM, signal.SIGHUP, *crashes):
        terminal = Terminal(URL + "/walk").shows(text_rows(data, 80))
        os.kill(terminal.pid(), number)
        terminal.ends(128 + number)
    terminal = Terminal(URL + "/walk").shows(text_rows(data, 80))
    terminal.keys("C-c").says("q quits").keys("q").ends()


@test
def keys_are_listed():
    make("small", b"one\n")
    terminal = Terminal(URL + "/small", rows=40).shows(["one"])
    terminal.keys("h").has("(?m)^Space f PgDn").keys("h").shows(["one"])
    terminal.keys("=").says("http.*small.*0-4 of 4").keys("!").says("no such key").keys("Q").ends()


# ---- little is fetched ------------------------------------------------------------------------------


@test
def a_tebibyte():
    """Ten jumps take a request or two each, and less than a mebibyte together."""
    script(": delay=10ms")
    before = counts()
    terminal = Terminal("-x", URL + "/generated/1T").has("(?m)^0000000000  ")
    for percent in range(5, 100, 10):
        at = (1 << 40) * percent // 100
        terminal.type(f"{percent}p").has(f"(?m)^{at - at % 16:010x}  .. ")
    after = counts()
    assert after["body_bytes"] - before["body_bytes"] < 1 << 20, (before, after)
    assert after["ranged_requests"] - before["ranged_requests"] <= 1 + 1 + 2 * 10, (before, after)
    terminal.keys("x", "G").says("100%").keys("x").has("(?m)^fffffff[0-9a-f]{3}  ")
    status = open(f"/proc/{terminal.pid()}/status", encoding="ascii").read()
    resident = int(re.search(r"VmRSS:\s+(\d+)", status).group(1))
    assert SANITIZED or resident < 40 << 10, f"{resident} KiB resident"
    # Neighbours are fetched as they are looked at.
    before = counts()
    terminal.keys("b", "b", "b", "b").says("0xfffffff[0-9a-f]{3}/")
    assert counts()["body_bytes"] - before["body_bytes"] < 64 << 10
    terminal.keys("q").ends()


def main():
    names = sys.argv[1:]
    failed = 0
    for function in TESTS:
        if names and function.__name__ not in names:
            continue
        script("")
        try:
            function()
            print(f"ok   {function.__name__}", flush=True)
        except (AssertionError, LookupError, ValueError, subprocess.SubprocessError, OSError) as error:
            failed += 1
            print(f"FAIL {function.__name__}: {error}", flush=True)
    return failed > 0


def skip(reason):
    print(f"skipped: {reason}", file=sys.stderr)
    sys.exit(77)


if not shutil.which("tmux"):
    skip("no tmux")
if "FAIL  libpagein:" in subprocess.run([PAGEIN, "doctor"], capture_output=True, text=True, check=False).stdout:
    skip("no userfaultfd for this user")
# meson's limit, too, leaves no server behind.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
os.mkdir(WWW)
origin = subprocess.Popen([ORIGIN, "--root", WWW], stdout=subprocess.PIPE, text=True)
# Without a session a server ends.
Terminal.tmux("new-session", "-d", "-s", "keeper", "exec sleep 100000")
URL = "http://" + origin.stdout.readline().split()[-1]
try:
    sys.exit(main())
finally:
    Terminal.tmux("kill-server", check=False)
    origin.terminate()
    origin.wait()
    shutil.rmtree(BASE, ignore_errors=True)
