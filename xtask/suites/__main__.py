"""Runs whole test suites, directly against an engine and through the gateway, and compares them test by test.

`cargo xtask suites [--write] [NAME ...]` runs this. What the suites say is kept below `target/suites/said`."""

import os
import pathlib
import shutil
import sys

from known import LEFT_OUT, reason_of
from run import MISSING, PASSED
from stand import Way, require
from suites import SUITES

ROOT = pathlib.Path(__file__).resolve().parents[2]
INTRODUCTION = """\
# Whole suites through the gateway

`cargo xtask suites --write` writes this: test suites of clients, and Redis's own, each run twice against a fresh engine,
directly and through the gateway. What counts is not whether a test passes (some need what is not there) but whether the
gateway changes what becomes of it. A test that differs is run again, and stands here if it differs again.
"""


class Comparison:
    """What became of each test of a suite, directly and through the gateway."""

    def __init__(self, suite, direct, through):
        self.suite = suite
        names = [*direct, *(name for name in through if name not in direct)]
        self.pairs = {name: (direct.get(name, MISSING), through.get(name, MISSING)) for name in names}

    def different(self):
        return {name: pair for name, pair in self.pairs.items() if pair[0] != pair[1]}

    def unknown(self):
        return {name: pair for name, pair in self.different().items() if not reason_of(self.suite.name, name)}

    def settle(self, again):
        """Takes what did not differ again from another comparison: a test that is now one, now the other says nothing."""
        for name in self.different():
            direct, through = again.pairs.get(name, (MISSING, MISSING))
            if direct == through:
                self.pairs[name] = direct, through

    def row(self):
        passed = sum(pair == (PASSED, PASSED) for pair in self.pairs.values())
        different, unknown = len(self.different()), len(self.unknown())
        same = len(self.pairs) - different
        return f"| {self.suite.title} | {len(self.pairs)} | {same} | {passed} | {different - unknown} | {unknown} |"


def compare(suite, folder, binary):
    first = _compare_once(suite, folder / "said" / suite.name, binary)
    if unknown := first.unknown():
        print(f"  again, for {', '.join(unknown)}", flush=True)
        first.settle(_compare_once(suite, folder / "said" / suite.name / "again", binary))
    return first


def _compare_once(suite, folder, binary):
    outcomes = []
    for way in (Way("directly", None), Way("through the gateway", binary)):
        print(f"{suite.title}, {way.name}", flush=True)
        said = folder / way.name.replace(" ", "-")
        shutil.rmtree(said, ignore_errors=True)
        said.mkdir(parents=True)
        outcomes.append(suite.run(way, said))
    return Comparison(suite, *outcomes)


def report(comparisons):
    lines = ["| suite | tests | same | of these passed | different, as is known | different |", "|---|---|---|---|---|---|"]
    lines += [comparison.row() for comparison in comparisons]
    by_reason = {}
    for comparison in comparisons:
        for name, (direct, through) in comparison.different().items():
            reason = reason_of(comparison.suite.name, name) or "Why is not known:"
            line = f"- {comparison.suite.title}: `{name}` ({direct} directly, {through} through the gateway)"
            by_reason.setdefault(reason, []).append(line)
    for reason, different in by_reason.items():
        lines += ["", reason, "", *different]
    for test, reason in LEFT_OUT.items():
        lines += ["", f"Left out of Redis's own: `{test}`. {reason}"]
    return "\n".join(lines) + "\n"


def main(words):
    names = [word for word in words if word != "--write"]
    known = [suite.name for suite in SUITES]
    if unknown := set(names) - set(known):
        raise SystemExit(f"{', '.join(unknown)}: the suites are {', '.join(known)}")
    if names and names != words:
        raise SystemExit("what is written is the whole: --write goes with no name")
    require({"redis-server": "redis-server"})
    folder = ROOT / "target" / "suites"
    binary = os.environ.get("OPENCRS") or ROOT / "target" / "release" / "opencrs"
    chosen = [suite for suite in SUITES if not names or suite.name in names]
    for suite in chosen:
        suite.fetch(folder)
    comparisons = [compare(suite, folder, binary) for suite in chosen]
    text = report(comparisons)
    print(text)
    if names != words:
        (ROOT / "docs" / "suites.md").write_text(f"{INTRODUCTION}\n{text}")
    return any(comparison.unknown() for comparison in comparisons)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
