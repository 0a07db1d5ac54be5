"""Traefik from its wheel, with the file provider; a change is a new file in the directory that it watches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench import machine
from bench.peers.base import Peer, Place, draft_of
from bench.shape import Route, Shape


class Traefik(Peer):
    name = "traefik"
    title = "Traefik"
    env = {"GOMAXPROCS": "1"}

    def program(self) -> Path | None:
        program = machine.PEERS / "bin" / "traefik"
        return program if program.exists() else None

    def version_command(self) -> list[str]:
        # `traefik version` opens with an empty line and "Version:".
        return ["sh", "-c", f"'{self.program()}' version | grep Version:"]

    def write(self, shape: Shape, place: Place) -> None:
        _dynamic(place).parent.mkdir(exist_ok=True)
        _dynamic(place).write_text(_routers(shape, place))
        watch = shape.routes.change is not None
        static = {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "log": {"level": "ERROR"},
            "entryPoints": {"in": {"address": f"127.0.0.1:{place.port}"}},
            "providers": {
                "providersThrottleDuration": "0.1s",
                "file": {"directory": str(_dynamic(place).parent), "watch": watch},
            },
            "serversTransport": {"maxIdleConnsPerHost": 512},
        }
        (place.dir / "traefik.yml").write_text(json.dumps(static))

    def command(self, shape: Shape, place: Place) -> list[str]:
        return [str(self.program()), f"--configFile={place.dir / 'traefik.yml'}"]

    def prepare_change(self, shape: Shape, place: Place) -> tuple[Path, Path]:
        return draft_of(_dynamic(place), _routers(shape, place))


def _dynamic(place: Place) -> Path:
    return place.dir / "config" / "routes.yml"


def _routers(shape: Shape, place: Place) -> str:
    """JSON, which is YAML too."""
    scheme = "h2c" if shape.upstream_http2 else "http"
    server = {"url": f"{scheme}://127.0.0.1:{place.backend_of(shape)}"}
    config: dict[str, Any] = {
        "http": {
            "routers": {f"r{i}": _router(route, shape) for i, route in enumerate(shape.routes)},
            "services": {f"b{i}": {"loadBalancer": {"servers": [server]}} for i in range(shape.routes.backends)},
        }
    }
    if shape.tls:
        certificate = {"certFile": str(place.certificate), "keyFile": str(place.key)}
        alpn = ["h2", "http/1.1"] if shape.http2 else ["http/1.1"]
        config["tls"] = {
            "certificates": [certificate],
            "stores": {"default": {"defaultCertificate": certificate}},
            "options": {"default": {"alpnProtocols": alpn}},
        }
    return json.dumps(config)


def _router(route: Route, shape: Shape) -> dict[str, Any]:
    host = f"Host(`{route.host}`) && " if route.host else ""
    router: dict[str, Any] = {
        "entryPoints": ["in"],
        "rule": f"{host}PathPrefix(`{route.prefix}/`)",
        "service": f"b{route.backend}",
    }
    if shape.tls:
        router["tls"] = {}
    return router
