#!/usr/bin/env python3
"""A small HTTP proxy for tests: proxy.py [--no-connect] LOG

Prints its port. Each request is a line of LOG: method, target, and what it said about itself
(Proxy-Authorization, Authorization or "-"). With --no-connect CONNECT is refused, as by a proxy
that serves port 80 only.
"""
import socket
import sys
import threading

refuses = "--no-connect" in sys.argv
log = open(sys.argv[-1], "a", buffering=1)


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    finally:
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def serve(client):
    head = b""
    while b"\r\n\r\n" not in head:
        data = client.recv(65536)
        if not data:
            return
        head += data
    lines = head.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ")
    fields = {line.split(":", 1)[0].lower(): line.split(":", 1)[1].strip() for line in lines[1:]}
    log.write("%s %s %s %s\n" % (method, target, fields.get("proxy-authorization", "-"),
                                 fields.get("authorization", "-")))
    if method == "CONNECT":
        if refuses:
            client.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return client.close()
        host, port = target.rsplit(":", 1)
        server = socket.create_connection((host, int(port)))
        client.sendall(b"HTTP/1.1 200 Yes\r\n\r\n")
    else:
        authority, path = target.removeprefix("http://").split("/", 1)
        host, port = authority.rsplit(":", 1)
        server = socket.create_connection((host, int(port)))
        kept = [line for line in lines[1:] if not line.lower().startswith(("proxy-", "connection:"))]
        server.sendall("\r\n".join(["%s /%s HTTP/1.1" % (method, path), *kept, "Connection: close",
                                    "", ""]).encode("latin-1"))
    threading.Thread(target=pump, args=(client, server), daemon=True).start()
    pump(server, client)


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
