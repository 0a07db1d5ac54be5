"""What the runner makes of the suite's words."""
import subprocess
import tempfile
import unittest
from pathlib import Path

import support
from fairlead_local import build, report, suite
from fairlead_local.events import Events
from fairlead_local.paths import Problem

BLOCK = """\
    helpers.go:527: \x0f
        	Error Trace:	sigs.k8s.io/gateway-api/conformance@v1.7.0/utils/kubernetes/helpers.go:856
        	            				sigs.k8s.io/gateway-api/conformance@v1.7.0/tests/httproute-weight.go:47
        	Error:      	Received unexpected error:
        	            	context deadline exceeded
        	Test:       	TestConformance/Weight
        	Messages:   	error waiting for HTTPRoute to have parents\x0e
"""
# (seconds, line): Weight fails in a subtest; Late is parallel and waits ten seconds for its turn.
STREAM = [
    (0, "\x16=== RUN   TestConformance\n"),
    (0, "    suite.go:388: setting up\n"),
    (1, "\x16=== RUN   TestConformance/Late\n"),
    (1, "\x16=== PAUSE TestConformance/Late\n"),
    (1, "\x16=== RUN   TestConformance/Weight\n"),
    (1, "    apply.go:289: 2026-01-01T00:00:00.5Z: Creating weight HTTPRoute\n"),
    (1, "\x16=== RUN   TestConformance/Weight/sub\n"),
    (2, "    http.go:10: 2026-01-01T00:00:00.5Z: got 500 instead of 200\n"),
    (2, "    http.go:10: 2026-01-01T00:00:00.5Z: Applying more\n"),
    *((3, f"{line}\n") for line in BLOCK.splitlines()),
    (3, "no line end\x16    --- FAIL: TestConformance/Weight/sub (2.00s)\n"),
    (4, "\x16--- FAIL: TestConformance/Weight (3.00s)\n"),
    (4, "\x16=== RUN   TestConformance/Mesh\n"),
    (4, "\x16--- SKIP: TestConformance/Mesh (0.00s)\n"),
    (11, "\x16=== CONT  TestConformance/Late\n"),
    (13, "\x16--- PASS: TestConformance/Late (12.00s)\n"),
    (13, "\x16=== RUN   TestConformance/Hung\n"),
    (14, "panic: test timed out after 1h\n"),
]
REPORT = """\
apiVersion: gateway.networking.k8s.io/v1
profiles:
- core:
    failedTests:
    - HTTPRouteWeight
    result: failure
    statistics:
      Failed: 1
      Passed: 39
      Skipped: 0
  extended:
    result: success
    statistics:
      Failed: 0
      Passed: 59
      Skipped: 2
    supportedFeatures:
    - GatewayPort8080
  name: GATEWAY-HTTP
  summary: Core tests failed with 1 test failures.
- core:
    result: success
    statistics:
      Failed: 0
      Passed: 16
      Skipped: 0
  name: GATEWAY-GRPC
  summary: Core tests succeeded.
succeededProvisionalTests:
- HTTPRouteRetryWithBackendTimeout
"""


class Reading(unittest.TestCase):
    def setUp(self):
        self.ended = []
        self.events = Events(lambda test: self.ended.append(test.name))
        for now, line in STREAM:
            self.events.feed(line, now)

    def test_results(self):
        self.assertEqual(self.ended, ["Weight", "Mesh", "Late"])
        results = {test.name: test.result for test in self.events.tests.values()}
        self.assertEqual(results, {"Late": "PASS", "Weight": "FAIL", "Mesh": "SKIP", "Hung": "RUNNING"})

    def test_waiting_for_its_turn_is_not_a_tests_time(self):
        self.assertEqual(self.events.tests["Late"].seconds, 2)
        self.assertEqual(self.events.tests["Weight"].seconds, 3)

    def test_reasons(self):
        self.assertEqual(
            self.events.tests["Weight"].reason(),
            [
                "tests/httproute-weight.go:47",
                "error waiting for HTTPRoute to have parents",
                "context deadline exceeded",
                "it said before: got 500 instead of 200",
            ],
        )
        self.assertEqual(self.events.tests["Hung"].reason(), ["panic: test timed out after 1h"])
        self.assertEqual(self.events.outside.reason(), ["suite.go:388: setting up"])

    def test_summary(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(REPORT)
            file.flush()
            text = "\n".join(report.summary(self.events, 90, file.name))
        self.assertRegex(text, r"GATEWAY-HTTP +39 / 1 / 0 +59 / 0 / 2\n")
        self.assertRegex(text, r"GATEWAY-GRPC +16 / 0 / 0 +-\n")
        self.assertIn("FAILED Weight (3 s)\n    tests/httproute-weight.go:47\n", text)
        self.assertIn("NOT ENDED Hung\n    panic: test timed out", text)
        self.assertIn("slowest: Weight 3 s, Late 2 s", text)
        self.assertTrue(text.endswith("1 passed, 1 failed, 1 skipped in 1.5 min"))

    def test_another_report_is_told_and_another_day_is_not(self):
        with tempfile.TemporaryDirectory() as folder:
            one, two = Path(folder, "one"), Path(folder, "two")
            one.write_text('date: "2026-01-01T00:00:00Z"\n' + REPORT)
            two.write_text('date: "2026-01-02T00:00:00Z"\n' + REPORT)
            self.assertEqual(report.differences(one, two), [])
            first, second = REPORT.index("- core:"), REPORT.rindex("- core:")
            end = REPORT.index("succeededProvisional")
            two.write_text(REPORT[:first] + REPORT[second:end] + REPORT[first:second] + REPORT[end:])
            self.assertNotEqual(two.read_text(), REPORT)
            self.assertEqual(report.differences(one, two), [])
            two.write_text(REPORT.replace("Skipped: 2", "Skipped: 3"))
            self.assertIn("+      Skipped: 3", report.differences(one, two))

    def test_no_report(self):
        self.assertIn("no report", "\n".join(report.summary(self.events, 1, "/no/such/file")))


class Options(unittest.TestCase):
    class Cluster:
        addresses = ("172.30.1.200", "192.0.2.99")

    def flags(self, *words):
        return suite.flags(self.Cluster, suite.parse(list(words)), Path("/r.yaml"))

    def test_features(self):
        self.assertFalse([flag for flag in self.flags() if "features" in flag])
        every = self.flags("--features", "all")
        self.assertIn("-all-features", every)
        exempt = next(flag for flag in every if flag.startswith("-exempt-features=Mesh"))
        self.assertIn("MeshClusterIPMatching", exempt)
        self.assertNotIn("HTTPRoute,", exempt)
        with self.assertRaisesRegex(Problem, "no feature HTTPRouteTypo"):
            self.flags("--features", "HTTPRoute,HTTPRouteTypo")

    def test_only(self):
        self.assertIn("-test.run=^TestConformance$/^(HTTPRouteWeight|UDPRoute)$", self.flags("--only", "HTTPRouteWeight,UDPRoute"))
        with self.assertRaisesRegex(Problem, "no test HTTPRouteTypo"):
            self.flags("--only", "HTTPRouteTypo")

    def test_only_a_whole_run_writes_the_report_that_is_kept(self):
        whole = suite.report_path(suite.parse([]), [])
        self.assertEqual((whole[0].name, whole[1]), ("v1.7.0.yaml", True))
        standard = suite.report_path(suite.parse(["--channel", "standard"]), [])
        self.assertEqual((standard[0].name, standard[1]), ("v1.7.0-standard.yaml", True))
        for words, theirs in ((["--only", "A"], []), (["--delay", "1ms..2ms"], []), (["--quick"], []), ([], ["-debug"]), (["--profiles", "GATEWAY-HTTP"], [])):
            path, complete = suite.report_path(suite.parse(words), theirs)
            self.assertEqual((path.name, complete), ("report.yaml", False), words)


class Refusals(unittest.TestCase):
    def test_options_that_do_not_go_together(self):
        for words, why in (
            (["--delay", "1ms..2ms", "--install", "none"], "--delay"),
            (["--expect", "/no/such/file"], "no file"),
            (["word"], "after --"),
        ):
            with self.assertRaisesRegex(Problem, why):
                suite.run(words)


class GoTests(unittest.TestCase):
    def test_addresses(self):
        command = ["nice", build.go_command(), "test", "./addresses"]
        module = build.PROGRAMS["kube"][0]
        done = subprocess.run(command, cwd=module, env=build.go_environment(), capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


assert support.DIR  # imported first, as it says where things are
