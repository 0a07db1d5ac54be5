"""The command line: what to measure, progress, and where results go."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bench import machine, report, targets
from bench.cells import CELLS
from bench.peers import PEERS, Peer
from bench.process import Failure
from bench.session import FULL, QUICK, Mode, Session, say

_DOCS = machine.ROOT / "docs" / "performance.md"
_RESULTS = machine.TARGET / "load" / "results.json"
_QUICK_PEERS = ("fairlead", "haproxy", "envoy")

_AFTER = """\
The table goes to standard output, progress to standard error, every round to target/load/results.json.
CPU per request is comparable within a run only, and only while nothing else runs on the machine.

Examples:
  tests/load/run --quick               Fairlead, HAProxy and Envoy in under five minutes
  tests/load/run h1 tls                two cells, all peers
  tests/load/run --only fairlead change
  tests/load/run --from target/load/results.json --write-docs
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs it; the exit code."""
    options = _parse(arguments)
    if options.list:
        for cell in CELLS.values():
            print(f"{cell.id:10} {cell.title} ({cell.unit})".format(routes=FULL.routes))
        return 0
    # A kill ends the proxies as an interrupt does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        results = json.loads(options.read.read_text()) if options.read else _measure(options)
    except Failure as failure:
        say(f"error: {failure}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; nothing was written")
        return 130
    print(report.markdown(results))
    if options.write_docs:
        _DOCS.write_text(report.written_into(_DOCS.read_text(), results))
        say(f"wrote {_DOCS.relative_to(machine.ROOT)}")
    missed = [t for t in targets.judge(results) if not t.met]
    return 1 if options.gate and missed else 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests/load/run",
        description="Load tests of Fairlead beside nginx, HAProxy, Envoy and Traefik: CPU per request, memory, changes.",
        epilog=_AFTER,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("cells", nargs="*", metavar="CELL", help=f"what to measure, all by default: {', '.join(CELLS)}")
    parser.add_argument("--quick", action="store_true", help=f"fewer and shorter rounds, peers {', '.join(_QUICK_PEERS)}")
    parser.add_argument("--only", metavar="PEERS", type=_peers, help=f"peers, comma-separated, of: {', '.join(PEERS)}")
    parser.add_argument("--rounds", type=_positive, help=f"rounds of each cell ({FULL.rounds}; quick {QUICK.rounds})")
    parser.add_argument("--seconds", type=_positive, help=f"load per peer and round ({FULL.seconds}; quick {QUICK.seconds})")
    parser.add_argument("--output", type=Path, default=_RESULTS, metavar="FILE", help="where results go (target/load/results.json)")
    parser.add_argument("--from", dest="read", type=Path, metavar="FILE", help="show these results instead of measuring")
    parser.add_argument("--write-docs", action="store_true", help="write the tables into docs/performance.md")
    parser.add_argument("--gate", action="store_true", help="exit with 1 when a target is missed")
    parser.add_argument("--list", action="store_true", help="list the cells")
    options = parser.parse_args(arguments)
    if unknown := [cell for cell in options.cells if cell not in CELLS]:
        parser.error(f"no such cell: {', '.join(unknown)}; there are {', '.join(CELLS)}")
    return options


def _peers(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in PEERS]:
        raise argparse.ArgumentTypeError(f"no such peer: {', '.join(unknown)}; there are {', '.join(PEERS)}")
    return names


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    mode = QUICK if options.quick else FULL
    mode = replace(mode, rounds=options.rounds or mode.rounds, seconds=options.seconds or mode.seconds)
    peers = _installed(options.only or (_QUICK_PEERS if options.quick else PEERS))
    if len(os.sched_getaffinity(0)) < 2:
        raise Failure("two cores are needed: one for the proxy, one for client and backend")
    cells = [CELLS[name] for name in options.cells] or list(CELLS.values())
    started, clock = datetime.now(timezone.utc), time.monotonic()
    results: dict[str, Any] = {
        "format": 1,
        "started": started.isoformat(timespec="seconds"),
        "mode": mode.name,
        "settings": vars(mode),
        "machine": machine.facts(),
        "peers": {name: peer.described() for name, peer in peers.items()},
        "tools": _tools(),
        "cells": {},
    }
    session = Session(mode, peers)
    try:
        for number, cell in enumerate(cells, 1):
            title = cell.title.format(routes=mode.routes)
            say(f"[{number}/{len(cells)}, {time.monotonic() - clock:.0f} s] {cell.id}: {title}")
            results["cells"][cell.id] = {"title": title, "unit": cell.unit, "answers": cell.ask(session)}
    finally:
        session.close()
    results["seconds"] = round(time.monotonic() - clock, 1)
    results["machine"]["load_average_after"] = [round(x, 2) for x in os.getloadavg()]
    results["targets"] = [target.record() for target in targets.judge(results)]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    say(f"wrote {options.output} after {results['seconds']:.0f} s")
    return results


def _installed(names: Any) -> dict[str, Peer]:
    peers = {name: PEERS[name] for name in PEERS if name in names}
    if "fairlead" in peers and "FAIRLEAD_BIN" not in os.environ:
        _build()
    if missing := [name for name, peer in peers.items() if peer.program() is None]:
        raise Failure(f"not installed: {', '.join(missing)}; run tests/install bench, or name others with --only")
    return peers


def _build() -> None:
    say("cargo build --release")
    done = subprocess.run(["cargo", "build", "--release", "--quiet", "--bin", "fairlead"], cwd=machine.ROOT, stdout=sys.stderr)
    if done.returncode:
        raise Failure("the release build failed")


def _tools() -> dict[str, str]:
    return {name: machine.first_line(command) for name, command in {"wrk": ["wrk", "-v"], "h2load": ["h2load", "--version"]}.items()}
