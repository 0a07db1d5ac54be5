"""The objects that are measured: a backend, a Gateway, and routes by number."""

from __future__ import annotations

from cluster.api import Api, Object, until

NAMESPACE = "measure"
GATEWAY = "measure"
BACKEND_IMAGE = "registry.k8s.io/gateway-api/conformance/echo-basic:v0.1.0"
_API = "/apis/gateway.networking.k8s.io/v1"
GATEWAYS = f"{_API}/namespaces/{NAMESPACE}/gateways"
ROUTES = f"{_API}/namespaces/{NAMESPACE}/httproutes"
SERVICES = f"/api/v1/namespaces/{NAMESPACE}/services"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"


def namespace() -> Object:
    """Of all that is made here; deleted at the end."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


def backend(name: str, replicas: int = 1) -> Object:
    """A Deployment of the upstream suite's echo server."""
    by_field = lambda variable, path: {"name": variable, "valueFrom": {"fieldRef": {"fieldPath": path}}}
    container = {
        "name": "echo",
        "image": BACKEND_IMAGE,
        "env": [by_field("POD_NAME", "metadata.name"), by_field("NAMESPACE", "metadata.namespace")],
        # An endpoint is taken out before its process ends.
        "readinessProbe": {"httpGet": {"path": "/", "port": 3000}, "periodSeconds": 1},
        "lifecycle": {"preStop": {"sleep": {"seconds": 3}}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
        },
    }


def service(name: str, app: str | None = None) -> Object:
    """A Service of the pods of `app`."""
    spec = {"selector": {"app": app or name}, "ports": [{"port": 8080, "targetPort": 3000}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


def gateway(class_name: str, listeners: list[Object], name: str = GATEWAY) -> Object:
    """A Gateway with these listeners."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"gatewayClassName": class_name, "listeners": listeners},
    }


def http(port: int, name: str = "http") -> Object:
    """A plain listener."""
    return {"name": name, "port": port, "protocol": "HTTP"}


def https(port: int, secret: str) -> Object:
    """A TLS listener."""
    return {"name": f"https-{port}", "port": port, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": secret}]}}


def host(name: str | int) -> str:
    """The host of a route."""
    return f"r{name}.measure.example"


def route(name: str | int, backend_name: str = "backend", answer: str | None = None) -> Object:
    """A route of a host of its own; `answer` is set as a response header, to tell versions apart."""
    rule: Object = {"backendRefs": [{"name": backend_name, "port": 8080}]}
    if answer is not None:
        value = [{"name": "x-answer", "value": answer}]
        rule["filters"] = [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": value}}]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": f"r{name}", "namespace": NAMESPACE},
        "spec": {"parentRefs": [{"name": GATEWAY}], "hostnames": [host(name)], "rules": [rule]},
    }


def condition(found: Object, kind: str) -> bool:
    """Whether a condition of an object holds for its present generation."""
    generation = found["metadata"].get("generation")
    conditions = found.get("status", {}).get("conditions", [])
    return any(c["type"] == kind and c["status"] == "True" and c.get("observedGeneration") == generation for c in conditions)


def rolled_out(api: Api, name: str, path: str = DEPLOYMENTS) -> None:
    """Waits until a Deployment has what it wants and nothing else."""

    def done() -> bool:
        found = api.get(f"{path}/{name}")
        status, wanted = found.get("status", {}), found["spec"]["replicas"]
        current = status.get("observedGeneration") == found["metadata"]["generation"]
        counts = [status.get(field, 0) for field in ("replicas", "updatedReplicas", "availableReplicas")]
        return current and counts == [wanted] * 3

    until(f"the roll-out of {name}", done, 180, 0.1)
