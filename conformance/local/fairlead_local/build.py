"""Go programs from their sources, built once: next to each binary lies the hash of what it was built from."""
import contextlib
import fcntl
import hashlib
import os
import subprocess
import time
from functools import cache
from pathlib import Path

from .paths import BIN, DIR, LOG, ROOT, SOURCES, SUITE, Problem, say, tail

GO_VERSION = "1.27"
KUBERNETES = "1.34.4"

# Without the stamp the API server calls itself v0.0.0-master+$Format, at which kubectl and charts stumble.
STAMP = " ".join(
    f"-X {package}.gitVersion=v{KUBERNETES} -X {package}.gitMajor={KUBERNETES.split('.')[0]} "
    f"-X {package}.gitMinor={KUBERNETES.split('.')[1]} -X {package}.gitTreeState=clean"
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
)

# name: (module, arguments of go)
PROGRAMS = {
    "kube": (SOURCES / "kube", ["build", f"-ldflags=-s -w {STAMP}"]),
    "coredns": (SOURCES / "coredns", ["build", "-ldflags=-s -w"]),
    "pause": (SOURCES / "pause", ["build", "-ldflags=-s -w"]),
    "echo-basic": (SUITE, ["build", "-ldflags=-s -w", "sigs.k8s.io/gateway-api-conformance-images/echo-basic"]),
    "suite.test": (SUITE, ["test", "-c", "-ldflags=-s -w"]),
}


@cache
def go_command():
    """The path of a Go that is new enough; tests/install looks for one, or installs it."""
    found = subprocess.run([ROOT / "tests" / "install", "go", GO_VERSION], stdout=subprocess.PIPE, text=True)
    if found.returncode != 0:
        raise Problem(f"no Go {GO_VERSION}: put one on the PATH, or look at why `tests/install go {GO_VERSION}` failed")
    return found.stdout.strip()


def go(arguments, module):
    """The output of a go command in a module."""
    done = subprocess.run([go_command(), *arguments], cwd=module, stdout=subprocess.PIPE, text=True, env=go_environment())
    if done.returncode != 0:
        raise Problem(f"go {' '.join(arguments)} failed in {module}")
    return done.stdout.strip()


def go_environment():
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}


def program(name):
    """The path of a program, built if its sources are not those of the binary at hand."""
    binary, key_file = BIN / name, BIN / f"{name}.key"
    with locked(f"build-{name}"):
        key = source_key(name)
        if binary.exists() and key_file.exists() and key_file.read_text() == key:
            return binary
        BIN.mkdir(parents=True, exist_ok=True)
        LOG.mkdir(parents=True, exist_ok=True)
        compile_to(binary, name)
        key_file.write_text(key)
    return binary


def compile_to(binary, name):
    module, arguments = PROGRAMS[name]
    log = LOG / f"build-{name}.log"
    say(f"building {name}" + (" (this once takes five to ten minutes)" if name == "kube" else ""))
    began = time.monotonic()
    command = ["nice", "-n", "5", go_command(), arguments[0], "-trimpath", "-buildvcs=false", "-o", f"{binary}.new", *arguments[1:]]
    with open(log, "w") as output:
        done = subprocess.run(command, cwd=module, stdout=output, stderr=subprocess.STDOUT, env=go_environment())
    if done.returncode != 0:
        raise Problem(f"building {name} failed; {log} ends with{tail(log)}")
    os.replace(f"{binary}.new", binary)
    say(f"built {name} in {time.monotonic() - began:.0f} s")


def source_key(name):
    module, arguments = PROGRAMS[name]
    state = hashlib.sha256(repr((GO_VERSION, arguments)).encode())
    for file in sorted(path for path in Path(module).rglob("*") if path.suffix in (".go", ".mod", ".sum")):
        # A test of our own is in no program but the suite's.
        if file.name.endswith("_test.go") and name != "suite.test":
            continue
        state.update(f"{file.relative_to(module)}\0".encode() + file.read_bytes())
    return state.hexdigest()


@contextlib.contextmanager
def locked(name):
    """One at a time, also of several processes."""
    (DIR / "lock").mkdir(parents=True, exist_ok=True)
    with open(DIR / "lock" / name, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
