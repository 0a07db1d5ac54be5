"""Load generators: wrk for HTTP/1.1, h2load for HTTP/2 and for TLS handshakes. They run on the client's core."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from bench.process import OTHER_CORE, Failure


@dataclass(frozen=True)
class Load:
    """What a generator did."""

    requests: int
    failed: int
    """Responses other than 2xx and 3xx, and connections that broke."""
    seconds: float
    p50_us: float | None = None

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds if self.seconds else 0.0


def wrk(
    url: str,
    seconds: float,
    connections: int,
    headers: dict[str, str] | None = None,
    script: Path | None = None,
) -> Load:
    """Keeps `connections` busy, one request at a time on each."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", "--timeout", "10s"]
    for name, value in (headers or {}).items():
        command += ["-H", f"{name}: {value}"]
    if script:
        command += ["-s", str(script)]
    return read_wrk(_run([*command, url], seconds))


def read_wrk(text: str) -> Load:
    """What wrk printed."""
    done = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)", text)
    if not done:
        raise Failure(f"wrk did not say how many requests it made: {text.strip()[-500:]}")
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    failed = (int(bad.group(1)) if bad else 0) + (sum(map(int, broken.groups())) if broken else 0)
    p50 = re.search(r"50%\s+([\d.]+)(us|ms|s|m)", text)
    return Load(
        requests=int(done.group(1)),
        failed=failed,
        seconds=_seconds(done.group(2), done.group(3)),
        p50_us=round(_seconds(p50.group(1), p50.group(2)) * 1e6, 1) if p50 else None,
    )


def h2load(url: str, requests: int, connections: int, streams: int, http1: bool = False) -> Load:
    """Makes `requests` on new connections, with `streams` at a time on each; new TLS handshakes are always full ones."""
    command = ["h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-n{requests}"]
    if http1:
        command += ["--npn-list", "http/1.1"] if url.startswith("https") else ["--h1"]
    started = time.monotonic()
    text = _run([*command, url], 60)
    return read_h2load(text, time.monotonic() - started)


def read_h2load(text: str, seconds: float) -> Load:
    """What h2load printed."""
    done = re.search(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", text)
    codes = re.search(r"status codes: (\d+) 2xx", text)
    if not done or not codes:
        raise Failure(f"h2load did not say how many requests it made: {text.strip()[-500:]}")
    # What is not 2xx counts as failed here, though h2load takes 3xx and 404 for a success.
    good = int(codes.group(1))
    return Load(requests=good, failed=max(int(done.group(1)) - good, 0) + int(done.group(4)), seconds=seconds)


def spread_script(requests: list[tuple[str, str]], path: Path) -> Path:
    """A wrk script that sends these requests (host, path) in turn."""
    lines = "\n".join(f'add("{host}", "{target}")' for host, target in requests)
    path.write_text(
        "local all, next = {}, 0\n"
        'local function add(host, path) all[#all + 1] = "GET " .. path .. " HTTP/1.1\\r\\nHost: " .. host .. "\\r\\n\\r\\n" end\n'
        "request = function() next = next % #all + 1; return all[next] end\n" + lines + "\n"
    )
    return path


def _run(command: list[str], seconds: float) -> str:
    try:
        done = subprocess.run(
            ["taskset", "-c", str(OTHER_CORE), *command], capture_output=True, text=True, timeout=seconds + 60
        )
    except subprocess.TimeoutExpired as late:
        raise Failure(f"{command[0]} did not end: {' '.join(command)}") from late
    if done.returncode == 127 or "failed to execute" in done.stderr:
        raise Failure(f"{command[0]} is not installed: run tests/install bench")
    return done.stdout + done.stderr


def _seconds(number: str, unit: str) -> float:
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}[unit]
