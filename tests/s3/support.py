"""support.py - asks the program of answers.c, whose path is the test's only argument."""
import json
import subprocess
import sys


class Answers:
    def __init__(self):
        self.process = subprocess.Popen(
            sys.argv[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, command, *arguments):
        """Each argument is text, bytes, or None. Text comes back with a character for each byte."""
        words = [command]
        for argument in arguments:
            if isinstance(argument, str):
                argument = argument.encode("utf-8")
            words.append("-" if argument is None else argument.hex())
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        assert self.process.wait() == 0


def skip(reason):
    print(f"skipped: {reason}", file=sys.stderr)
    sys.exit(77)
