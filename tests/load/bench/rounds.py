"""Interleaved rounds: every subject is loaded once in each, in turning order, and its CPU clock read before and after."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from bench import machine
from bench.clients import Load
from bench.peers import Peer
from bench.process import PROXY_CORE, Failure
from bench.session import Running, Session, say
from bench.shape import Shape
from bench.stats import Spread

Generator = Callable[[Shape, int, float], Load]
"""Loads a port for some seconds."""

Check = Callable[[str, Shape, int], Any]
"""A parity check: fails, or tells facts."""


@dataclass(frozen=True)
class Variant:
    """What the subjects of a row do."""

    label: str
    shape: Shape
    generate: Generator
    peers: dict[str, Peer] | None = None
    """Only these; None: all that can."""


@dataclass(frozen=True)
class Round:
    """One load of one subject."""

    requests: int
    failed: int
    seconds: float
    cpu_us: float
    """CPU of the proxy per request."""
    backend_us: float
    """CPU of the backend per request."""
    core_share: float | None
    """The proxy's part of what its core did; less than 1 when others ran there."""
    p50_us: float | None


@dataclass
class Subject:
    """A proxy in a variant."""

    peer: str
    variant: str
    running: Running
    generate: Generator
    parity: dict[str, str] = field(default_factory=dict)
    rounds: list[Round] = field(default_factory=list)

    @property
    def label(self) -> str:
        """For progress."""
        return f"{self.peer} {self.variant}".strip()

    def load(self, session: Session, seconds: float) -> Round:
        """Loads it once."""
        process, backend = self.running.process, session.backend.process
        cpu, backend_cpu, busy = process.cpu_ns(), backend.cpu_ns(), machine.core_busy_ns(PROXY_CORE)
        started = time.monotonic()
        load = self.generate(self.running.shape, self.running.place.port, seconds)
        took = time.monotonic() - started
        cpu, backend_cpu = process.cpu_ns() - cpu, backend.cpu_ns() - backend_cpu
        busy = machine.core_busy_ns(PROXY_CORE) - busy
        process.check_alive()
        if not load.requests:
            raise Failure(f"{self.label}: no request succeeded; {process.last_words()}")
        return Round(
            requests=load.requests,
            failed=load.failed,
            seconds=round(took, 3),
            cpu_us=cpu / 1e3 / load.requests,
            backend_us=backend_cpu / 1e3 / load.requests,
            core_share=round(min(cpu / busy, 1.0), 3) if busy else None,
            p50_us=load.p50_us,
        )

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "peer": self.peer,
            "variant": self.variant,
            "routes": self.running.shape.routes.count,
            "cpu_us": Spread.of([r.cpu_us for r in self.rounds]).rounded(),
            "failed": sum(r.failed for r in self.rounds),
            "ready_seconds": round(self.running.ready_seconds, 3),
            "memory_kib": self.running.memory_kib,
            "memory_kib_after": self.running.process.memory_kib(),
            "parity": self.parity,
            "rounds": [asdict(r) for r in self.rounds],
        }


def measure(session: Session, variants: list[Variant], checks: list[Check]) -> list[dict[str, Any]]:
    """Starts every peer in every variant, checks that they do the same, and loads them in rounds."""
    with ExitStack() as stack:
        subjects = []
        for variant in variants:
            peers = session.peers_for(variant.shape) if variant.peers is None else variant.peers
            for name, peer in peers.items():
                running = stack.enter_context(session.serving(peer, variant.shape))
                subjects.append(Subject(name, variant.label, running, variant.generate))
        for subject in subjects:
            for check in checks:
                subject.parity |= check(subject.label, subject.running.shape, subject.running.place.port) or {}
        _rounds(session, subjects)
        return [subject.record() for subject in subjects]


def _rounds(session: Session, subjects: list[Subject]) -> None:
    for subject in subjects:
        subject.load(session, 1)  # warm: connections to the backend, buffers, branch predictors
    for number in range(session.mode.rounds):
        turn = number % len(subjects)
        for subject in subjects[turn:] + subjects[:turn]:
            subject.rounds.append(subject.load(session, session.mode.seconds))
        numbers = ", ".join(f"{s.label} {s.rounds[-1].cpu_us:.1f}" for s in subjects)
        say(f"  round {number + 1} of {session.mode.rounds}: {numbers} µs")
    for subject in subjects:
        shares = [r.core_share for r in subject.rounds if r.core_share is not None]
        if shares and median(shares) < 0.85:
            say(f"  note: others used core {PROXY_CORE} too while {subject.label} was loaded ({median(shares):.0%} was its own)")
        if failed := sum(r.failed for r in subject.rounds):
            say(f"  note: {failed} requests to {subject.label} failed")
