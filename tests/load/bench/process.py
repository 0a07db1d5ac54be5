"""Processes pinned to a core, and what the kernel knows of them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

PROXY_CORE = 0
OTHER_CORE = 1


class Failure(Exception):
    """Something that makes a measurement void; the message says what to do."""


class Process:
    """A process and its children on one core. What it prints goes to `log`, standard output only when `keep_stdout`."""

    def __init__(
        self,
        name: str,
        command: list[str],
        log: Path,
        core: int,
        env: dict[str, str] | None = None,
        keep_stdout: bool = True,
    ):
        self.name = name
        self.log = log
        with log.open("wb") as output:
            self._child = subprocess.Popen(
                ["taskset", "-c", str(core), *command],
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output if keep_stdout else subprocess.DEVNULL,
                stderr=output,
            )

    @property
    def pid(self) -> int:
        """Of the first process; `taskset` becomes it."""
        return self._child.pid

    def pids(self) -> list[int]:
        """The process and all its descendants."""
        return tree(self.pid)

    def cpu_ns(self) -> int:
        """User and system time of the tree, with that of threads that ended. Nanoseconds."""
        return sum(_cpu_clock(pid) for pid in self.pids())

    def memory_kib(self) -> float:
        """Anonymous and shared memory of the tree (PSS). Pages of the binary, which other subjects may run too, don't count."""
        total = 0
        for pid in self.pids():
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += sum(int(n) for n in re.findall(r"^Pss_(?:Anon|Shmem):\s+(\d+)", text, re.M))
        return float(total)

    def check_alive(self) -> None:
        """Fails with the end of its output when it is gone."""
        if self._child.poll() is not None:
            raise Failure(f"{self.name} ended with status {self._child.returncode}; {self.last_words()}")

    def last_words(self) -> str:
        """The end of what it printed."""
        text = self.log.read_text(errors="replace").strip()
        return f"{self.log}:\n{text[-2000:]}" if text else f"{self.log} is empty"

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the first process."""
        self._child.send_signal(number)

    def stop(self) -> None:
        """Ends the tree, kindly first."""
        if self._child.poll() is not None:
            return
        descendants = self.pids()[1:]
        self._child.terminate()
        try:
            self._child.wait(3)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        for pid in descendants:  # children that a reload left behind
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass


def tree(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [p for child in children.read_text().split() for p in tree(int(child))]
        except OSError:
            pass
    return found


def _cpu_clock(pid: int) -> int:
    try:
        return time.clock_gettime_ns((~pid) << 3 | 2)  # clock_getcpuclockid(3)
    except OSError:
        return 0


def free_port() -> int:
    """A TCP port that nobody listens on, not even with SO_REUSEPORT."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def check_alone(port: int, process: Process) -> None:
    """Fails when another process listens on the port too: with SO_REUSEPORT it would take half of the connections."""
    wanted = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                wanted.add(f"socket:[{fields[9]}]")
    held = set()
    for pid in process.pids():
        for fd in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                held.add(os.readlink(fd))
            except OSError:
                pass
    if not wanted:
        raise Failure(f"{process.name} does not listen on port {port}")
    if wanted - held:
        raise Failure(f"somebody else listens on port {port} of {process.name}: end it and run again")


def wait_for(what: str, seconds: float, process: Process, check) -> None:
    """Waits until `check()` is true while the process lives."""
    deadline = time.monotonic() + seconds
    while not check():
        process.check_alive()
        if time.monotonic() > deadline:
            raise Failure(f"waited {seconds:.0f} s for {what}; {process.last_words()}")
        time.sleep(0.02)


def accepts(port: int) -> bool:
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
        return True
    except OSError:
        return False
