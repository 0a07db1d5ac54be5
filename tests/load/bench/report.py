"""Results as tables: Markdown, for the terminal and for docs/performance.md. Knows nothing but the results."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any

from bench import targets
from bench.targets import Results, answer, variants

BEGIN = "<!-- results: begin, written by tests/load/run --write-docs -->"
END = "<!-- results: end -->"

_TITLES = {"fairlead": "Fairlead", "nginx": "nginx", "haproxy": "HAProxy", "envoy": "Envoy", "traefik": "Traefik"}
_CPU_CELLS = ("h1", "fat", "single", "large", "h2-h1", "h2-h2", "tls", "handshake", "prefixes", "hosts")
_ABSENT = "–"


def markdown(results: Results) -> str:
    """All tables."""
    parts = [_header(results), _cpu(results), _more_routes(results), _change(results), _memory(results), _targets(results)]
    return "\n\n".join(part for part in parts if part)


def written_into(document: str, results: Results) -> str:
    """The document with the tables between its markers."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document lacks the markers {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{markdown(results)}\n\n{END}{after}"


def _header(results: Results) -> str:
    machine = results["machine"]
    versions = ", ".join(f"{_TITLES[name]} {_version(facts['version'])}" for name, facts in results["peers"].items())
    lines = [
        f"{results['started'][:10]}, {results['mode']} run of {results['seconds']:.0f} s, commit {machine['commit']}. "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, Linux {machine['kernel']}.",
        f"{versions}.",
    ]
    if control := targets.compared_with_control(results):
        lines.append(
            f"Control: the same Fairlead beside itself takes {control.median:.2f} × ({control.low:.2f} … {control.high:.2f})"
            + (", so this run is **noisy**." if not 0.95 <= control.median <= 1.05 else ".")
        )
    return "\n".join(lines)


def _version(line: str) -> str:
    """The number in what a program says of itself."""
    found = re.search(r"\d+\.\d+\.\d+", line)
    return found.group() if found else line


def _peers(results: Results) -> list[str]:
    return [name for name in _TITLES if name in results["peers"]]


def _cpu(results: Results) -> str:
    peers = _peers(results)
    rivals = [name for name in ("haproxy", "envoy") if name in peers and "fairlead" in peers]
    rows = []
    for cell in _CPU_CELLS:
        for variant in variants(results, cell):
            label = results["cells"][cell]["title"]
            if variant:
                label = f"{label}: {variant}"
            numbers = [_cell(answer(results, cell, name, variant), lambda a: f"{a['cpu_us']['median']:.1f}") for name in peers]
            rows.append([label, *numbers, *(_ratio(results, cell, name, variant) for name in rivals)])
    heads = ["CPU per request, µs", *(_TITLES[p] for p in peers), *(f"÷ {_TITLES[r]}" for r in rivals)]
    return _table(heads, rows)


def _ratio(results: Results, cell: str, peer: str, variant: str) -> str:
    found = targets.compared(results, cell, peer, variant)
    return f"{found.median:.2f} ({found.low:.2f} … {found.high:.2f})" if found else _ABSENT


def _more_routes(results: Results) -> str:
    peers, rows = _peers(results), []
    for cell in ("prefixes", "hosts"):
        names = variants(results, cell)
        if len(names) < 2:
            continue
        found = [targets.more(results, cell, name) for name in peers]
        title = results["cells"][cell]["title"]
        rows.append([f"{title}: more CPU per request, µs", *(f"{f.median:+.2f}" if f else _ABSENT for f in found)])
        few, many = ([answer(results, cell, name, names[i]) for name in peers] for i in (0, 1))
        kib = [_per_route(a, b) for a, b in zip(few, many)]
        rows.append([f"{title}: memory per route, KiB", *kib])
        rows.append([f"{title}: start to answer of the last, s", *(_cell(b, lambda b: f"{b['ready_seconds']:.2f}") for b in many)])
    return _table(["10 → 10,000 routes, one backend", *(_TITLES[p] for p in peers)], rows)


def _per_route(few: dict[str, Any] | None, many: dict[str, Any] | None) -> str:
    if not few or not many:
        return _ABSENT
    return f"{(many['memory_kib'] - few['memory_kib']) / (many['routes'] - few['routes']):.2f}"


def _change(results: Results) -> str:
    if "change" not in results["cells"]:
        return ""
    peers = _peers(results)
    answers = [answer(results, "change", name) for name in peers]
    rows = [
        ["first answer after, ms (median)", *(_cell(a, lambda a: f"{a['spread_ms']['median']:.1f}") for a in answers)],
        ["at most", *(_cell(a, lambda a: f"{a['spread_ms']['high']:.1f}") for a in answers)],
        ["requests to other routes that failed", *(_cell(a, _failed) for a in answers)],
        ["probes that failed", *(_cell(a, lambda a: str(a["probe_failures"])) for a in answers)],
        ["their latency, ms: p50", *(_cell(a, lambda a: f"{a['load']['latency_ms']['p50']:.2f}") for a in answers)],
        ["their latency, ms: greatest", *(_cell(a, lambda a: f"{a['load']['latency_ms']['max']:.1f}") for a in answers)],
    ]
    title = results["cells"]["change"]["title"]
    return _table([title, *(_TITLES[p] for p in peers)], rows)


def _failed(found: dict[str, Any]) -> str:
    return f"{found['load']['failed']} of {found['load']['requests']:,}"


def _memory(results: Results) -> str:
    peers, rows = _peers(results), []
    for cell in ("idle", "idle-tls", "memory"):
        if cell in results["cells"]:
            found = [_cell(answer(results, cell, name), lambda a: f"{a['kib']:.2f}") for name in peers]
            rows.append([results["cells"][cell]["title"], *found])
    return _table(["Memory, KiB", *(_TITLES[p] for p in peers)], rows)


def _targets(results: Results) -> str:
    rows = [
        [t.text, f"≤ {t.limit:g} {t.unit}".strip(), f"{t.value:.2f} {t.unit}".strip(), t.detail, "yes" if t.met else "**no**"]
        for t in targets.judge(results)
    ]
    return _table(["Target", "limit", "measured", "", "met"], rows)


def _cell(found: dict[str, Any] | None, text: Callable[[dict[str, Any]], str]) -> str:
    return text(found) if found else _ABSENT


def _table(heads: list[str], rows: list[list[str]]) -> str:
    """Markdown whose columns line up."""
    if not rows:
        return ""
    lines = [heads, *rows]
    widths = [max(_width(line[i]) for line in lines) for i in range(len(heads))]
    padded = ["| " + " | ".join(_padded(text, widths[i], i > 0) for i, text in enumerate(line)) + " |" for line in lines]
    rule = "| " + " | ".join("-" * w if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths)) + " |"
    return "\n".join([padded[0], rule, *padded[1:]])


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _padded(text: str, width: int, right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space
