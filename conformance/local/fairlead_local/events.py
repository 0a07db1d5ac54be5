"""Reads what a Go test binary says with -test.v=test2json, while it runs: that form gives each subtest's result when it
ends (plain -test.v keeps them until the last one has), and says to which test each line belongs.
"""
import re
from dataclasses import dataclass, field

MARK = "\x16"
ERROR_MARKS = str.maketrans("", "", "\x0e\x0f")
ROOT_TEST = "TestConformance"
RESULT = re.compile(r"\s*--- (PASS|FAIL|SKIP): (\S+) \(([\d.]+)s\)")
STATE = re.compile(r"=== (RUN|PAUSE|CONT|NAME)\s+(\S*)")


@dataclass
class Test:
    """One test of the suite, its subtests included. `seconds` leaves out the time that a parallel test waited."""

    name: str
    result: str = "RUNNING"
    seconds: float = 0.0
    lines: list = field(default_factory=list)
    resumed: float = 0.0

    def reason(self, most=6):
        """The first failure, in a few lines."""
        return first_failure(self.lines)[:most]


class Events:
    """Feed it lines with the time at which they came; it tells `ended` each test that has ended."""

    def __init__(self, ended=lambda test: None):
        self.tests = {}
        self.outside = Test(ROOT_TEST)  # setup, and what happens between tests
        self.current = self.outside
        self.ended = ended

    def feed(self, line, now):
        # A mark may follow output that had no line end.
        for index, part in enumerate(line.rstrip("\n").translate(ERROR_MARKS).split(MARK)):
            if index == 0 or not self.event(part, now):
                self.text(part)

    def text(self, text):
        if text.strip() and (text[0].isspace() or not text.startswith(("PASS", "FAIL", "ok"))):
            self.current.lines.append(text)

    @staticmethod
    def plain(line):
        """The line as it is without -test.v=test2json."""
        return line.translate(ERROR_MARKS).replace(MARK, "")

    def event(self, text, now):
        if found := STATE.match(text):
            state, name = found.groups()
            test = self.of(name)
            self.current = test
            if test is not self.outside and "/" not in name.partition("/")[2]:
                if state == "PAUSE":
                    test.seconds += now - test.resumed
                elif state in ("RUN", "CONT"):
                    test.resumed = now
            return True
        if found := RESULT.match(text):
            result, name, _ = found.groups()
            test = self.of(name)
            if name == ROOT_TEST:
                self.outside.result = result
            elif name.count("/") == 1:
                test.result = result
                test.seconds += now - test.resumed
                self.ended(test)
            return True
        return False

    def of(self, name):
        """The test of the suite that a name (of it or of a subtest) belongs to."""
        parts = name.split("/")
        if len(parts) < 2:
            return self.outside
        return self.tests.setdefault(parts[1], Test(parts[1]))

    def of_result(self, result):
        return [test for test in self.tests.values() if test.result == result]


def first_failure(lines):
    """testify's block, cut to what says something: where in the tests, the message, the error. Else the last lines."""
    starts = [i for i, line in enumerate(lines) if "Error Trace:" in line]
    if not starts:
        panic = next((i for i, line in enumerate(lines) if line.startswith(("panic:", "fatal error:"))), None)
        return [line.strip()[:300] for line in (lines[panic : panic + 6] if panic is not None else lines[-4:])]
    block = [lines[starts[0]]]
    for line in lines[starts[0] + 1 :]:
        if not re.match(r"\s+\t", line) or "Error Trace:" in line:
            break
        block.append(line)
    parts = {}
    for line in block:
        if found := re.match(r"\s+([A-Z][\w ]+):\s*(.*)", line):
            parts[name := found[1]] = [found[2]]
        else:
            parts[name].append(line.strip())
    places = [found[0] for line in parts["Error Trace"] if (found := re.search(r"[\w-]+/[\w-]+\.go:\d+", line))]
    where = next((place for place in places if place.startswith("tests/")), places[0] if places else "")
    said = parts.get("Messages", []) + [line for line in parts.get("Error", []) if line != "Received unexpected error:"]
    # What the test said last before it failed is most often the state that it did not want.
    steps = [found[1] for line in lines[: starts[0] - 1] if (found := re.match(r"\s+[\w-]+\.go:\d+: (?:\S+Z: )?(.*\S)", line))]
    before = [step for step in steps if not step.startswith(("Applying ", "Creating ", "Updating ", "Running "))]
    return [where, *(line[:300] for line in said if line), *(f"it said before: {line[:300]}" for line in before[-1:])]
