#!/usr/bin/env python3
"""endpoints.py - plays a container's, an instance's and STS's endpoint, as the tests say.

Prints its port, and serves until its stdin ends. PUT /.answer adds an answer: a first line
"METHOD PATH", a second line of words (fixture.h), and the body. PUT /.reset forgets all.
GET /.count and /.request/N tell what was asked, /.request/N with lower-case header names.
"""
import html
import http.server
import re
import sys
import threading
import time

answers = {}
requests = []
lock = threading.Lock()


def expand(body, last):
    def moment(match):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + int(match[1])))

    return re.sub(r"@TIME([+-]\d+)@", moment, body).replace("@LAST@", html.escape(last))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def date_time_string(self, timestamp=None):
        return super().date_time_string(time.time() + self.date_s)

    def answer(self, status, body=""):
        data = body.encode("utf-8", "surrogateescape")
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def control(self, body):
        if self.path == "/.answer":
            request, how, text = body.split("\n", 2)
            answers.setdefault(request, []).append((how, text))
            self.answer(204)
        elif self.path == "/.reset":
            answers.clear()
            requests.clear()
            self.answer(204)
        elif self.path == "/.count":
            self.answer(200, str(len(requests)))
        else:
            self.answer(200, requests[int(self.path.rsplit("/", 1)[1])])

    def serve(self):
        self.date_s = 0
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length).decode("utf-8", "surrogateescape")
        if self.path.startswith("/."):
            with lock:
                self.control(body)
            return
        head = "".join(f"{name.lower()}: {value}\n" for name, value in self.headers.items())
        with lock:
            requests.append(f"{self.command} {self.path}\n{head}\n{body}")
            queue = answers.get(f"{self.command} {self.path}", [("status=404", "")])
            how, text = queue[0] if len(queue) == 1 else queue.pop(0)
        how, _, want = how.partition("want=")
        words = dict(word.partition("=")[::2] for word in how.split())
        self.date_s = int(words.get("date_s", 0))
        time.sleep(int(words.get("delay_ms", 0)) / 1000)
        if "close" in words:
            self.close_connection = True
            return
        name, _, value = want.partition(": ")
        if want and self.headers.get(name) != value:
            self.answer(401)
            return
        try:
            self.answer(int(words.get("status", 200)), expand(text, body))
        except OSError:
            self.close_connection = True

    do_GET = do_PUT = do_POST = serve


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
