"""The machine: facts for the record, and how busy its cores were."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import resource
import shutil
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TARGET = ROOT / "target"
PEERS = TARGET / "tools" / "peers"


def facts() -> dict[str, object]:
    """What a reader needs to judge the numbers."""
    cpu = re.search(r"^model name\s*:\s*(.*)$", _read("/proc/cpuinfo"), re.M)
    os_name = re.search(r'^PRETTY_NAME="?([^"\n]*)', _read("/etc/os-release"), re.M)
    memory = re.search(r"^MemTotal:\s+(\d+)", _read("/proc/meminfo"), re.M)
    return {
        "cpu": cpu.group(1) if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(int(memory.group(1)) / 1024**2) if memory else None,
        "kernel": platform.release(),
        "system": os_name.group(1) if os_name else platform.system(),
        "load_average": [round(x, 2) for x in os.getloadavg()],
        "commit": _output(["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]),
    }


def core_busy_ns(core: int) -> int:
    """Time a core was not idle. The kernel counts in ticks of 10 ms."""
    line = re.search(rf"^cpu{core} (.*)$", _read("/proc/stat"), re.M)
    if not line:
        return 0
    user, nice, system, _idle, _wait, irq, softirq, *_ = (int(n) for n in line.group(1).split())
    return (user + nice + system + irq + softirq) * (10**9 // os.sysconf("SC_CLK_TCK"))


def raise_file_limit() -> int:
    """Lets this process and its children open as many files as allowed; the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def find_command(name: str) -> Path | None:
    """An installed command; daemons live where users' PATH does not lead."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    return Path(found) if found else None


def in_wheel(pattern: str) -> Path | None:
    """A file of the installed wheels."""
    return next(iter(sorted(PEERS.glob(f"lib/python3*/site-packages/{pattern}"))), None)


def first_line(command: list[str], env: dict[str, str] | None = None) -> str:
    """The first line a command prints."""
    return _output(command, env).splitlines()[0] if command else ""


@cache
def sha256(path: Path) -> str:
    """Of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _output(command: list[str], env: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=30)
    except OSError:
        return "unknown"
    return (done.stdout + done.stderr).strip() or "unknown"
