"""What all cells of a run share: the work directory, the backend, the certificate, and how proxies are started."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import machine, parity
from bench.backend import Backend, make_certificate
from bench.peers import Peer, Place
from bench.process import PROXY_CORE, Failure, Process, check_alone, free_port, wait_for
from bench.shape import Shape

READY_SECONDS = 120


@dataclass(frozen=True)
class Mode:
    """How much is measured."""

    name: str
    rounds: int
    seconds: float
    """Of load per subject and round."""
    changes: int
    idle_connections: int
    idle_tls_connections: int
    routes: int
    """In the cells of many routes."""
    backends: int
    """Routes with a backend each, in the cell of their memory."""
    spread: bool
    """Also send requests to all routes in turn."""


QUICK = Mode("quick", 3, 1, 5, 2000, 1000, 10_000, 2_000, spread=False)
FULL = Mode("full", 5, 3, 20, 8000, 4000, 10_000, 10_000, spread=True)


@dataclass
class Running:
    """A proxy that serves."""

    peer: Peer
    shape: Shape
    process: Process
    place: Place
    ready_seconds: float
    """From its start to the first answer of its last route."""
    memory_kib: float = field(init=False)
    """After that answer."""

    def __post_init__(self) -> None:
        self.memory_kib = self.process.memory_kib()


class Session:
    """A run."""

    def __init__(self, mode: Mode, peers: dict[str, Peer]):
        self.mode = mode
        self.peers = peers
        self._folder = machine.TARGET / "load" / "run"
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        machine.raise_file_limit()
        self._certificate = make_certificate(self._folder)
        self.backend = Backend(self._folder / "backend")
        self._started = 0

    def close(self) -> None:
        """Ends the backend."""
        self.backend.stop()

    def peers_for(self, shape: Shape) -> dict[str, Peer]:
        """Those that can do it."""
        able = {}
        for name, peer in self.peers.items():
            if why := peer.lacks(shape):
                say(f"  without {name}: {why}")
            else:
                able[name] = peer
        return able

    @contextmanager
    def serving(self, peer: Peer, shape: Shape) -> Iterator[Running]:
        """A proxy that serves this shape until the block ends."""
        self._started += 1
        folder = self._folder / f"{self._started:03}-{peer.name}"
        folder.mkdir()
        certificate = self._certificate
        place = Place(
            dir=folder,
            port=free_port(),
            backend=self.backend.port,
            backend_http2=self.backend.port_http2,
            certificate=certificate.certificate,
            key=certificate.key,
            both=certificate.both,
        )
        peer.write(shape, place)
        started = time.monotonic()
        process = Process(
            peer.name, peer.command(shape, place), folder / "log", PROXY_CORE, peer.env, keep_stdout=peer.keep_stdout
        )
        try:
            wait_for(f"{peer.name} to serve", READY_SECONDS, process, lambda: serves(shape, place.port))
            ready = time.monotonic() - started
            check_alone(place.port, process)
            yield Running(peer, shape, process, place, ready)
        finally:
            process.stop()
            # Tens of thousands of manifests add up; what was printed stays.
            for left in folder.iterdir():
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)


def serves(shape: Shape, port: int) -> bool:
    """Whether the last route answers with 200."""
    try:
        return parity.fetch(shape, port, *shape.request()).status == 200
    except Failure:
        return False


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)

