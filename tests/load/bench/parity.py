"""Before anything is measured: does each proxy do the same work? A cell where one does less is void."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
from dataclasses import dataclass

from bench.backend import BODY, FAT_PATH, FAT_REQUEST, FAT_RESPONSE, LARGE
from bench.process import Failure
from bench.shape import Shape


@dataclass(frozen=True)
class Reply:
    """What curl got."""

    status: int
    version: str
    headers: dict[str, str]
    body: bytes


def check(name: str, shape: Shape, port: int) -> dict[str, str]:
    """Fails when the proxy does not do what the shape asks; what it does beyond, for the record."""
    host, path = shape.request("/parity")
    first, second = (fetch(shape, port, host, path), fetch(shape, port, host, path))

    def expect(what: str, got: object, wanted: object) -> None:
        if got != wanted:
            raise Failure(f"parity: {name}: {what} is {got!r}, not {wanted!r}")

    for reply in (first, second):
        expect("status", reply.status, 200)
        expect("body", reply.body, BODY)
        expect("HTTP version to the client", reply.version, "2" if shape.http2 else "1.1")
        seen = {key: reply.headers.get(f"x-seen-{key}", "") for key in ("host", "for", "protocol", "requests")}
        expect("HTTP version to the backend", seen["protocol"], "HTTP/2.0" if shape.upstream_http2 else "HTTP/1.1")
        if not shape.upstream_http2:  # nginx does not show :authority as a header
            expect("Host at the backend", seen["host"].split(":")[0], host)
        # Envoy names the machine's own address when the client is on the machine.
        expect("one address in X-Forwarded-For at the backend", len(re.findall(r"[0-9a-f.:]+", seen["for"])), 1)
    # A connection to the backend that was used before shows that they are kept.
    if int(second.headers.get("x-seen-requests", "0")) < 2:
        raise Failure(f"parity: {name} opens a new connection to the backend for each request")
    if shape.routes.kind != "any":
        expect("status of a host without route", fetch(shape, port, "unknown.example.com", "/x").status, 404)
    if shape.routes.kind == "prefixes":
        expect("status of a path without route", fetch(shape, port, host, "/unknown").status, 404)
    facts = {"response_headers": " ".join(sorted(h for h in first.headers if not h.startswith("x-seen")))}
    return facts | (_tls(name, port, host) if shape.tls else {})


def check_fat(name: str, shape: Shape, port: int) -> None:
    """That the many headers arrive."""
    host, _ = shape.request()
    reply = fetch(shape, port, host, FAT_PATH, FAT_REQUEST)
    lost = [h for h, value in FAT_RESPONSE.items() if reply.headers.get(h.lower()) != value]
    if reply.status != 200 or reply.body != BODY or lost:
        raise Failure(f"parity: {name}: fat request got {reply.status}, without or with other {lost}")


def check_large(name: str, shape: Shape, port: int) -> None:
    """That a megabyte arrives whole."""
    reply = fetch(shape, port, shape.request()[0], "/large")
    if reply.status != 200 or reply.body != LARGE:
        raise Failure(f"parity: {name}: large body got {reply.status} with {len(reply.body)} bytes")


def fetch(shape: Shape, port: int, host: str, path: str, headers: dict[str, str] | None = None) -> Reply:
    """One request by curl, whose HTTP/2 is not that of the load generator."""
    protocol = "--http1.1"
    if shape.http2:
        protocol = "--http2" if shape.tls else "--http2-prior-knowledge"
    command = ["curl", "--silent", "--show-error", "--insecure", "--max-time", "10", "--include", protocol]
    command += ["--connect-to", f"{host}:{port}:127.0.0.1:{port}", "-H", "User-Agent:", "-H", "Accept:"]
    for name, value in (headers or {}).items():
        command += ["-H", f"{name}: {value}"]
    # The Host header is without the port, as the load generators send it.
    command += ["-H", f"Host: {host}", f"{shape.scheme}://{host}:{port}{path}"]
    done = subprocess.run(command, capture_output=True, timeout=20)
    if done.returncode:
        raise Failure(f"curl {shape.scheme}://{host}{path}: {done.stderr.decode(errors='replace').strip()}")
    return read(done.stdout)


def read(text: bytes) -> Reply:
    """What `curl --include` printed."""
    head, _, body = text.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    status = re.match(r"HTTP/(\S+) (\d+)", first)
    if not status:
        raise Failure(f"curl printed no status line: {first!r}")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Reply(int(status.group(2)), status.group(1), headers, body)


def _tls(name: str, port: int, host: str) -> dict[str, str]:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 10) as plain, context.wrap_socket(plain, server_hostname=host) as tls:
        if tls.version() != "TLSv1.3":
            raise Failure(f"parity: {name} speaks {tls.version()}, not TLSv1.3")
        cipher = tls.cipher()
        return {"tls": f"{tls.version()} {cipher[0] if cipher else ''}".strip()}
