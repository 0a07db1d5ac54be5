"""Changes under load, none of which may fail a request."""

from __future__ import annotations

import base64
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster import shape
from cluster.api import Object, until
from cluster.routes import Bed
from cluster.traffic import Load, first_200, status

REQUESTS = 50_000
"""At least so many requests run during each kind of change."""


def all_of(bed: Bed, controller: tuple[str, str], note: Callable[[str, Any], None]) -> dict[str, Any]:
    """Every change, with its load, noted when done. `controller` is the namespace and name of the controller's Deployment."""
    kinds: dict[str, tuple[Callable[[Bed], None], int, bool]] = {
        "route flip": (_flip_route, 80, False),
        "endpoint roll-out": (_roll_backend, 80, False),
        "certificate rotation": (_rotate_certificate, 443, True),
        "listener added and removed": (_add_listener, 80, False),
        "controller restart": (lambda bed: _restart(bed, *controller), 80, False),
        "proxy roll-out": (_roll_proxy, 80, False),
    }
    _prepare(bed)
    results = {}
    for name, (change, port, tls) in kinds.items():
        results[name] = _under_load(bed, change, port, tls)
        note(name, results[name])
    return results


def _under_load(bed: Bed, change: Callable[[Bed], None], port: int, tls: bool) -> dict[str, Any]:
    with Load(bed.address, shape.host("steady"), port, tls) as load:
        started = time.monotonic()
        time.sleep(0.5)
        changes = 0
        # A rate of 1,000 a second and more has been seen everywhere; the count is checked at the end.
        while time.monotonic() < started + REQUESTS / 2_000 or changes == 0:
            change(bed)
            changes += 1
        time.sleep(0.5)
        result = load.end()
        while result["requests"] < REQUESTS:
            more = _quiet(bed, port, tls)
            result["requests"] += more["requests"]
            result["failed"] += more["failed"]
        return {"changes": changes, "seconds": round(time.monotonic() - started, 1), **result}


def _quiet(bed: Bed, port: int, tls: bool) -> dict[str, Any]:
    with Load(bed.address, shape.host("steady"), port, tls) as load:
        time.sleep(5)
        return load.end()


def _prepare(bed: Bed) -> None:
    api = bed.api
    api.apply(f"{shape.SECRETS}/certificate", _certificate(1))
    listeners = [shape.http(80), shape.https(443, "certificate")]
    api.apply(f"{shape.GATEWAYS}/{shape.GATEWAY}", shape.gateway(bed.class_name, listeners))
    api.apply(f"{shape.DEPLOYMENTS}/other", shape.backend("other", 1))
    api.apply(f"{shape.SERVICES}/other", shape.service("other"))
    shape.rolled_out(api, "other")
    api.apply(f"{shape.ROUTES}/rsteady", shape.route("steady"))
    first_200(bed.address, shape.host("steady"))
    until("TLS answers", lambda: _serial(bed) is not None)


def _flip_route(bed: Bed) -> None:
    for backend in ("other", "backend"):
        bed.api.apply(f"{shape.ROUTES}/rsteady", shape.route("steady", backend))
        time.sleep(0.25)


def _roll_backend(bed: Bed) -> None:
    changed = shape.backend("backend", 2)
    changed["spec"]["template"]["metadata"]["annotations"] = {"restarted": str(time.time_ns())}
    bed.api.apply(f"{shape.DEPLOYMENTS}/backend", changed)
    shape.rolled_out(bed.api, "backend")


def _rotate_certificate(bed: Bed) -> None:
    serial = time.time_ns() % 2**60
    bed.api.apply(f"{shape.SECRETS}/certificate", _certificate(serial))
    until("the new certificate is served", lambda: _serial(bed) == serial, 30, 0.05)


def _add_listener(bed: Bed) -> None:
    usual = [shape.http(80), shape.https(443, "certificate")]
    path = f"{shape.GATEWAYS}/{shape.GATEWAY}"
    bed.api.apply(path, shape.gateway(bed.class_name, [*usual, shape.http(8088, "more")]))
    until("the new listener answers", lambda: status(bed.address, shape.host("steady"), 8088) == 200, 30)
    bed.api.apply(path, shape.gateway(bed.class_name, usual))
    until("the listener is gone", lambda: status(bed.address, shape.host("steady"), 8088) == 0, 30)


def _restart(bed: Bed, namespace: str, name: str) -> None:
    """All replicas at once, the hard way."""
    pods = f"/api/v1/namespaces/{namespace}/pods"
    old = {pod["metadata"]["name"] for pod in _pods(bed, pods, name)}
    for pod in old:
        bed.api.delete(f"{pods}/{pod}?gracePeriodSeconds=0")
    shape.rolled_out(bed.api, name, f"/apis/apps/v1/namespaces/{namespace}/deployments")
    # It is up when it takes in a change.
    tag = f"restart{time.time_ns()}"
    bed.api.create(shape.ROUTES, shape.route(tag))
    first_200(bed.address, shape.host(tag), 60)
    bed.api.delete(f"{shape.ROUTES}/r{tag}")


def _roll_proxy(bed: Bed) -> None:
    label = f"gateway.networking.k8s.io/gateway-name={shape.GATEWAY}"
    found = bed.api.get(f"{shape.DEPLOYMENTS}?labelSelector={label}")["items"]
    for deployment in found:
        name = deployment["metadata"]["name"]
        stamp = {"kubectl.kubernetes.io/restartedAt": str(time.time_ns())}
        patch = {"spec": {"template": {"metadata": {"annotations": stamp}}}}
        bed.api.patch(f"{shape.DEPLOYMENTS}/{name}", patch)
        shape.rolled_out(bed.api, name)


def _pods(bed: Bed, path: str, deployment: str) -> list[Object]:
    return [pod for pod in bed.api.get(path)["items"] if pod["metadata"]["name"].startswith(f"{deployment}-")]


def _certificate(serial: int) -> Object:
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = Path(folder, "key.pem"), Path(folder, "certificate.pem")
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
        name = ["-subj", "/CN=measure.example", "-addext", "subjectAltName=DNS:*.measure.example", "-set_serial", str(serial)]
        subprocess.run([*command, *name, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        data = {"tls.crt": certificate.read_bytes(), "tls.key": key.read_bytes()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "certificate", "namespace": shape.NAMESPACE},
        "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
    }


def _serial(bed: Bed) -> int | None:
    """Serial number of the certificate that is served."""
    client = ["openssl", "s_client", "-connect", f"{bed.address}:443", "-servername", shape.host("steady")]
    shown = subprocess.run(client, input=b"", capture_output=True, check=False, timeout=10)
    reading = subprocess.run(["openssl", "x509", "-noout", "-serial"], input=shown.stdout, capture_output=True, check=False)
    text = reading.stdout.decode().strip()
    return int(text.removeprefix("serial="), 16) if text.startswith("serial=") else None
