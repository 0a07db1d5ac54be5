"""The steady client tells failures from connections that were closed while idle."""

import socket
import threading
import unittest

from bench.parity import read
from bench.steady import Client, parse

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Parsing(unittest.TestCase):
    def test_an_answer_is_whole_with_its_body(self):
        self.assertEqual(parse(OK[:20]), (0, False, False))
        self.assertEqual(parse(OK[:-1]), (200, False, False))
        self.assertEqual(parse(OK), (200, True, False))

    def test_the_last_answer_of_a_connection(self):
        self.assertEqual(parse(b"HTTP/1.1 503 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), (503, True, True))

    def test_what_curl_prints(self):
        reply = read(b"HTTP/2 200 \r\nX-Seen-Host: a\r\n\r\nbody")
        self.assertEqual((reply.status, reply.version, reply.headers, reply.body), (200, "2", {"x-seen-host": "a"}, b"body"))


class Failing(unittest.TestCase):
    def serve(self, *answers: bytes) -> int:
        """One connection per answer: reads a request when the answer is not empty, answers, closes."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def run() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                if answer != b"idle":
                    connection.recv(4096)
                    connection.sendall(answer)
                connection.close()

        threading.Thread(target=run, daemon=True).start()
        return listener.getsockname()[1]

    def step(self, client: Client, send: bool) -> None:
        if send:
            client._send(0.0)
        for key, _ in client._selector.select(5):
            client._read(key.data)

    def test_a_connection_closed_before_its_answer_is_a_failure(self):
        client = Client(self.serve(b"", OK), 1000, 1, ["a"])
        self.step(client, send=True)
        self.assertEqual(client.failures, {"closed before the answer": 1})
        self.step(client, send=True)
        self.assertEqual((client.report()["requests"], client.report()["failed"]), (2, 1))

    def test_a_connection_closed_while_idle_is_replaced(self):
        client = Client(self.serve(b"idle", OK), 1000, 1, ["a"])
        self.step(client, send=False)
        self.step(client, send=True)
        self.assertEqual((client.report()["failed"], client.reconnects, len(client.latencies)), (0, 1, 1))

    def test_another_status_is_a_failure(self):
        client = Client(self.serve(b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", OK), 1000, 1, ["a"])
        self.step(client, send=True)
        self.assertEqual(client.failures, {"status 503": 1})
