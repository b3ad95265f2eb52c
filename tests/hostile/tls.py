#!/usr/bin/env python3
"""TLS relays in front of the origin, each wrong in one way: tls.py ORIGIN_PORT DIRECTORY

Prints a line "NAME PORT" for each, then an empty one. "NAME-later" is right until a line comes on
standard input, then cuts its connections off and is as wrong as NAME. Certificates are made below
DIRECTORY: ca.pem is the authority to trust.
"""
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import warnings

origin_port, directory = int(sys.argv[1]), sys.argv[2]
turned = threading.Event()
cut_off = []  # connections that are right until then
warnings.simplefilter("ignore")  # about TLS 1.0


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def authority(name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "30", "-subj", "/CN=" + name, "-keyout", name + ".key", "-out", name + ".pem")


def certificate(name, by="ca", alternative="IP:127.0.0.1", dates=None):
    """NAME.pem and NAME.key, signed by an authority; dates: its first and last second."""
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", "/CN=" + name, "-keyout", name + ".key", "-out", name + ".csr")
    base = os.path.join(directory, "db-" + name)
    os.mkdir(base)
    for file, text in (("index", ""), ("serial", os.urandom(8).hex() + "\n")):
        with open(os.path.join(base, file), "w") as out:
            out.write(text)
    with open(os.path.join(base, "conf"), "w") as out:
        out.write("[ca]\ndefault_ca=d\n[d]\ndatabase=%s/index\nserial=%s/serial\nnew_certs_dir=%s\n"
                  "default_md=sha256\npolicy=p\nx509_extensions=x\n[p]\ncommonName=supplied\n"
                  "[x]\nsubjectAltName=%s\n" % (base, base, base, alternative))
    first, last = dates or ("20200101000000Z", "20991231000000Z")
    openssl("ca", "-batch", "-notext", "-config", os.path.join(base, "conf"), "-in", name + ".csr",
            "-out", name + ".pem", "-cert", by + ".pem", "-keyfile", by + ".key",
            "-startdate", first, "-enddate", last)


def context(name, **settings):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(os.path.join(directory, name + ".pem"),
                         os.path.join(directory, name + ".key"))
    for key, value in settings.items():
        setattr(made, key, value)
    return made


authority("ca")
authority("stranger")
authority("self")
certificate("good")
certificate("expired", dates=("20200101000000Z", "20200201000000Z"))
certificate("early", dates=("20900101000000Z", "20991231000000Z"))
certificate("host", alternative="DNS:elsewhere.test")
certificate("unknown", by="stranger")
good = context("good")
old = context("good", maximum_version=ssl.TLSVersion.TLSv1_1, minimum_version=ssl.TLSVersion.TLSv1)
old.set_ciphers("DEFAULT@SECLEVEL=0")


def end(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()


def end_reading(connection):
    try:
        connection.shutdown(socket.SHUT_RD)
    except OSError:
        pass


def pump(source, target, limit=None):
    """Copies until the end, or `limit` bytes; target is left open."""
    try:
        while limit is None or limit > 0:
            data = source.recv(65536 if limit is None else min(65536, limit))
            if not data:
                break
            target.sendall(data)
            limit = None if limit is None else limit - len(data)
    except OSError:
        pass


def relay(plain, made, limit=None, reset=False):
    """The origin behind TLS. With a limit: so many bytes of answers, then FIN without TLS's own
    goodbye, or RST: cut off as anybody on the way can."""
    try:
        secure = made.wrap_socket(plain, server_side=True)
    except OSError:
        return end(plain)
    server = socket.create_connection(("127.0.0.1", origin_port))
    other_way = threading.Thread(target=pump, args=(secure, server), daemon=True)
    other_way.start()
    pump(server, secure, limit)
    if reset:
        # Nobody else may be in it, or it would not be closed.
        end_reading(secure)
        other_way.join()
        secure.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(secure.detach())
    else:
        end(secure)
    end(server)


def garbage(connection):
    connection.sendall(b"\x16\x03\x03\x40\x00" + b"\0" * 100)
    end(connection)


def plain_http(connection):
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    end(connection)


def silence(connection):
    while connection.recv(65536):
        pass


def hang_up(connection):
    connection.recv(100)
    end(connection)


# A page and its head fit below 6,000 bytes, a probe's first 16 KiB don't.
behaviours = {
    "good": lambda c: relay(c, good),
    "expired": lambda c: relay(c, context("expired")),
    "early": lambda c: relay(c, context("early")),
    "host": lambda c: relay(c, context("host")),
    "self": lambda c: relay(c, context("self")),
    "unknown": lambda c: relay(c, context("unknown")),
    "old": lambda c: relay(c, old),
    "cut": lambda c: relay(c, good, 3000),
    "cuthead": lambda c: relay(c, good, 40),
    "reset": lambda c: relay(c, good, 3000, True),
    "garbage": garbage,
    "plain": plain_http,
    "silent": silence,
    "hangup": hang_up,
}


def serve(listener, name, later):
    while True:
        connection = listener.accept()[0]
        right = later and not turned.is_set()
        if right:
            cut_off.append(connection.dup())
        threading.Thread(target=behaviours["good" if right else name], args=(connection,),
                         daemon=True).start()


for name in behaviours:
    for later in (False, True):
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        print(name + "-later" * later, listener.getsockname()[1])
        threading.Thread(target=serve, args=(listener, name, later), daemon=True).start()
print(flush=True)
for line in sys.stdin:
    turned.set()
    for connection in cut_off:
        end(connection)
