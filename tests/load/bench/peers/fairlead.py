"""Fairlead, serving Gateway API manifests from a directory: a file per hundred routes, and the one that changes in a file of its own."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from bench import machine
from bench.peers.base import Peer, Place, draft_of
from bench.process import free_port
from bench.shape import CHANGED_HOST, Route, Shape

_PER_FILE = 100


class Fairlead(Peer):
    name = "fairlead"
    title = "Fairlead"

    def __init__(self, access_log: str = "off") -> None:
        self.access_log = access_log
        self.keep_stdout = access_log == "off"

    def program(self) -> Path | None:
        program = Path(os.environ.get("FAIRLEAD_BIN") or machine.TARGET / "release" / "fairlead")
        return program if program.exists() else None

    def version_command(self) -> list[str]:
        return [str(self.program()), "version"]

    def write(self, shape: Shape, place: Place) -> None:
        manifests = _manifests(place)
        manifests.mkdir(exist_ok=True)
        (manifests / "gateway.yaml").write_text(_gateway(shape, place))
        _write_batches(manifests, "services", (_service(i, shape, place) for i in range(shape.routes.backends)))
        _write_batches(manifests, "routes", (_route(f"r{i}", r) for i, r in enumerate(shape.routes) if r.host != CHANGED_HOST))
        if shape.routes.change is not None:
            _changed_file(place).write_text(_changed(shape))

    def command(self, shape: Shape, place: Place) -> list[str]:
        port = 443 if shape.tls else 80
        return [
            str(self.program()),
            "serve",
            *("-f", str(_manifests(place))),
            *("--port-map", f"{port}={place.port}"),
            *("--workers", "1"),
            *("--admin-address", f"127.0.0.1:{free_port()}"),
            *("--access-log", self.access_log),
        ]

    def prepare_change(self, shape: Shape, place: Place) -> tuple[Path, Path]:
        return draft_of(_changed_file(place), _changed(shape))


def _manifests(place: Place) -> Path:
    return place.dir / "manifests"


def _changed_file(place: Place) -> Path:
    return _manifests(place) / "changed.yaml"


def _changed(shape: Shape) -> str:
    return _route("changed", Route(CHANGED_HOST, f"/v{shape.routes.change}"))


def _write_batches(folder: Path, name: str, documents: Iterator[str]) -> None:
    number = 0
    while batch := list(islice(documents, _PER_FILE)):
        (folder / f"{name}-{number:04}.yaml").write_text("---\n".join(batch))
        number += 1


def _gateway(shape: Shape, place: Place) -> str:
    listener = (
        "{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: certificate}]}}"
        if shape.tls
        else "{name: http, port: 80, protocol: HTTP}"
    )
    gateway = f"""\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: fairlead}}
spec: {{controllerName: fairlead.dev/gateway-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: bench, namespace: default}}
spec:
  gatewayClassName: fairlead
  listeners:
  - {listener}
"""
    return gateway + (_secret(place) if shape.tls else "")


def _secret(place: Place) -> str:
    certificate, key = (base64.b64encode(p.read_bytes()).decode() for p in (place.certificate, place.key))
    return f"""\
---
apiVersion: v1
kind: Secret
metadata: {{name: certificate, namespace: default}}
type: kubernetes.io/tls
data: {{tls.crt: {certificate}, tls.key: {key}}}
"""


def _service(index: int, shape: Shape, place: Place) -> str:
    protocol = ", appProtocol: kubernetes.io/h2c" if shape.upstream_http2 else ""
    return f"""\
apiVersion: v1
kind: Service
metadata: {{name: b{index}, namespace: default}}
spec:
  ports: [{{name: http, port: 80{protocol}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: b{index}, namespace: default, labels: {{kubernetes.io/service-name: b{index}}}}}
addressType: IPv4
ports: [{{name: http, port: {place.backend_of(shape)}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"""


def _route(name: str, route: Route) -> str:
    host = f"\n  hostnames: [{route.host}]" if route.host else ""
    return f"""\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: default}}
spec:
  parentRefs: [{{name: bench}}]{host}
  rules:
  - matches: [{{path: {{type: PathPrefix, value: {route.prefix or "/"}}}}}]
    backendRefs: [{{name: b{route.backend}, port: 80}}]
"""
