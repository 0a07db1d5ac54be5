"""How soon routes are served: one by one, with many others there, and many at once."""

from __future__ import annotations

import re
import time
from collections import Counter
from statistics import median
from typing import Any
from urllib.request import urlopen

from cluster import shape
from cluster.api import Api, until
from cluster.processes import Processes
from cluster.traffic import first_200, status

_TRIES = 20
# Not counted: an API server that has just started answers its first writes slowly.
_WARM = 5
_PAUSE_SECONDS = 0.3


class Bed:
    """A Gateway with a backend, and how to reach it."""

    def __init__(self, api: Api, class_name: str) -> None:
        self.api, self.class_name = api, class_name
        self.controllers = Processes("controller")
        self.proxies = Processes("proxy", f"--gateway={shape.NAMESPACE}/{shape.GATEWAY}")
        self.address = ""

    def make(self) -> dict[str, Any]:
        """Namespace, backend and Gateway; how long the Gateway took."""
        self.api.apply(f"/api/v1/namespaces/{shape.NAMESPACE}", shape.namespace())
        self.api.apply(f"{shape.DEPLOYMENTS}/backend", shape.backend("backend", 2))
        self.api.apply(f"{shape.SERVICES}/backend", shape.service("backend"))
        shape.rolled_out(self.api, "backend")
        started = time.monotonic()
        self.api.create(shape.GATEWAYS, shape.gateway(self.class_name, [shape.http(80)]))
        found = until("the Gateway is programmed", self._programmed, 120)
        took = time.monotonic() - started
        self.address = found["status"]["addresses"][0]["value"]
        until("the Gateway answers", lambda: status(self.address, "nobody.example") == 404)
        return {"programmed_s": round(took, 2), "answers_s": round(time.monotonic() - started, 2)}

    def _programmed(self) -> dict[str, Any] | None:
        found = self.api.get(f"{shape.GATEWAYS}/{shape.GATEWAY}")
        return found if shape.condition(found, "Programmed") and found["status"].get("addresses") else None

    def memory(self) -> dict[str, float]:
        """MiB resident."""
        return {"controller_mib": round(self.controllers.mib(), 1), "proxy_mib": round(self.proxies.mib(), 1)}

    def one_route(self, tag: str) -> dict[str, Any]:
        """From POST to the first 200, some times, and what of it the API server took to answer the POST."""
        posts, times, others = [], [], Counter[int]()
        for number in range(_WARM + _TRIES):
            name = f"{tag}{number}"
            started = time.monotonic()
            self.api.create(shape.ROUTES, shape.route(name))
            posts.append((time.monotonic() - started) * 1e3)
            others += first_200(self.address, shape.host(name))
            times.append((time.monotonic() - started) * 1e3)
            time.sleep(_PAUSE_SECONDS)
        for number in range(_WARM + _TRIES):
            self.api.delete(f"{shape.ROUTES}/r{tag}{number}")
        posts, times = posts[_WARM:], times[_WARM:]
        wrong = {str(answer): count for answer, count in others.items() if answer != 404}
        return {
            "median_ms": round(median(times), 1),
            "max_ms": round(max(times), 1),
            "median_of_post_ms": round(median(posts), 1),
            "other_than_404": wrong,
        }

    def many_routes(self, first: int, last: int, services: bool = False) -> dict[str, Any]:
        """Creates routes back to back; until all answer, the last one first."""
        writes = self.gateway_writes()
        cpu, proxy_cpu, started = self.controllers.cpu(), self.proxies.cpu(), time.monotonic()
        for number in range(first, last):
            if services:
                self.api.create(shape.SERVICES, shape.service(f"s{number}", "backend"))
            self.api.create(shape.ROUTES, shape.route(number, f"s{number}" if services else "backend"))
        created = time.monotonic() - started
        first_200(self.address, shape.host(last - 1), 120)
        memory = self.memory()
        for number in reversed(range(first, last)):
            first_200(self.address, shape.host(number), 120)
        answered = time.monotonic() - started
        until("every route's status says Accepted", lambda: self._accepted() >= last - first, 120, 0.5)
        said = time.monotonic() - started
        return {
            "routes": last - first,
            "created_s": round(created, 2),
            "all_answer_s": round(answered, 2),
            "all_accepted_s": round(said, 2),
            "controller_cpu_s": round(self.controllers.cpu() - cpu, 2),
            "proxy_cpu_s": round(self.proxies.cpu() - proxy_cpu, 2),
            "gateway_status_writes": self.gateway_writes() - writes,
            **memory,
            # Each was asked once: with Services, each has a connection to its backend.
            "proxy_asked_mib": self.memory()["proxy_mib"],
        }

    def gateway_writes(self) -> int:
        """How often the controllers wrote the status of a Gateway, as their metrics say."""
        pages = [urlopen(f"http://{address}:8081/metrics", timeout=10).read().decode() for address in self.controllers.options("--pod-ip")]
        counts = [re.search(r"^fairlead_controller_gateway_status_writes (\d+)", page, re.M) for page in pages]
        return sum(int(count[1]) for count in counts if count)

    def _accepted(self) -> int:
        routes = self.api.get(shape.ROUTES)["items"]
        parents = [route.get("status", {}).get("parents", []) for route in routes]
        accepted = lambda parent: any(c["type"] == "Accepted" and c["status"] == "True" for c in parent["conditions"])
        return sum(any(accepted(parent) for parent in each) for each in parents)

    def delete_routes(self) -> dict[str, Any]:
        """Deletes all routes at once; until the last no longer answers."""
        cpu, started = self.controllers.cpu(), time.monotonic()
        self.api.delete(shape.ROUTES)
        until("no route answers", lambda: status(self.address, shape.host(0)) == 404, 120, 0.01)
        took = time.monotonic() - started
        time.sleep(3)
        return {"seconds": round(took, 2), "controller_cpu_s": round(self.controllers.cpu() - cpu, 2), **self.memory()}

    def close(self) -> None:
        """Deletes the namespace and waits until it is gone."""
        path = f"/api/v1/namespaces/{shape.NAMESPACE}"
        self.api.delete(path)
        until("the namespace is gone", lambda: self.api("GET", path)[0] == 404, 180, 0.5)
