"""What a person wants to know after a run: numbers per profile, what failed and why, what was slow."""
import difflib
import re
from pathlib import Path


def profiles(path):
    """Rows of the upstream report: (profile, core result, core, extended result, extended), numbers as passed/failed/skipped.

    The report is YAML that Go's marshaller wrote: one item per line, keys sorted. No more of YAML is understood here.
    """
    rows, row, section = [], None, None
    try:
        lines = Path(path).read_text().split("\nprofiles:\n")[1].splitlines()
    except (OSError, IndexError):
        return []
    for line in lines:
        if line.startswith("- "):
            row, line = {"core": {}, "extended": {}}, "  " + line[2:]
            rows.append(row)
        elif not line.startswith(" "):
            break
        if found := re.match(r"  (core|extended|name|summary):\s*(.*)", line):
            section = found[1]
            if section == "name":
                row["name"] = found[2]
        elif found := re.match(r"\s+(Passed|Failed|Skipped|result):\s*(\w+)", line):
            if section in ("core", "extended"):
                row[section][found[1]] = found[2]
    return sorted(rows, key=lambda row: row.get("name", ""))


def in_order(text):
    """A report with its profiles by name: upstream writes them as they fall out of a map."""
    head, mark, rest = text.partition("\nprofiles:\n")
    items = re.match(r"(?:(?:- | ).*\n)*", rest)[0]
    parts = re.findall(r"- .*\n(?: .*\n)*", items)
    return head + mark + "".join(sorted(parts, key=lambda part: re.findall(r"^  name: .*", part, re.M))) + rest[len(items) :]


def differences(expected, written):
    """Lines of a unified diff of two reports, without their dates."""
    def lines(path):
        return [line for line in in_order(Path(path).read_text()).splitlines() if not line.startswith("date: ")]

    return list(difflib.unified_diff(lines(expected), lines(written), str(expected), str(written), lineterm=""))


def numbers(part):
    if not part:
        return "-"
    return f"{part.get('Passed', 0)} / {part.get('Failed', 0)} / {part.get('Skipped', 0)}"


def summary(events, seconds, report):
    """Lines of text."""
    passed, failed, skipped = (events.of_result(result) for result in ("PASS", "FAIL", "SKIP"))
    lines = ["", f"{'profile':<14}{'core pass/fail/skip':>22}{'extended pass/fail/skip':>26}"]
    rows = profiles(report)
    for row in rows:
        lines.append(f"{row.get('name', '?'):<14}{numbers(row['core']):>22}{numbers(row['extended']):>26}")
    if not rows:
        lines.append("(no report was written)")
    if slow := sorted(passed + failed, key=lambda test: -test.seconds)[:10]:
        lines += ["", "slowest: " + ", ".join(f"{test.name} {test.seconds:.0f} s" for test in slow if test.seconds >= 1)]
    for test in failed:
        lines += ["", f"FAILED {test.name} ({test.seconds:.0f} s)", *(f"    {line}" for line in test.reason())]
    for test in events.of_result("RUNNING"):
        lines += ["", f"NOT ENDED {test.name}", *(f"    {line}" for line in test.reason())]
    if not passed and not failed:
        lines += ["", "no test ran; setup said:", *(f"    {line}" for line in events.outside.reason(12))]
    lines += ["", f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped in {seconds / 60:.1f} min"]
    return lines
