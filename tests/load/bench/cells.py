"""The questions that are asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import change, idle, machine, memory, parity
from bench.backend import FAT_PATH, FAT_REQUEST
from bench.clients import Load, h2load, spread_script, wrk
from bench.peers.fairlead import Fairlead
from bench.rounds import Check, Generator, Variant, measure
from bench.session import Session
from bench.shape import Routes, Shape
from bench.targets import CONTROL


@dataclass(frozen=True)
class Cell:
    """A question, and how it is answered."""

    id: str
    title: str
    unit: str
    ask: Callable[[Session], list[dict[str, Any]]]


def _http1(connections: int, path: str = "/", headers: dict[str, str] | None = None, script: Path | None = None) -> Generator:
    def generate(shape: Shape, port: int, seconds: float) -> Load:
        host, target = shape.request(path)
        url = f"{shape.scheme}://127.0.0.1:{port}{target}"
        return wrk(url, seconds, connections, {"Host": host, **(headers or {})}, script)

    return generate


def _http2(shape: Shape, port: int, seconds: float) -> Load:
    return h2load(f"{shape.scheme}://127.0.0.1:{port}/", requests=round(30_000 * seconds), connections=8, streams=8)


def _handshakes(shape: Shape, port: int, seconds: float) -> Load:
    batches = [
        h2load(f"https://127.0.0.1:{port}/", requests=400, connections=400, streams=1, http1=True)
        for _ in range(max(1, round(2 * seconds)))
    ]
    return Load(sum(b.requests for b in batches), sum(b.failed for b in batches), sum(b.seconds for b in batches))


def _one(shape: Shape, generate: Generator, *checks: Check) -> Callable[[Session], list[dict[str, Any]]]:
    return lambda session: measure(session, [Variant("", shape, generate)], [parity.check, *checks])


def _small(session: Session) -> list[dict[str, Any]]:
    """The central cell; Fairlead is there three times: again as control, and with its access log."""
    generate = _http1(32)
    variants = [Variant("", Shape(), generate)]
    if "fairlead" in session.peers:
        variants.append(Variant(CONTROL, Shape(), generate, {"fairlead": session.peers["fairlead"]}))
        variants.append(Variant("access log", Shape(), generate, {"fairlead": Fairlead(access_log="json")}))
    return measure(session, variants, [parity.check])


def _routes(kind: str) -> Callable[[Session], list[dict[str, Any]]]:
    def ask(session: Session) -> list[dict[str, Any]]:
        few, many = Routes(kind, 10), Routes(kind, session.mode.routes)
        last = _http1(32)
        variants = [Variant(f"{routes.count:,}, the last", Shape(routes=routes), last) for routes in (few, many)]
        if session.mode.spread:
            path = machine.TARGET / "load" / "run" / f"{kind}.lua"
            # An odd stride visits all in an order that no cache expects.
            order = (many.at(i * 7919 % many.count) for i in range(many.count))
            script = spread_script([(r.host or "", f"{r.prefix}/") for r in order], path)
            variants.append(Variant(f"{many.count:,}, all in turn", Shape(routes=many), _http1(32, script=script)))
        return measure(session, variants, [parity.check])

    return ask


_TLS = Shape(tls=True)
_CPU = "µs of CPU per request"

CELLS = {
    cell.id: cell
    for cell in (
        Cell("h1", "HTTP/1.1 → HTTP/1.1, 32 connections", _CPU, _small),
        Cell("fat", "14 headers each way", _CPU, _one(Shape(), _http1(32, FAT_PATH, FAT_REQUEST), parity.check_fat)),
        Cell("single", "1 connection", _CPU, _one(Shape(), _http1(1))),
        Cell("large", "1 MiB bodies, 8 connections", _CPU, _one(Shape(), _http1(8, "/large"), parity.check_large)),
        Cell("h2-h1", "HTTP/2 → HTTP/1.1, 8 × 8 streams", _CPU, _one(Shape(http2=True), _http2)),
        Cell("h2-h2", "HTTP/2 → HTTP/2, 8 × 8 streams", _CPU, _one(Shape(http2=True, upstream_http2=True), _http2)),
        Cell("tls", "TLS 1.3, 32 connections", _CPU, _one(_TLS, _http1(32))),
        Cell("handshake", "TLS 1.3 full handshake and a request", _CPU, _one(_TLS, _handshakes)),
        Cell("prefixes", "prefixes of one host", _CPU, _routes("prefixes")),
        Cell("hosts", "hosts", _CPU, _routes("hosts")),
        Cell("change", "one changed route among {routes:,}, 2,000 requests per second running", "ms", change.ask),
        Cell("idle", "idle connection", "KiB", lambda session: idle.ask(session, Shape(), session.mode.idle_connections)),
        Cell("idle-tls", "idle TLS connection", "KiB", lambda session: idle.ask(session, _TLS, session.mode.idle_tls_connections)),
        Cell("memory", "route with a backend of its own", "KiB", memory.ask),
    )
}
