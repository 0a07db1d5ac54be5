"""What a proxy is asked to do, in words that every peer's configuration can be written from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

HOST = "bench.test"
"""The name in the certificate, and of requests to shapes without hosts of their own."""

CHANGED_HOST = "changed.example.com"
"""The host of the route that changes while load runs."""


@dataclass(frozen=True)
class Route:
    """Requests of a host (None: any) below a path go to a backend. `prefix` has no trailing slash, `""` is all paths."""

    host: str | None
    prefix: str
    backend: int = 0


@dataclass(frozen=True)
class Routes:
    """`any`: one route for everything. `hosts`: `count` hosts with one route each. `prefixes`: `count` paths of one host."""

    kind: str = "any"
    count: int = 1
    own_backends: bool = False
    """Each route has a backend of its own (all at the same address)."""
    change: int | None = None
    """There is one more route, `changed.example.com/v<change>`."""

    def __iter__(self) -> Iterator[Route]:
        for i in range(self.count):
            yield self.at(i)
        if self.change is not None:
            yield Route(CHANGED_HOST, f"/v{self.change}")

    def at(self, index: int) -> Route:
        """One of them."""
        backend = index if self.own_backends else 0
        if self.kind == "hosts":
            return Route(f"h{index}.example.com", "", backend)
        if self.kind == "prefixes":
            return Route("h.example.com", f"/svc-{index}", backend)
        return Route(None, "", backend)

    @property
    def last(self) -> Route:
        """The last one: the worst case of whoever walks a list."""
        return self.at(self.count - 1)

    @property
    def backends(self) -> int:
        """How many backends there are."""
        return self.count if self.own_backends else 1

    def by_host(self) -> dict[str | None, list[Route]]:
        """The routes of each host."""
        hosts: dict[str | None, list[Route]] = {}
        for route in self:
            hosts.setdefault(route.host, []).append(route)
        return hosts


@dataclass(frozen=True)
class Shape:
    """What a proxy listens for, routes and speaks to its backend."""

    tls: bool = False
    http2: bool = False
    """Clients use HTTP/2: with prior knowledge, or by ALPN when `tls`."""
    upstream_http2: bool = False
    """The backend is spoken to in HTTP/2 without TLS."""
    routes: Routes = Routes()

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "https" if self.tls else "http"

    def request(self, path: str = "/") -> tuple[str, str]:
        """Host and path of a request that the last route takes."""
        route = self.routes.last
        return route.host or HOST, route.prefix + path
