"""Requests: single ones that wait for an answer, and a load that counts what fails."""

from __future__ import annotations

import http.client
import multiprocessing
import socket
import ssl
import time
from collections import Counter
from multiprocessing.synchronize import Event
from typing import Any


def status(address: str, host: str, port: int = 80) -> int:
    """The status of a request on a new connection; 0 when there was none."""
    try:
        with socket.create_connection((address, port), 2) as connection:
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = connection.recv(4096)
            return int(answer[9:12]) if len(answer) >= 12 else 0
    except (OSError, ValueError):
        return 0


def first_200(address: str, host: str, seconds: float = 60) -> Counter[int]:
    """Asks until the answer is 200; what else was answered before."""
    others: Counter[int] = Counter()
    end = time.monotonic() + seconds
    while (answer := status(address, host)) != 200:
        others[answer] += 1
        if time.monotonic() > end:
            raise TimeoutError(f"{host} does not answer 200 within {seconds:.0f} s: {dict(others)}")
        time.sleep(0.001)
    return others


class Load:
    """Clients in processes of their own that ask as fast as they can, until the load ends. Half keep their connection, half take a new
    one for every request."""

    def __init__(self, address: str, host: str, port: int = 80, tls: bool = False, clients: int = 4) -> None:
        self._context = multiprocessing.get_context("fork")
        self._stop: Event = self._context.Event()
        self._answers = self._context.Queue()
        self._clients = [
            self._context.Process(target=_client, args=(address, host, port, tls, n % 2 == 0, self._stop, self._answers), daemon=True)
            for n in range(clients)
        ]

    def __enter__(self) -> Load:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop.set()

    def end(self) -> dict[str, Any]:
        """Ends the load; requests, and what failed by reason."""
        self._stop.set()
        requests, failed = 0, Counter[str]()
        for _ in self._clients:
            count, reasons = self._answers.get(timeout=30)
            requests += count
            failed.update(reasons)
        return {"requests": requests, "failed": sum(failed.values()), "reasons": dict(failed)}


def _client(address: str, host: str, port: int, tls: bool, keep: bool, stop: Event, answers: Any) -> None:
    requests, failed = 0, Counter[str]()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection: http.client.HTTPConnection | None = None
    headers = {"Host": host} if keep else {"Host": host, "Connection": "close"}
    while not stop.is_set():
        requests += 1
        reused = connection is not None and connection.sock is not None
        try:
            if connection is None:
                if tls:
                    connection = http.client.HTTPSConnection(address, port, timeout=10, context=context)
                else:
                    connection = http.client.HTTPConnection(address, port, timeout=10)
            connection.request("GET", "/", headers=headers)
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                failed[f"{response.status} {response.reason}"] += 1
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
            # A connection that idled may be closed by the other side at any time; a client that keeps connections asks again.
            if not reused:
                failed[type(error).__name__] += 1
            else:
                failed[f"{type(error).__name__} on a kept connection"] += 1
            connection = None
        except (OSError, http.client.HTTPException) as error:
            failed[type(error).__name__] += 1
            connection = None
        if not keep and connection is not None:
            connection.close()
            connection = None
    answers.put((requests, dict(failed)))
