"""Memory and CPU of the processes behind pods, which must run on this machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

from cluster.api import Failure

_TICKS = os.sysconf("SC_CLK_TCK")


class Processes:
    """The controllers, or the proxies of one Gateway."""

    def __init__(self, *words: str) -> None:
        self._words = words

    def pids(self) -> list[int]:
        """Those whose command line has all words."""
        found = []
        for place in Path("/proc").iterdir():
            try:
                words = (place / "cmdline").read_bytes().decode(errors="replace").split("\0") if place.name.isdigit() else []
            except OSError:
                continue
            if words and words[0].endswith("fairlead") and all(word in words for word in self._words):
                found.append(int(place.name))
        if not found:
            raise Failure(f"no process `fairlead … {' '.join(self._words)}` on this machine")
        return found

    def options(self, name: str) -> set[str]:
        """What they were given as `name=VALUE`."""
        lines = [Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0") for pid in self.pids()]
        return {word.removeprefix(f"{name}=") for line in lines for word in line if word.startswith(f"{name}=")}

    def mib(self) -> float:
        """Resident memory of the largest."""
        return max(_rss(pid) for pid in self.pids())

    def cpu(self) -> float:
        """Seconds of all, since they started."""
        return sum(_cpu(pid) for pid in self.pids())


def _rss(pid: int) -> float:
    match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) / 1024 if match else 0.0


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
