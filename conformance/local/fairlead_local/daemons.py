"""Processes that outlive the command that started them: a file per process holds its id and its start time, so that a
reused id is not taken for it. All run in the cluster's network namespace.
"""
import os
import signal
import subprocess
import time
from pathlib import Path

from .paths import LOG, STATE, Problem, tail

PIDS = STATE / "pids"
NETNS = STATE / "netns"


def inside(command):
    """The same command in the cluster's network namespace. nsenter, as `ip netns exec` hides the cgroup mounts."""
    return ["nsenter", f"--net={NETNS}", *map(str, command)]


def start(name, command):
    """Starts a process unless it runs."""
    if alive(name):
        return
    PIDS.mkdir(parents=True, exist_ok=True)
    LOG.mkdir(parents=True, exist_ok=True)
    with open(LOG / f"{name}.log", "w") as log:
        process = subprocess.Popen(
            inside(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
        )
    (PIDS / name).write_text(f"{process.pid} {start_time(process.pid)}")


def alive(name):
    """The process's id if it runs, else 0."""
    try:
        pid, began = map(int, (PIDS / name).read_text().split())
    except (OSError, ValueError):
        return 0
    return pid if start_time(pid) == began else 0


def start_time(pid):
    """In ticks since boot; 0 for a process that is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])


def known():
    return sorted(path.name for path in PIDS.iterdir()) if PIDS.is_dir() else []


def stop(names, grace=5.0):
    """Ends processes politely, and after `grace` seconds not so."""
    pids = {name: alive(name) for name in names}
    for sign, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 2.0))[grace == 0 :]:
        for name, pid in pids.items():
            if alive(name):
                send(pid, sign)
        until = time.monotonic() + seconds
        while any(map(alive, names)) and time.monotonic() < until:
            time.sleep(0.05)
    for name in names:
        if not alive(name):
            (PIDS / name).unlink(missing_ok=True)


def send(pid, sign):
    try:
        os.kill(pid, sign)
    except ProcessLookupError:
        pass


def wait_for(what, check, seconds=60.0, log=None):
    """Polls until check() is true. A daemon that dies meanwhile, or the end of the time, is a Problem that shows its log."""
    until = time.monotonic() + seconds
    while not check():
        for name in known():
            if not alive(name):
                raise Problem(f"{name} died while waiting for {what}; {LOG / name}.log ends with{tail(LOG / f'{name}.log')}")
        if time.monotonic() > until:
            shown = f"; {LOG / log}.log ends with{tail(LOG / f'{log}.log')}" if log else f"; see {LOG}"
            raise Problem(f"no {what} after {seconds:.0f} s{shown}")
        time.sleep(0.1)


def in_network_namespaces(inodes):
    """Ids of all processes in these network namespaces, without this process and its ancestors."""
    own, pid = set(), os.getpid()
    while pid > 1:
        own.add(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) not in own:
            try:
                if os.stat(f"/proc/{entry}/ns/net").st_ino in inodes:
                    found.append(int(entry))
            except OSError:
                continue
    return found
