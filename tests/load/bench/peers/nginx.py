"""nginx from Debian. Routes are server blocks and locations; a change is a reload of the workers."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

from bench import machine
from bench.peers.base import Peer, Place, draft_of
from bench.process import Process
from bench.shape import Route, Shape


class Nginx(Peer):
    name = "nginx"
    title = "nginx"

    def program(self) -> Path | None:
        return machine.find_command("nginx")

    def version_command(self) -> list[str]:
        return [str(self.program()), "-v"]

    def lacks(self, shape: Shape) -> str | None:
        return "no HTTP/2 to backends" if shape.upstream_http2 else None

    def write(self, shape: Shape, place: Place) -> None:
        _file(place).parent.mkdir(exist_ok=True)
        _file(place).write_text(_config(shape, place))

    def command(self, shape: Shape, place: Place) -> list[str]:
        return [str(self.program()), "-e", "stderr", "-p", str(place.dir), "-c", str(_file(place))]

    def prepare_change(self, shape: Shape, place: Place) -> tuple[Path, Path]:
        return draft_of(_file(place), _config(shape, place))

    def reload(self, process: Process) -> None:
        process.signal(signal.SIGHUP)


def _file(place: Place) -> Path:
    return place.dir / "config" / "nginx.conf"


def _config(shape: Shape, place: Place) -> str:
    # 10,000 upstreams with a cache of 64 connections each would take half a gigabyte.
    keepalive = 8 if shape.routes.own_backends else 64
    upstreams = "\n".join(
        f"  upstream b{i} {{ server 127.0.0.1:{place.backend}; keepalive {keepalive}; keepalive_requests 1000000000; }}"
        for i in range(shape.routes.backends)
    )
    listen = f"listen 127.0.0.1:{place.port}{' ssl' if shape.tls else ''}{' http2' if shape.http2 else ''} backlog=4096"
    servers = [_server(host, routes, listen if first else _again(listen)) for first, host, routes in _hosts(shape)]
    return f"""\
worker_processes 1;
worker_rlimit_nofile {machine.raise_file_limit()};
daemon off;
pid {place.dir}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 16000; }}
http {{
  access_log off;
  client_body_temp_path {place.dir}/body;
  proxy_temp_path {place.dir}/proxy;
  fastcgi_temp_path {place.dir}/fastcgi;
  uwsgi_temp_path {place.dir}/uwsgi;
  scgi_temp_path {place.dir}/scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  server_names_hash_max_size 65536;
  server_names_hash_bucket_size 128;
{_tls(place) if shape.tls else ""}\
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_buffers 16 16k;
  proxy_max_temp_file_size 0;
{upstreams}
{chr(10).join(servers)}
}}
"""


def _tls(place: Place) -> str:
    """Only where it is used: each server block would load a certificate of its own."""
    return f"""\
  ssl_certificate {place.certificate};
  ssl_certificate_key {place.key};
  ssl_protocols TLSv1.2 TLSv1.3;
"""


def _hosts(shape: Shape) -> Iterator[tuple[bool, str | None, list[Route]]]:
    """The server blocks: one for requests that no route takes comes first and is the default."""
    hosts = shape.routes.by_host()
    if None not in hosts:
        yield True, None, []
    for host, routes in hosts.items():
        yield host is None, host, routes


def _again(listen: str) -> str:
    """Options of a socket may be given once."""
    return listen.replace(" backlog=4096", "")


def _server(host: str | None, routes: list[Route], listen: str) -> str:
    name = f" server_name {host};" if host else ""
    locations = " ".join(f"location {r.prefix}/ {{ proxy_pass http://b{r.backend}; }}" for r in routes)
    return f"  server {{ {listen};{name} {locations or 'return 404;'} }}"
