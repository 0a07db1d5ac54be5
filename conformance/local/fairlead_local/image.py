"""Container images from files, without Docker: one layer in a docker-archive, which `ctr images import`, `docker load`
and `kind load image-archive` all take. The same files give the same bytes.
"""
import hashlib
import io
import json
import os
import platform
import re
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

from . import build
from .paths import IMAGES, ROOT, Problem, say

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
PAUSE = "registry.k8s.io/pause:3.10"
FAIRLEAD = "docker.io/library/fairlead"
USER = "65532"

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass
class Image:
    """files maps the path inside to a file outside, or to bytes. No directory is writable."""

    references: list
    entrypoint: list
    files: dict
    user: str = f"{USER}:{USER}"
    environment: list = field(default_factory=lambda: ["PATH=/usr/bin:/bin:/"])

    def write(self, archive):
        layer = self.layer()
        layer_id = hashlib.sha256(layer).hexdigest()
        config = json.dumps(
            {
                "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
                "os": "linux",
                "config": {"Entrypoint": self.entrypoint, "User": self.user, "WorkingDir": "/", "Env": self.environment},
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_id}"]},
                "history": [{"created_by": "conformance/image"}],
            },
            sort_keys=True,
        ).encode()
        config_name = f"{hashlib.sha256(config).hexdigest()}.json"
        manifest = json.dumps(
            [{"Config": config_name, "RepoTags": self.references, "Layers": [f"{layer_id}/layer.tar"]}]
        ).encode()
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(f"{archive}.new", "w") as tar:
            for name, content in ((config_name, config), (f"{layer_id}/layer.tar", layer), ("manifest.json", manifest)):
                add(tar, name, content)
        os.replace(f"{archive}.new", archive)
        return archive

    def layer(self):
        contents = {
            path.lstrip("/"): (source if isinstance(source, bytes) else Path(source).read_bytes(), mode_of(source))
            for path, source in self.files.items()
        }
        directories = {"dev", "etc", "proc", "sys"}
        for path in contents:
            directories.update(str(parent) for parent in Path(path).parents if str(parent) != ".")
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for directory in sorted(directories):
                entry = tarfile.TarInfo(directory)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
            for path, (content, mode) in sorted(contents.items()):
                add(tar, path, content, mode)
        return buffer.getvalue()


def add(tar, name, content, mode=0o644):
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def mode_of(source):
    return 0o755 if not isinstance(source, bytes) and os.access(source, os.X_OK) else 0o644


def shared_libraries(binary):
    """What a dynamic binary needs from this machine, by the path at which the loader looks for it."""
    listed = subprocess.run(["ldd", binary], capture_output=True, text=True)
    if "not a dynamic executable" in listed.stdout + listed.stderr or "statically linked" in listed.stdout:
        return {}
    if listed.returncode != 0:
        raise Problem(f"ldd {binary}: {listed.stderr.strip()}")
    missing = re.findall(r"^\s*(\S+) => not found", listed.stdout, re.M)
    if missing:
        raise Problem(f"{binary} needs {', '.join(missing)}, which this machine does not have")
    paths = re.findall(r"(?:=> )?(/\S+) \(0x", listed.stdout)
    return {path: Path(path).resolve() for path in paths}


def identity():
    """What a name lookup and a user lookup read."""
    return {
        "/etc/passwd": b"root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n",
        "/etc/group": b"root:x:0:\nnonroot:x:65532:\n",
        "/etc/nsswitch.conf": b"hosts: files dns\n",
    }


def certificates():
    if not os.path.exists(CERTIFICATES):
        raise Problem(f"no {CERTIFICATES}: install the package ca-certificates")
    return {CERTIFICATES: CERTIFICATES}


def fairlead(binary=None):
    """The product: a glibc binary with the libraries of this machine."""
    binary = Path(binary or os.environ.get("FAIRLEAD_BIN") or ROOT / "target" / "release" / "fairlead")
    if not binary.exists():
        raise Problem(f"no {binary}: run `make build` first")
    return fairlead_of(binary).write(IMAGES / "fairlead.tar")


def fairlead_of(binary):
    """The Dockerfile's, with the libraries of this machine."""
    files = {"/usr/bin/fairlead": binary, **shared_libraries(binary), **certificates(), **identity()}
    return Image([f"{FAIRLEAD}:dev", f"{FAIRLEAD}:{version()}"], ["/usr/bin/fairlead"], files)


def version():
    """Fairlead's, as the chart names it too."""
    return re.search(r'^version = "([^"]+)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]


def pause():
    """The container that holds a pod together."""
    return Image([PAUSE], ["/pause"], {"/pause": build.program("pause")}, user="65535:65535").write(IMAGES / "pause.tar")


def echo():
    """The echo server of the suite's manifests, under every name that they call it by."""
    names = echo_references()
    files = {"/echo-basic": build.program("echo-basic"), **certificates(), **identity()}
    return Image(names, ["/echo-basic"], files).write(IMAGES / "echo-basic.tar")


def echo_references():
    """The images that the suite's gateway manifests name. The mesh's client is Istio's, and is not made here."""
    module = Path(build.go(["list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api/conformance"], build.SUITE))
    named = set()
    for folder in ("base", "tests"):
        for manifest in (module / folder).rglob("*.yaml"):
            named.update(re.findall(r"^\s*-?\s*image:\s*[\"']?([^\s\"']+)", manifest.read_text(), re.M))
    strange = [name for name in named if "/echo-basic:" not in name and "/echo-advanced:" not in name]
    if strange:
        raise Problem(f"the suite's manifests name images that nothing here makes: {', '.join(sorted(strange))}")
    return sorted(name for name in named if "/echo-basic:" in name)


KNOWN = {"fairlead": fairlead, "pause": pause, "echo": echo}


def make(name):
    archive = KNOWN[name]()
    say(f"image {name}: {archive} ({archive.stat().st_size / 1e6:.0f} MB)")
    return archive
