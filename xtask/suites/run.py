"""Runs a suite's command, and reads what it says of its tests."""

import json
import os
import re
import signal
import subprocess

# What hangs is cut; the tests that it has not come to are missing then.
AT_MOST = 900
PASSED, FAILED, SKIPPED, MISSING = "passed", "failed", "skipped", "missing"
_WORDS = {
    **dict.fromkeys(["ok", "PASSED", "passed"], PASSED),
    **dict.fromkeys(["err", "FAILED", "failed", "exception"], FAILED),
    **dict.fromkeys(["ignore", "skip", "SKIPPED", "skipped"], SKIPPED),
}


class Outcomes(dict):
    """What became of each test, by its name. Names that come again are numbered."""

    @classmethod
    def of(cls, told):
        outcomes = cls()
        for name, word in told:
            outcomes.add(name, word)
        return outcomes

    def add(self, name, word):
        numbered, times = name, 1
        while numbered in self:
            times += 1
            numbered = f"{name} ({times})"
        self[numbered] = _WORDS[word]


def run(command, tree, said, at_most=AT_MOST, environment=None):
    """Writes what a command says into a file, until it or its time ends. How it ends says nothing: tests may fail."""
    with open(said, "wb") as output:
        process = subprocess.Popen(
            [os.fspath(word) if isinstance(word, os.PathLike) else str(word) for word in command],
            cwd=tree,
            # Not a terminal that has colours.
            env={**os.environ, "TERM": "dumb", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(at_most)
        except subprocess.TimeoutExpired:
            print(f"  cut after {at_most} s: {said}", flush=True)
        finally:
            # It may have left others behind.
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()


def read_told(said, pattern):
    """Of each place that tells of a test, its name and its outcome."""
    for told in re.finditer(pattern, said.read_text(errors="replace"), re.MULTILINE):
        yield told["name"].strip(), told["outcome"]


def read_mocha(said):
    """Its report is the one object that begins with a line of its own; what tests print stands before it."""
    text = said.read_text(errors="replace")
    begins = text.find('{\n  "stats"')
    if begins < 0:
        return
    report, _ = json.JSONDecoder().raw_decode(text, begins)
    for outcome, tests in (("passed", "passes"), ("failed", "failures"), ("skipped", "pending")):
        for test in report[tests]:
            yield test["fullTitle"], outcome
