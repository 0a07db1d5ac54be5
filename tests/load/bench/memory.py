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
        pss, ready = {}, {}
        for count in (_FEW, many):
            with session.serving(peer, Shape(routes=Routes("hosts", count, own_backends=True))) as running:
                pss[count], ready[count] = running.pss_kib, running.ready_seconds
        per_route = (pss[many] - pss[_FEW]) / (many - _FEW)
        say(f"  {name}: {per_route:.2f} KiB per route, {many:,} served after {ready[many]:.2f} s")
        answers.append(
            {
                "peer": name,
                "variant": "",
                "routes": many,
                "kib": round(per_route, 3),
                "pss_kib_few": pss[_FEW],
                "pss_kib_many": pss[many],
                "ready_seconds": round(ready[many], 3),
            }
        )
    return answers
