"""The servers: nginx near by, our origin for what is far or larger than any disk."""
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request

from tools import Absent, call, need

NGINX = """
daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log; worker_processes 1; {user}
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; keepalive_requests 1000000;
    client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
    uwsgi_temp_path {dir}; scgi_temp_path {dir};
    server {{ {listen} root {dir}/www; autoindex on; }}
}}
"""
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"

FAR_DELAY_MS = 10
FAR_RATE = 80000000


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Nginx:
    """nginx on loopback with one file of random bytes, by http, and by https where openssl is."""

    def __init__(self, folder, size_mib):
        self.folder = folder
        self.size = size_mib << 20
        self.path = os.path.join(folder, "www", "object")
        self.port, self.tls_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}/object"
        self.other_url = f"http://127.0.0.1:{self.port}/other"  # another object with the same bytes
        self.ca_file = os.path.join(folder, "ca.pem")
        os.makedirs(os.path.dirname(self.path))
        os.chmod(folder, 0o755)
        with open(self.path, "wb") as out:
            for _ in range(size_mib):
                out.write(os.urandom(1 << 20))
        os.link(self.path, os.path.join(os.path.dirname(self.path), "other"))
        self.process = subprocess.Popen(["nginx", "-c", self._configure()], stderr=subprocess.DEVNULL)
        self._wait()

    def _configure(self):
        config = os.path.join(self.folder, "nginx.conf")
        listen = f"listen 127.0.0.1:{self.port};"
        if self._certify():
            listen += (f" listen 127.0.0.1:{self.tls_port} ssl; ssl_certificate {self.folder}/tls.pem;"
                       f" ssl_certificate_key {self.folder}/tls.key;")
        user = "user root;" if os.geteuid() == 0 else ""
        with open(config, "w", encoding="utf-8") as out:
            out.write(NGINX.format(dir=self.folder, listen=listen, user=user))
        return config

    def _certify(self):
        """A certificate of our own making, and a file of authorities as long as a system's, with it
        at the end: reading that is what a TLS connection can spend most of its time with."""
        certificate = os.path.join(self.folder, "tls.pem")
        try:
            need("openssl")
        except Absent:
            return False
        call("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
             "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
             os.path.join(self.folder, "tls.key"), "-out", certificate, stderr=subprocess.DEVNULL)
        with open(self.ca_file, "wb") as out:
            for path in (CERTIFICATES, certificate):
                if os.path.exists(path):
                    with open(path, "rb") as file:
                        out.write(file.read())
        return True

    def _wait(self):
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError("nginx does not start")

    def tls(self):
        """The https:// URL, and an environment in which its certificate is believed."""
        if not os.path.exists(self.ca_file):
            raise Absent("there is no openssl to make a certificate")
        return f"https://127.0.0.1:{self.tls_port}/object", {**os.environ, "SSL_CERT_FILE": self.ca_file}

    def pin(self, cpus):
        """Master and worker."""
        children = call("pgrep", "-P", str(self.process.pid)).split()
        for pid in [self.process.pid, *map(int, children)]:
            os.sched_setaffinity(pid, cpus)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


class Origin:
    """with Origin(build, folder) as origin: our own server, with the objects it pretends."""

    def __init__(self, build, folder, script=""):
        path = os.path.join(folder, "origin.script")
        with open(path, "w", encoding="ascii") as out:
            out.write(script)
        self.process = subprocess.Popen([build.origin, "--script", path], stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().split()[-1]

    def url(self, size, seed=1):
        """size: bytes, or such as "1T"."""
        return f"http://{self.address}/generated/{size}-{seed}"

    def requests(self):
        """Since it was started."""
        with urllib.request.urlopen(f"http://{self.address}/.origin/stats") as answer:
            return json.load(answer)["requests"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


def far_origin(build, folder):
    """Every answer late, every connection slow."""
    return Origin(build, folder, f": delay={FAR_DELAY_MS}ms rate={FAR_RATE}\n")


def curl_seconds(url, *arguments):
    return float(call("curl", "-so", "/dev/null", "-w", "%{time_total}", *arguments, url))


def parallel_curls(url, size, count):
    """Seconds that so many curls need for the parts of one object, side by side."""
    part = size // count
    start = time.monotonic()
    curls = [
        subprocess.Popen(["curl", "-so", "/dev/null", "-r", f"{i * part}-{(i + 1) * part - 1}", url])
        for i in range(count)
    ]
    for curl in curls:
        curl.wait()
    return time.monotonic() - start
