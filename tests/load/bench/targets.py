"""What Fairlead is to reach, judged from a run's results."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.stats import Spread, difference, ratio

Results = dict[str, Any]


@dataclass(frozen=True)
class Judged:
    """A target and what was measured."""

    text: str
    limit: float
    unit: str
    value: float
    detail: str = ""

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return self.value <= self.limit

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {"target": self.text, "limit": self.limit, "unit": self.unit, "value": round(self.value, 3), "met": self.met}


RATIOS = (
    ("h1", "haproxy", 0.95),
    ("h1", "envoy", 0.40),
    ("h2-h1", "haproxy", 1.10),
    ("h2-h2", "haproxy", 1.10),
    ("h2-h2", "envoy", 0.80),
    ("tls", "haproxy", 0.85),
    ("handshake", "envoy", 0.75),
)
"""CPU per request, as a part of the peer's in the same rounds."""

CONTROL = "control"
"""The variant of the first cell in which Fairlead runs once more."""

MORE_ROUTES_US = 1.0
CHANGE_MS = 20.0
KIB = {"idle": 2.0, "idle-tls": 13.0, "memory": 4.0}


def judge(results: Results) -> list[Judged]:
    """The targets that the measured cells can tell of."""
    return [*_ratios(results), *_more_routes(results), *_change(results), *_memory(results)]


def rounds(results: Results, cell: str, peer: str, variant: str = "") -> list[float]:
    """CPU per request of each round; empty when not measured."""
    found = answer(results, cell, peer, variant)
    return [r["cpu_us"] for r in found["rounds"]] if found else []


def compared(results: Results, cell: str, peer: str, variant: str = "") -> Spread | None:
    """Fairlead's CPU per request as a part of the peer's."""
    return ratio(rounds(results, cell, "fairlead", variant), rounds(results, cell, peer, variant))


def compared_with_control(results: Results) -> Spread | None:
    """The same binary in the same rounds: how far from 1 the machine's noise brings a ratio."""
    return ratio(rounds(results, "h1", "fairlead", CONTROL), rounds(results, "h1", "fairlead"))


def more(results: Results, cell: str, peer: str) -> Spread | None:
    """CPU per request with many routes, less that with few: the last route of each."""
    names = variants(results, cell)
    if len(names) < 2:
        return None
    return difference(rounds(results, cell, peer, names[1]), rounds(results, cell, peer, names[0]))


def _ratios(results: Results) -> list[Judged]:
    judged = []
    for cell, peer, limit in RATIOS:
        if found := compared(results, cell, peer):
            title = results["cells"][cell]["title"]
            judged.append(
                Judged(f"{title}: CPU of {peer}'s", limit, "×", found.median, f"{found.low:.2f} … {found.high:.2f}")
            )
    return judged


def _more_routes(results: Results) -> list[Judged]:
    judged = []
    for cell in ("prefixes", "hosts"):
        if found := more(results, cell, "fairlead"):
            few, many = (name.removesuffix(", the last") for name in variants(results, cell)[:2])
            text = f"{many} {results['cells'][cell]['title']} instead of {few}"
            judged.append(Judged(text, MORE_ROUTES_US, "µs", found.median, f"{found.low:.2f} … {found.high:.2f}"))
    return judged


def _change(results: Results) -> list[Judged]:
    found = answer(results, "change", "fairlead")
    if not found:
        return []
    failed = found["load"]["failed"] + found["probe_failures"]
    return [
        Judged("changed route answers after", CHANGE_MS, "ms", median(found["ms"]), f"at most {max(found['ms']):.1f}"),
        Judged("requests that fail while it changes", 0, "", failed, f"of {found['load']['requests']:,}"),
    ]


def _memory(results: Results) -> list[Judged]:
    judged = []
    for cell, limit in KIB.items():
        if found := answer(results, cell, "fairlead"):
            judged.append(Judged(f"memory per {results['cells'][cell]['title']}", limit, "KiB", found["kib"]))
    return judged


def answer(results: Results, cell: str, peer: str, variant: str = "") -> dict[str, Any] | None:
    """What was measured of a peer, None when it was not."""
    answers = results["cells"].get(cell, {}).get("answers", [])
    return next((a for a in answers if a["peer"] == peer and a["variant"] == variant), None)


def variants(results: Results, cell: str) -> list[str]:
    """The rows of a cell, in order."""
    answers = results["cells"].get(cell, {}).get("answers", [])
    return list(dict.fromkeys(a["variant"] for a in answers))

