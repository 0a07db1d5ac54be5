"""The command line: what to measure on the cluster, and where results go."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from cluster import changes
from cluster.api import Api, Failure
from cluster.routes import Bed

_RESULTS = Path(__file__).parents[3] / "target" / "load" / "cluster.json"

_AFTER = """\
Needs kubectl and KUBECONFIG, the controller's and proxies' processes on this machine, and the addresses of Services reachable
from here: `conformance/cluster exec tests/load/measure-cluster` has all of it.

Examples:
  conformance/cluster exec tests/load/measure-cluster
  conformance/cluster exec tests/load/measure-cluster --only routes --routes 1000
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs it; the exit code."""
    parser = argparse.ArgumentParser(
        prog="tests/load/measure-cluster",
        description="How soon changes are served on a cluster, what they cost, and that none fails under load.",
        epilog=_AFTER,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", choices=["routes", "changes", "size"], action="append", help="what to measure; all by default")
    parser.add_argument("--class", dest="class_name", default="fairlead", help="the GatewayClass")
    parser.add_argument("--routes", type=int, nargs="*", default=[1000, 3000], help="numbers of routes that are there (1000 3000)")
    parser.add_argument("--controller", default="fairlead-system/fairlead-controller", metavar="NAMESPACE/NAME", help="its Deployment")
    parser.add_argument("--output", type=Path, default=_RESULTS, metavar="FILE", help="where results go (target/load/cluster.json)")
    options = parser.parse_args(arguments)
    wanted = options.only or ["routes", "changes", "size"]
    results: dict[str, Any] = {}
    try:
        bed = Bed(Api(), options.class_name)
        try:
            _measure(bed, wanted, options, results)
        finally:
            bed.close()
    except (Failure, TimeoutError) as failure:
        _say(f"error: {failure}")
        return 1
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=1) + "\n")
    failed = [name for name, result in results.get("changes", {}).items() if result["failed"]]
    if failed:
        _say(f"requests failed during: {', '.join(failed)}")
    return 1 if failed else 0


def _measure(bed: Bed, wanted: list[str], options: argparse.Namespace, results: dict[str, Any]) -> None:
    def say(name: str, value: Any) -> None:
        _say(f"{name}: {json.dumps(value)}")

    def note(name: str, value: Any) -> None:
        results[name] = value
        say(name, value)

    note("gateway", bed.make())
    time.sleep(2)
    note("idle", bed.memory())
    if "routes" in wanted:
        note("one route", bed.one_route("s"))
        there = 0
        for number in options.routes:
            note(f"to {number} routes", bed.many_routes(there, number))
            note(f"one route beside {number}", bed.one_route(f"m{number}x"))
            there = number
        note("all deleted", bed.delete_routes())
    if "changes" in wanted:
        results["changes"] = changes.all_of(bed, tuple(options.controller.split("/", 1)), say)
    if "size" in wanted:
        note("5000 routes and Services", bed.many_routes(100_000, 105_000, services=True))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
