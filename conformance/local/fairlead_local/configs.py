"""The configuration files of the local cluster's components."""
import json
import subprocess

from .image import PAUSE
from .paths import LOG, STATE
from .pki import PKI

NODE = "172.30.0.2"
PODS = "10.244.0.0/16"
SERVICES = "10.96.0.0/16"
DNS = "10.96.0.10"
ADDRESSES = "172.30.1.0/24"
# The CNI's network name: what it leaves behind in its cache is known by it.
NETWORK = "fairlead-pods"
CONTAINERD_SOCKET = STATE / "containerd.sock"


def write(plugins):
    """Writes all of them; `plugins` is the folder of the CNI plugins."""
    for folder in ("cni", "coredns", "containerd", "containerd-state", "containerd-opt", "kubelet", "volume-plugins"):
        (STATE / folder).mkdir(parents=True, exist_ok=True)
    files = {
        "containerd.toml": containerd(plugins),
        "cni/10-bridge.conflist": json.dumps(cni(), indent=1),
        "kubelet.json": json.dumps(kubelet(), indent=1),
        "kube-proxy.json": json.dumps(kube_proxy(), indent=1),
        "coredns/Corefile": corefile(),
    }
    for name, text in files.items():
        file = STATE / name
        # kube-proxy ends when its file is written, also with what was there before.
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
    (STATE / "coredns" / "hosts").touch()


def snapshotter():
    """overlayfs does not stack on itself, as when all of this is in a container; copying works everywhere."""
    kind = subprocess.run(["stat", "-f", "-c", "%T", STATE], capture_output=True, text=True).stdout.strip()
    return "native" if kind == "overlayfs" else "overlayfs"


def containerd(plugins):
    # restrict_oom_score_adj: without CAP_SYS_RESOURCE (as in many containers) runc may not lower it.
    return f"""\
version = 2
root = "{STATE}/containerd"
state = "{STATE}/containerd-state"
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{STATE}/containerd-opt"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "{PAUSE}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{STATE}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter()}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""


def cni():
    addresses = {
        "type": "host-local",
        "dataDir": f"{STATE}/cni-ipam",
        "ranges": [[{"subnet": PODS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {
        "type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True, "ipam": addresses,
    }
    return {
        "cniVersion": "1.0.0",
        "name": NETWORK,
        "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}],
    }


def kubelet():
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{PKI}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        # The machine's cgroups are not ours to arrange: pods get one each, nothing is reserved.
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "localStorageCapacityIsolation": False,
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "clusterDNS": [DNS],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        # It reads limits of memory back from cgroups, which this node does not keep, and dies of what it does not find.
        "featureGates": {"InPlacePodVerticalScaling": False},
        "tlsCertFile": f"{PKI}/kubelet.crt",
        "tlsPrivateKeyFile": f"{PKI}/kubelet.key",
        "evictionHard": {"imagefs.available": "0%", "nodefs.available": "0%", "memory.available": "100Mi"},
        "maxPods": 250,
        "syncFrequency": "10s",
        "podLogsDir": f"{LOG}/pods",
        "volumePluginDir": f"{STATE}/volume-plugins",
        "registryPullQPS": 0,
        "serializeImagePulls": False,
    }


def kube_proxy():
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": PODS,
        "clientConnection": {"kubeconfig": f"{PKI}/kube-proxy.conf"},
        "conntrack": {"maxPerCore": 0, "min": 0},
        "hostnameOverride": "node0",
        "nftables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
    }


def corefile():
    return f"""\
.:5353 {{
    bind {NODE}
    errors
    health 127.0.0.1:8053
    ready 127.0.0.1:8054
    reload 5s
    hosts {STATE}/coredns/hosts {{
        fallthrough
    }}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {PKI}/admin.conf
        pods insecure
        ttl 5
    }}
    cache 5
}}
"""


def dns_objects():
    """CoreDNS is a process of the host: its Service has a hand-written EndpointSlice."""
    ports = [("dns", 53, "UDP"), ("dns-tcp", 53, "TCP")]
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
                "spec": {
                    "clusterIP": DNS,
                    "ports": [{"name": n, "port": p, "protocol": t, "targetPort": 5353} for n, p, t in ports],
                },
            },
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": "kube-dns-host",
                    "namespace": "kube-system",
                    "labels": {"kubernetes.io/service-name": "kube-dns"},
                },
                "addressType": "IPv4",
                "ports": [{"name": n, "port": 5353, "protocol": t} for n, _, t in ports],
                "endpoints": [{"addresses": [NODE], "conditions": {"ready": True}}],
            },
        ],
    }
