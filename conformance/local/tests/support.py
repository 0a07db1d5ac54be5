"""What the tests share: the command, and the machine before and after. The tests use a folder of their own (but the
programs of target/cluster), so that another cluster may run meanwhile.
"""
import os
import subprocess
import sys
from pathlib import Path

CONFORMANCE = Path(__file__).resolve().parents[2]
TARGET = CONFORMANCE.parent / "target"
DIR = TARGET / "cluster-test"
os.environ["CLUSTER_DIR"] = str(DIR)
sys.path.insert(0, str(CONFORMANCE / "local"))

IMAGE = "registry.k8s.io/gateway-api/conformance/echo-basic:v0.1.0"


def cluster(*words, check=True, **options):
    done = subprocess.run([CONFORMANCE / "cluster", *words], capture_output=True, text=True, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"cluster {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def machine():
    """What a cluster could leave behind: mounts, network namespaces, interfaces, cgroups, processes."""
    namespaces = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                namespaces.add(os.readlink(f"/proc/{entry}/ns/net"))
            except OSError:
                continue
    return {
        "mounts": sorted(line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()),
        "network namespaces": sorted(namespaces),
        "interfaces": sorted(os.listdir("/sys/class/net")),
        "cgroups": sorted(str(path) for path in Path("/sys/fs/cgroup").glob("**/") if "k8s.io" in str(path)),
        "processes": sorted(words for words in command_lines() if str(DIR) in words),
    }


def clean_machine():
    """How the machine is without a cluster."""
    DIR.mkdir(parents=True, exist_ok=True)
    (TARGET / "cluster" / "bin").mkdir(parents=True, exist_ok=True)
    if not (DIR / "bin").exists():
        (DIR / "bin").symlink_to(TARGET / "cluster" / "bin")
    cluster("down")
    return machine()


def assert_as_before(before):
    after = machine()
    for what, was in before.items():
        left = [thing for thing in after[what] if thing not in was]
        assert not left, f"{what} left after down: {left}"


def command_lines():
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and int(entry) != os.getpid():
                yield Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
