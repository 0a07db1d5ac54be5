"""Reads what a Go test binary says with -test.v=test2json, while it runs: that form gives each subtest's result when it
ends (plain -test.v keeps them until the last one has), and says to which test each line belongs.
"""
import re
from dataclasses import dataclass, field

MARK = "\x16"
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
        for index, part in enumerate(line.rstrip("\n").split(MARK)):
            if index == 0 or not self.event(part, now):
                self.text(part)

    def text(self, text):
        if text.strip() and (text[0].isspace() or not text.startswith(("PASS", "FAIL", "ok"))):
            self.current.lines.append(text)

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
    """testify's block, cut to what says something: where in the tests, what, and the message. Else the last lines."""
    starts = [i for i, line in enumerate(lines) if "Error Trace:" in line]
    if not starts:
        panic = next((i for i, line in enumerate(lines) if line.startswith(("panic:", "fatal error:"))), None)
        return [line.strip()[:300] for line in (lines[panic : panic + 6] if panic is not None else lines[-4:])]
    block = []
    for line in lines[starts[0] : starts[0] + 60]:
        if re.match(r"\s+Test:\s", line):
            break
        block.append(line)
    places = [found[0] for line in block if (found := re.search(r"[\w-]+/[\w-]+\.go:\d+", line))]
    where = next((place for place in places if place.startswith("tests/")), places[0] if places else "")
    said = []
    for line in block:
        if found := re.match(r"\s+(Error|Messages):\s*(.*)", line):
            said.append(found[2])
        elif said and re.match(r"\s{10,}\t?\s+\S", line):
            said.append(line.strip())
    # What the test said last before it failed is most often the condition that it waited for.
    before = [line.strip() for line in lines[: starts[0]] if re.match(r"\s+[\w-]+\.go:\d+: .*\S", line)]
    return [where, *(line[:300] for line in said if line), *(f"last said: {line[:300]}" for line in before[-2:-1])]
