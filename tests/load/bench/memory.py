"""Memory per route, when each route has a backend of its own."""

from __future__ import annotations

from typing import Any

from bench.session import Session, say
from bench.shape import Routes, Shape

_FEW = 10


def ask(session: Session) -> list[dict[str, Any]]:
    """Starts each peer with few and with many, and compares."""
    many = session.mode.backends
    answers = []
    for name, peer in session.peers.items():
        memory, ready = {}, {}
        for count in (_FEW, many):
            with session.serving(peer, Shape(routes=Routes("hosts", count, own_backends=True))) as running:
                memory[count], ready[count] = running.memory_kib, running.ready_seconds
        per_route = (memory[many] - memory[_FEW]) / (many - _FEW)
        say(f"  {name}: {per_route:.2f} KiB per route, {many:,} served after {ready[many]:.2f} s")
        answers.append(
            {
                "peer": name,
                "variant": "",
                "routes": many,
                "kib": round(per_route, 3),
                "memory_kib_few": memory[_FEW],
                "memory_kib_many": memory[many],
                "ready_seconds": round(ready[many], 3),
            }
        )
    return answers
