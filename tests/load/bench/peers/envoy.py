"""Envoy from its wheel. Routes are virtual hosts; a change is a new route configuration in a file that it watches (RDS)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench import machine
from bench.peers.base import Peer, Place, draft_of
from bench.shape import Route, Shape

_V3 = "type.googleapis.com/envoy"


class Envoy(Peer):
    name = "envoy"
    title = "Envoy"

    def program(self) -> Path | None:
        return machine.in_wheel("envoy/_bin/envoy")

    def version_command(self) -> list[str]:
        return [str(self.program()), "--version"]

    def write(self, shape: Shape, place: Place) -> None:
        _rds(place).parent.mkdir(exist_ok=True)
        _rds(place).write_text(json.dumps(_discovered(shape)))
        (place.dir / "envoy.json").write_text(json.dumps(_bootstrap(shape, place)))

    def command(self, shape: Shape, place: Place) -> list[str]:
        config = str(place.dir / "envoy.json")
        return [str(self.program()), "-c", config, "--concurrency", "1", "-l", "error", "--disable-hot-restart"]

    def prepare_change(self, shape: Shape, place: Place) -> tuple[Path, Path]:
        return draft_of(_rds(place), json.dumps(_discovered(shape)))


def _rds(place: Place) -> Path:
    return place.dir / "config" / "routes.json"


def _discovered(shape: Shape) -> dict[str, Any]:
    return {"version_info": str(shape.routes.change), "resources": [{"@type": f"{_V3}.config.route.v3.RouteConfiguration", **_routes(shape)}]}


def _routes(shape: Shape) -> dict[str, Any]:
    hosts = [
        {"name": host or "any", "domains": [host or "*"], "routes": [_route(r) for r in routes]}
        for host, routes in shape.routes.by_host().items()
    ]
    return {"name": "routes", "virtual_hosts": hosts}


def _route(route: Route) -> dict[str, Any]:
    match = {"path_separated_prefix": route.prefix} if route.prefix else {"prefix": "/"}
    return {"match": match, "route": {"cluster": f"b{route.backend}", "timeout": "0s"}}


def _bootstrap(shape: Shape, place: Place) -> dict[str, Any]:
    listener = {
        "name": "listener",
        "address": _address(place.port),
        "tcp_backlog_size": 4096,
        "filter_chains": [{"filters": [_http(shape, place)], **({"transport_socket": _tls(place, shape)} if shape.tls else {})}],
    }
    clusters = [_cluster(i, shape, place) for i in range(shape.routes.backends)]
    return {"node": {"id": "bench", "cluster": "bench"}, "static_resources": {"listeners": [listener], "clusters": clusters}}


def _http(shape: Shape, place: Place) -> dict[str, Any]:
    if shape.routes.change is None:
        routes: dict[str, Any] = {"route_config": _routes(shape)}
    else:
        source = {"path_config_source": {"path": str(_rds(place))}}
        routes = {"rds": {"route_config_name": "routes", "config_source": source}}
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{_V3}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "http",
            "codec_type": "AUTO",
            "generate_request_id": False,
            "use_remote_address": True,
            "http_filters": [
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": f"{_V3}.extensions.filters.http.router.v3.Router", "dynamic_stats": False},
                }
            ],
        }
        | routes,
    }


def _tls(place: Place, shape: Shape) -> dict[str, Any]:
    certificate = {"certificate_chain": {"filename": str(place.certificate)}, "private_key": {"filename": str(place.key)}}
    common = {"alpn_protocols": ["h2", "http/1.1"] if shape.http2 else ["http/1.1"], "tls_certificates": [certificate]}
    return {
        "name": "tls",
        "typed_config": {"@type": f"{_V3}.extensions.transport_sockets.tls.v3.DownstreamTlsContext", "common_tls_context": common},
    }


def _cluster(index: int, shape: Shape, place: Place) -> dict[str, Any]:
    name = f"b{index}"
    limits = {"max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000}
    cluster: dict[str, Any] = {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(place.backend_of(shape))}}]}],
        },
    }
    if shape.upstream_http2:
        options = f"{_V3}.extensions.upstreams.http.v3.HttpProtocolOptions"
        cluster["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": options,
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
    return cluster


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
