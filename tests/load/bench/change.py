"""One route changes while requests to others run: how soon it answers, and whether anything fails."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.peers.base import put
from bench.process import OTHER_CORE, Failure
from bench.session import Running, Session, say
from bench.shape import CHANGED_HOST, Routes, Shape
from bench.stats import Spread

_RATE = 2000
_CONNECTIONS = 32
_PAUSE_SECONDS = 0.5
_LIMIT_SECONDS = 15


def ask(session: Session) -> list[dict[str, Any]]:
    """Changes the route of each peer some times."""
    answers = []
    shape = Shape(routes=Routes("hosts", session.mode.routes, change=0))
    for name, peer in session.peers_for(shape).items():
        with session.serving(peer, shape) as running:
            answer = _watch(running, session.mode.changes)
        times = Spread.of(answer["ms"])
        answers.append({"peer": name, "variant": "", "routes": session.mode.routes, "spread_ms": times.rounded(), **answer})
        say(
            f"  {name}: {times.median:.1f} ms (at most {times.high:.1f}), "
            f"{answer['load']['failed']} of {answer['load']['requests']:,} requests failed, and {answer['probe_failures']} probes"
        )
    return answers


def _watch(running: Running, changes: int) -> dict[str, Any]:
    took, probe_failures = [], 0
    with _load(running) as load:
        time.sleep(1)
        for number in range(1, changes + 1):
            shape = replace(running.shape, routes=replace(running.shape.routes, change=number))
            change = running.peer.prepare_change(shape, running.place)
            started = time.monotonic()
            put(change)
            running.peer.reload(running.process)
            probe_failures += _until_served(running, f"/v{number}/x", started)
            took.append((time.monotonic() - started) * 1e3)
            time.sleep(max(0.0, started + _PAUSE_SECONDS - time.monotonic()))
        time.sleep(0.5)
    return {"ms": [round(t, 2) for t in took], "probe_failures": probe_failures, "load": load}


def _until_served(running: Running, path: str, started: float) -> int:
    """Asks on new connections until the changed route answers; how often the answer was neither 404 nor 200."""
    failures = 0
    while (status := _probe(running.place.port, path)) != 200:
        failures += status != 404
        if time.monotonic() > started + _LIMIT_SECONDS:
            raise Failure(f"{running.peer.name} did not take the change in; {running.process.last_words()}")
        time.sleep(0.0005)
    return failures


def _probe(port: int, path: str) -> int:
    """The status of a request on a new connection, 0 when it failed."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {CHANGED_HOST}\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while len(answer) < 12 and (more := connection.recv(4096)):
                answer += more
            return int(answer[9:12]) if len(answer) >= 12 else 0
    except (OSError, ValueError):
        return 0


@contextmanager
def _load(running: Running) -> Iterator[dict[str, Any]]:
    """Requests to many of the other routes, from a process of its own; what became of them is in the dict afterwards."""
    hosts = [running.shape.routes.at(i * 7919 % running.shape.routes.count).host or "" for i in range(500)]
    command = ["taskset", "-c", str(OTHER_CORE), sys.executable, "-m", "bench.steady", str(running.place.port)]
    child = subprocess.Popen(
        [*command, str(_RATE), str(_CONNECTIONS), *hosts],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    report: dict[str, Any] = {}
    try:
        yield report
        output, _ = child.communicate("", timeout=30)
        report.update(json.loads(output))
    finally:
        child.kill()
        child.wait()
