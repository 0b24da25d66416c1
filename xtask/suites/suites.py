"""The suites: where each comes from, how it is run against a port, and how what it says is read."""

import pathlib
import re
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import fetch
from known import LEFT_OUT
from run import Outcomes, read_told, read_mocha, run
from stand import HOST, require

HERE = pathlib.Path(__file__).resolve().parent
PYTEST = ["pytest", "pytest-asyncio", "pytest-timeout", "mock", "packaging", "numpy", "ujson", "redis-entraid", "pybreaker"]


class RedisPy:
    """By each version of the protocol. What needs a cluster, sentinels, modules or TLS is left out."""

    others = "cluster or sentinel or bloom or json or search or timeseries or entraid or ssl"
    other_folders = ["test_scenario", "test_multidb", "test_auth", "test_http", "test_observability"]

    def __init__(self, protocol):
        self.name = f"redis-py-{protocol}"
        self.title = f"redis-py 8.1.0 with RESP{protocol}"
        self.protocol = protocol

    def fetch(self, folder):
        self.tree, self.python = fetch.from_pip(folder / "redis-py", "redis==8.1.0", PYTEST)

    def run(self, way, folder):
        report = folder / "report.xml"
        command = [self.python, "-m", "pytest", "-p", "no:cacheprovider", "--quiet", "--timeout", "30", "tests"]
        command += [word for other in self.other_folders for word in ("--ignore-glob", f"*/{other}")]
        command += ["-m", "not onlycluster and not redismod and not ssl and not cp_integration", "-k", f"not ({self.others})"]
        command += ["--protocol", self.protocol, "--junitxml", report]
        with way.stand() as port:
            run([*command, "--redis-url", f"redis://{HOST}:{port}/0"], self.tree, folder / "said.txt")
        outcomes = Outcomes()
        for case in ElementTree.parse(report).iter("testcase") if report.exists() else []:
            found = {child.tag for child in case}
            outcome = "failed" if found & {"failure", "error"} else "skipped" if "skipped" in found else "passed"
            outcomes.add(f"{case.get('classname').removeprefix('tests.')}.{case.get('name')}", outcome)
        return outcomes


class Ioredis:
    """The last release whose archive has its tests. They know one port alone, 6379. What asks for MONITOR is left out: this
    client does not wait until it is told that it monitors, and what fails of that takes other tests with it."""

    name = "ioredis"
    title = "ioredis 1.15.1"

    def fetch(self, folder):
        require({"node": "nodejs", "npm": "npm"})
        self.tree = fetch.from_npm(folder / "ioredis", "ioredis@1.15.1")

    def run(self, way, folder):
        outcomes = Outcomes()
        command = ["node", "--require", HERE / "port.js", "node_modules/mocha/bin/_mocha"]
        command += ["--opts", "/dev/null", "--reporter", "json"]
        command += ["--invert", "--grep", "[mM]onitor|evalsha|EVALSHA|load scripts first"]
        for path in sorted((self.tree / "test").glob("*t*/*.js")):
            said = folder / f"{path.parent.name}-{path.stem}.txt"
            with way.stand() as port:
                environment = {"NODE_ENV": "test", "SUITES_PORT": str(port)}
                run([*command, "test/helpers/global.js", path], self.tree, said, 120, environment)
            for name, outcome in read_mocha(said):
                outcomes.add(name, outcome)
        return outcomes


class Phpredis:
    name = "phpredis"
    title = "phpredis 5.3.7"

    def fetch(self, folder):
        require({"php": "php-cli"})
        modules = subprocess.run(["php", "--modules"], check=True, capture_output=True, text=True).stdout
        if "redis" not in modules.split():
            raise SystemExit("to run phpredis: apt-get install php-redis")
        self.tree = fetch.from_debian(folder / "phpredis", "php-redis", "redis", "5.3.7")

    def run(self, way, folder):
        said = folder / "said.txt"
        command = ["php", "tests/TestRedis.php", "--nocolors", "--host", HOST, "--port"]
        # Else it would tell the php that it starts to load modules which that has anyway, and take its warning for a failure.
        environment = {"TEST_PHP_ARGS": "--define display_errors=0"}
        with way.stand() as port:
            run([*command, port], self.tree, said, environment=environment)
        return Outcomes.of(read_told(said, r"^(?P<name>test\w+) [^\0]*?\[(?P<outcome>PASSED|FAILED|SKIPPED)\]$"))


class Hiredis:
    name = "hiredis"
    title = "hiredis 0.14.1"

    def fetch(self, folder):
        require({"cc": "build-essential", "make": "build-essential"})
        self.tree = fetch.from_debian(folder / "hiredis", "hiredis", "hiredis", "0.14.1")
        subprocess.run(["make", "--quiet", "hiredis-test"], cwd=self.tree, check=True, stdout=subprocess.DEVNULL)

    def run(self, way, folder):
        said = folder / "said.txt"
        with way.stand() as port:
            run(["./hiredis-test", "--skip-throughput", "--skip-inherit-fd", "-h", HOST, "-p", port], self.tree, said)
        return Outcomes.of(read_told(said, r"^#\d+ (?P<name>.*): .*(?P<outcome>PASSED|FAILED)"))


class Redis:
    """The files of Redis's own suite on commands and clients. They start their engines themselves, as they like them, and get
    one with a gateway at the port that they chose for it.

    They count on it that what they send over two connections is read in that order, though they wait for no answer. Who
    blocks gets a connection of its own from the gateway first, so their client is made to wait a moment behind that; and
    behind what may be paused or a script without an end, since that keeps those waiting who ask in the next 100 ms.

    Those on accounts stay in the first database: they sign in as users who may not choose another."""

    name = "redis"
    title = "Redis's own, 7.0.15"
    sent = "        if {!$deferred} {"
    waits = """\
        if {$method eq {function}} { set ::is_endless [string match *while* $argv] }
        set waits 0
        switch -nocase -regexp $method {
            {^(b[lrz].*|xread.*|wait)$} { set waits 30 }
            {^eval} { if {[string match *while* $argv]} { set waits 300 } }
            {^fcall} { if {[info exists ::is_endless] && $::is_endless} { set waits 300 } }
        }
        if {[string match *unit/pause* $::curfile]} { set waits 300 }
        if {$deferred && $waits} { after $waits }"""
    in_one_database = ("unit/acl", "unit/acl-v2")
    told = r"^\[(?P<outcome>ok|err|ignore|skip|exception)\]: (?P<name>.*?)(?: \(\d+ ms\)| in tests/\S+)?$"

    def fetch(self, folder):
        require({"tclsh": "tcl", "redis-cli": "redis-tools", "redis-benchmark": "redis-tools"})
        self.tree = fetch.from_debian(folder / "redis", "redis", "redis", "7.0.15")
        client = self.tree / "tests" / "support" / "redis.tcl"
        released = client.with_suffix(".released")
        if not released.exists():
            client.rename(released)
        client.write_text(released.read_text().replace(self.sent, f"{self.waits}\n{self.sent}", 1))
        for program in ("redis-cli", "redis-benchmark"):
            (self.tree / "src" / program).unlink(missing_ok=True)
            (self.tree / "src" / program).symlink_to(shutil.which(program))

    def run(self, way, folder):
        program = f"{sys.executable} {HERE / 'engine.py'} {way.gateway}" if way.gateway else shutil.which("redis-server")
        engine = self.tree / "src" / "redis-server"
        engine.write_text(f'#!/bin/sh\nexec {program} "$@"\n')
        engine.chmod(0o755)
        helper = (self.tree / "tests" / "test_helper.tcl").read_text()
        outcomes = Outcomes()
        for number, unit in enumerate(re.findall(r"^    (unit/\S+)$", helper, re.MULTILINE)):
            if unit in LEFT_OUT:
                continue
            said = folder / f"{unit.replace('/', '-')}.txt"
            command = ["tclsh", "tests/test_helper.tcl", "--single", unit, "--clients", 1, "--durable", "--timeout", 60]
            # Not at once the ports again that the one before may not have left yet.
            command += ["--baseport", 21111 + 64 * number, "--portcount", 4000]
            command += ["--singledb"] if unit in self.in_one_database else []
            command += [word for test in LEFT_OUT for word in ("--skiptest", test)]
            run(command, self.tree, said, at_most=300)
            for name, outcome in read_told(said, self.told):
                outcomes.add(f"{unit}: {name}", outcome)
        return outcomes


SUITES = [RedisPy("2"), RedisPy("3"), Ioredis(), Phpredis(), Hiredis(), Redis()]
