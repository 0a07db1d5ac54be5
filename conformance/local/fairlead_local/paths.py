"""Where things are. All that is made lies in target/cluster, or in $CLUSTER_DIR."""
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CONFORMANCE = ROOT / "conformance"
SOURCES = CONFORMANCE / "local"
SUITE = CONFORMANCE / "suite"
REPORTS = CONFORMANCE / "reports"

DIR = Path(os.environ.get("CLUSTER_DIR", ROOT / "target" / "cluster")).resolve()
BIN = DIR / "bin"  # what was built; kept
IMAGES = DIR / "images"  # likewise
LOG = DIR / "log"  # of the last cluster and suite; kept by `down`
STATE = DIR / "state"  # of the running cluster; removed by `down`
KUBECONFIG = DIR / "kubeconfig"


class Problem(Exception):
    """Something that the caller can do something about: the message says what is wrong, and what to do."""


def say(*words):
    print("cluster:", *words, file=sys.stderr, flush=True)


def tail(path, lines=8):
    """The last lines of a log, indented, for an error message."""
    try:
        text = Path(path).read_text(errors="replace").splitlines()[-lines:]
    except OSError:
        return ""
    return "".join(f"\n    {line[:300]}" for line in text)
