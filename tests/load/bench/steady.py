"""A client at a steady rate on kept connections: requests are due at even times whether the proxy keeps up or not.

    python3 -m bench.steady PORT RATE CONNECTIONS HOST…

It runs until standard input closes and then prints JSON: requests, what failed and how, and latency from the due time.
A request that was sent and got no whole answer, or one other than 200, failed. A connection that was closed while
idle is replaced without harm.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass
from itertools import cycle


@dataclass
class Connection:
    """A connection; `due` is the time of the request under way, None when idle."""

    socket: socket.socket
    due: float | None = None
    answer: bytes = b""


class Client:
    """All connections and what became of their requests."""

    def __init__(self, port: int, rate: float, connections: int, hosts: list[str]):
        self._address = ("127.0.0.1", port)
        self._step = 1 / rate
        self._requests = cycle([f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() for host in hosts])
        self._selector = selectors.DefaultSelector()
        self._idle: deque[Connection] = deque()
        self.failures: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.reconnects = 0
        for _ in range(connections):
            self._connect()

    def run(self) -> None:
        """Until standard input closes."""
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        due = time.monotonic()
        while True:
            now = time.monotonic()
            while due <= now and self._idle:
                self._send(due)
                due += self._step
            for key, _ in self._selector.select(max(due - now, 0) if self._idle else 0.05):
                if key.fileobj is sys.stdin:
                    return
                self._read(key.data)

    def finish(self, seconds: float) -> None:
        """Waits for the answers that are still due."""
        self._selector.unregister(sys.stdin)
        deadline = time.monotonic() + seconds
        while self._waiting() and time.monotonic() < deadline:
            for key, _ in self._selector.select(0.05):
                self._read(key.data)
        self.failures["no answer"] += self._waiting()

    def report(self) -> dict[str, object]:
        """What became of all."""
        ordered = sorted(self.latencies)
        at = lambda q: round(ordered[min(int(len(ordered) * q), len(ordered) - 1)] * 1e3, 3) if ordered else None
        failures = +self.failures
        return {
            "requests": len(ordered) + failures.total(),
            "failed": failures.total(),
            "failures": dict(failures),
            "reconnects": self.reconnects,
            "latency_ms": {"p50": at(0.5), "p99": at(0.99), "max": at(1)},
        }

    def _waiting(self) -> int:
        connections = (key.data for key in self._selector.get_map().values() if key.data)
        return sum(1 for connection in connections if connection.due is not None)

    def _connect(self) -> None:
        try:
            connection = Connection(socket.create_connection(self._address, 5))
        except OSError as error:
            self.failures[f"connect: {type(error).__name__}"] += 1
            return
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.socket.setblocking(False)
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        self._idle.append(connection)

    def _send(self, due: float) -> None:
        connection = self._idle.popleft()
        connection.due, connection.answer = due, b""
        try:
            connection.socket.sendall(next(self._requests))
        except OSError as error:
            self._replace(connection, type(error).__name__)

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self._replace(connection, type(error).__name__)
            return
        if not data:
            self._replace(connection, "closed before the answer")
            return
        connection.answer += data
        status, done, closes = parse(connection.answer)
        if not done or connection.due is None:
            return
        if status == 200:
            self.latencies.append(time.monotonic() - connection.due)
        else:
            self.failures[f"status {status}"] += 1
        connection.due = None
        if closes:
            self._replace(connection, "")
        else:
            self._idle.append(connection)

    def _replace(self, connection: Connection, why: str) -> None:
        if connection.due is not None:
            self.failures[why] += 1
        elif connection in self._idle:
            self._idle.remove(connection)
        connection.due = None
        self._selector.unregister(connection.socket)
        connection.socket.close()
        self.reconnects += 1
        self._connect()


def parse(answer: bytes) -> tuple[int, bool, bool]:
    """Status, whether the answer is whole, whether the connection ends with it. Bodies have a length."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return 0, False, False
    lines = head.lower().split(b"\r\n")
    length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")), 0)
    return int(lines[0].split()[1]), len(body) >= length, b"connection: close" in lines


def main() -> None:
    """The command."""
    port, rate, connections, *hosts = sys.argv[1:]
    client = Client(int(port), float(rate), int(connections), hosts)
    client.run()
    client.finish(5)
    print(json.dumps(client.report()))


if __name__ == "__main__":
    main()
