"""What a machine must have to host the cluster: asked before anything is started, and said in words."""
import os
import platform
import shutil
import subprocess
from pathlib import Path

from .paths import DIR, LOG, STATE, Problem, say, tail

# command: Debian's package
COMMANDS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "sysctl": "procps",
    "nsenter": "util-linux",
    "openssl": "openssl",
}
PLUGIN_FOLDERS = ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni")
PLUGINS = ("bridge", "host-local", "loopback", "portmap")
CAPABILITIES = {"CAP_CHOWN": 0, "CAP_NET_ADMIN": 12, "CAP_SYS_CHROOT": 18, "CAP_SYS_ADMIN": 21, "CAP_MKNOD": 27}
# A socket's path has at most 107 bytes, and the longest is that of the kubelet's pod resources.
LONGEST_SOCKET = "state/kubelet/pod-resources/1234567890.sock"


def find(command):
    """A command's path, also where only root's PATH looks."""
    return shutil.which(command) or shutil.which(command, path="/usr/sbin:/sbin:/usr/local/sbin")


def plugin_folder():
    """Where the CNI plugins are, or None."""
    return next((f for f in PLUGIN_FOLDERS if all(os.access(f"{f}/{p}", os.X_OK) for p in PLUGINS)), None)


def missing_packages():
    packages = {package for command, package in COMMANDS.items() if not find(command)}
    if not plugin_folder():
        packages.add("containernetworking-plugins")
    return sorted(packages)


def install_packages():
    packages = missing_packages()
    if not packages:
        return
    by_hand = f"install {', '.join(packages)} by hand (names of Debian's packages)"
    if not find("apt-get"):
        raise Problem(f"this is no Debian or Ubuntu: {by_hand}")
    need_root("to install packages")
    say(f"apt-get install {' '.join(packages)}")
    LOG.mkdir(parents=True, exist_ok=True)
    log = LOG / "apt.log"
    # The packages' own services are not needed, and must not start: the cluster starts its own containerd.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    with open(log, "w") as output:
        for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", *packages]):
            done = subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    if done.returncode != 0 or missing_packages():
        raise Problem(f"apt-get failed: {by_hand}; {log} ends with{tail(log)}")


def need_root(why):
    if os.geteuid() != 0:
        raise Problem(f"root is needed {why}: run the same command with sudo")


def check():
    """Raises a Problem for the first thing that is missing and cannot be installed."""
    if platform.system() != "Linux":
        raise Problem("the local cluster needs Linux; elsewhere use kind (--kind NAME) or a cluster you have (--existing)")
    need_root("for namespaces, mounts and cgroups")
    check_capabilities()
    check_kernel()
    check_place()


def check_capabilities():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff"))
    have = int(line.split()[1], 16)
    lacking = [name for name, bit in CAPABILITIES.items() if not have >> bit & 1]
    if lacking:
        raise Problem(f"root here lacks {', '.join(lacking)}: in a container, run it with --privileged")


def check_kernel():
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists() and not Path("/sys/fs/cgroup/memory").is_dir():
        raise Problem("no cgroups at /sys/fs/cgroup: mount cgroup2 there, or in a container run it with --privileged")
    for module in ("overlay", "br_netfilter", "nf_tables", "veth"):
        # Built in, or loaded already, or not allowed here: what matters is tried below.
        if find("modprobe"):
            subprocess.run([find("modprobe"), module], stderr=subprocess.DEVNULL)
    if "\toverlay" not in Path("/proc/filesystems").read_text():
        raise Problem("the kernel has no overlay filesystem: modprobe overlay")
    attempts = {
        "network namespaces (CONFIG_NET_NS)": "true",
        "bridges (CONFIG_BRIDGE)": "ip link add try0 type bridge",
        "veth pairs (CONFIG_VETH)": "ip link add try0 type veth peer name try1",
        "nftables with NAT (CONFIG_NF_TABLES, CONFIG_NFT_NAT)": "nft add table ip try && "
        "nft 'add chain ip try nat { type nat hook prerouting priority dstnat; }'",
    }
    for what, command in attempts.items():
        tried = subprocess.run(
            ["unshare", "--net", "sh", "-c", command], capture_output=True, text=True,
            env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
        )
        if tried.returncode != 0:
            raise Problem(f"the kernel, or the container that this is, allows no {what}: {tried.stderr.strip()}")


def check_place():
    if len(str(DIR / LONGEST_SOCKET)) > 107:
        raise Problem(f"{DIR} is too long a path for the sockets in it: set CLUSTER_DIR to a shorter one")
    STATE.mkdir(parents=True, exist_ok=True)
    free = os.statvfs(DIR)
    if free.f_bavail * free.f_frsize < 3e9:
        raise Problem(f"less than 3 GB are free at {DIR}: make room, or set CLUSTER_DIR")
