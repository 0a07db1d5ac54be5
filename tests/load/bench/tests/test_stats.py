"""Ratios and targets."""

import unittest

from bench import report, targets
from bench.stats import Spread, difference, ratio


def answers(rounds: dict[tuple[str, str], list[float]]) -> list[dict]:
    return [
        {
            "peer": peer,
            "variant": variant,
            "routes": 10,
            "cpu_us": Spread.of(cpu).rounded(),
            "rounds": [{"cpu_us": c} for c in cpu],
            "memory_kib": 1000.0,
            "ready_seconds": 0.1,
        }
        for (peer, variant), cpu in rounds.items()
    ]


def results(**cells: dict[tuple[str, str], list[float]]) -> dict:
    return {
        "started": "2026-11-21T10:00:00+00:00",
        "mode": "quick",
        "seconds": 12.0,
        "machine": {"commit": "abc", "cpu": "C", "cores": 2, "memory_gib": 4, "system": "S", "kernel": "K"},
        "peers": {"fairlead": {"version": "fairlead 0.1.0"}, "envoy": {"version": "a/1.40.0/b"}},
        "cells": {name: {"title": name, "unit": "µs", "answers": answers(rounds)} for name, rounds in cells.items()},
    }


class Stats(unittest.TestCase):
    def test_ratios_are_of_the_same_rounds(self):
        # A machine that is twice as slow in one round is so for both.
        self.assertEqual(ratio([10, 20, 10], [20, 40, 20]), Spread(0.5, 0.5, 0.5))

    def test_an_interval_widens_with_the_rounds(self):
        found = ratio([10, 12, 14], [20, 20, 20])
        self.assertEqual(found.median, 0.6)
        self.assertLessEqual(found.low, 0.5)
        self.assertGreaterEqual(found.high, 0.7)

    def test_nothing_is_no_ratio(self):
        self.assertIsNone(difference([], [1.0]))


class Targets(unittest.TestCase):
    def test_a_ratio_is_judged(self):
        found = targets.judge(results(h1={("fairlead", ""): [10, 11, 10], ("envoy", ""): [40, 44, 40]}))
        self.assertEqual([(t.value, t.limit, t.met) for t in found], [(0.25, 0.4, True)])

    def test_more_routes_are_judged_by_the_last_route(self):
        rounds = {("fairlead", "10, the last"): [10.0] * 3, ("fairlead", "10,000, the last"): [12.5] * 3}
        found = targets.judge(results(hosts=rounds))
        self.assertEqual([(t.text, t.value, t.met) for t in found], [("10,000 hosts instead of 10", 2.5, False)])

    def test_a_failed_request_misses_the_target(self):
        run = results()
        change = {"peer": "fairlead", "variant": "", "ms": [5, 6], "probe_failures": 0, "load": {"failed": 1, "requests": 9}}
        run["cells"]["change"] = {"title": "change", "unit": "ms", "answers": [change]}
        self.assertEqual([t.met for t in targets.judge(run)], [True, False])


class Report(unittest.TestCase):
    def test_the_table_goes_between_the_markers(self):
        run = results(h1={("fairlead", ""): [10.0], ("envoy", ""): [40.0]})
        document = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
        written = report.written_into(document, run)
        self.assertTrue(written.startswith(f"before\n{report.BEGIN}\n\n2026-11-21, quick run"))
        self.assertTrue(written.endswith(f"{report.END}\nafter\n"))
        self.assertNotIn("old", written)
        self.assertIn("Fairlead 0.1.0, Envoy 1.40.0.", written)
        self.assertRegex(written, r"\| h1 +\| +10\.0 \| +40\.0 \| 0\.25 \(0\.25 … 0\.25\) \|")
        self.assertEqual(report.written_into(written, run), written)

    def test_a_document_without_markers_is_left_alone(self):
        with self.assertRaises(ValueError):
            report.written_into("text", results())

    def test_a_noisy_run_says_so(self):
        rounds = {("fairlead", ""): [10.0] * 3, ("fairlead", targets.CONTROL): [12.0] * 3}
        self.assertIn("**noisy**", report.markdown(results(h1=rounds)))
