"""Memory of connections that made one request and wait."""

from __future__ import annotations

import socket
import ssl
import time
from typing import Any

from bench.process import Failure
from bench.session import Session, say
from bench.shape import HOST, Shape

_WARM = 50
_SETTLE_SECONDS = 2


def ask(session: Session, shape: Shape, count: int) -> list[dict[str, Any]]:
    """Opens connections to each peer, one request on each, and sees what they take."""
    answers = []
    for name, peer in session.peers_for(shape).items():
        with session.serving(peer, shape) as running:
            open_: list[socket.socket] = []
            try:
                open_ += [_connection(shape, running.place.port) for _ in range(_WARM)]
                time.sleep(_SETTLE_SECONDS / 4)
                before, cpu = running.process.memory_kib(), running.process.cpu_ns()
                open_ += [_connection(shape, running.place.port) for _ in range(count)]
                cpu = running.process.cpu_ns() - cpu
                time.sleep(_SETTLE_SECONDS)
                after = running.process.memory_kib()
            except OSError as error:
                raise Failure(f"{name} took {len(open_)} connections and then: {error}") from error
            finally:
                for connection in open_:
                    connection.close()
        each = (after - before) / count
        say(f"  {name}: {each:.2f} KiB per connection ({count:,} of them)")
        answers.append(
            {
                "peer": name,
                "variant": "",
                "connections": count,
                "kib": round(each, 3),
                "memory_kib_before": before,
                "memory_kib_after": after,
                "cpu_us_per_connection": round(cpu / 1e3 / count, 1),
            }
        )
    return answers


def _connection(shape: Shape, port: int) -> socket.socket:
    """A connection that made a request."""
    connection = socket.create_connection(("127.0.0.1", port), 10)
    connection.settimeout(20)
    # Else the request waits 40 ms behind the end of the handshake, for an acknowledgement that is delayed.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if shape.tls:
        connection = _CLIENT.wrap_socket(connection, server_hostname=HOST)
    connection.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    answer = connection.recv(4096)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise OSError(f"got {answer[:60]!r}")
    return connection


def _client() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


_CLIENT = _client()
