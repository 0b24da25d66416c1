"""A fresh engine, by itself or behind a gateway."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

HOST = "127.0.0.1"
WITHIN = 10
LOOK = 0.02
# DEBUG is asked for by tests of clients.
ENGINE = ["--save", "", "--enable-debug-command", "yes", "--loglevel", "warning"]


class Way:
    """Directly, or through the gateway that a program runs."""

    def __init__(self, name, gateway):
        self.name = name
        self.gateway = gateway

    @contextlib.contextmanager
    def stand(self):
        """The port at which an engine answers that nobody has used yet."""
        with tempfile.TemporaryDirectory() as home, contextlib.ExitStack() as processes:
            node = free_port()
            command = ["redis-server", "--bind", HOST, "--port", str(node), "--dir", home, *ENGINE]
            processes.enter_context(_running(command, os.path.join(home, "engine.log")))
            until(lambda: answers(node), f"no engine answers at {HOST}:{node}")
            if self.gateway:
                command = [self.gateway, "gateway", "--data", home]
                processes.enter_context(_running(command, os.path.join(home, "gateway.log")))
                vip = free_port()
                publish(home, vip, node)
            yield vip if self.gateway else node


@contextlib.contextmanager
def _running(command, log):
    with open(log, "wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def publish(home, vip, node):
    """Says to the gateway of a data folder what the control plane would: that an address leads to an engine."""
    target = {"node": "0" * 40, "addr": f"{HOST}:{node}", "epoch": 1}
    route = {"instance": "crs-suites00", "vip": f"{HOST}:{vip}", "target": target}
    line = json.dumps({"publish": {"version": 1, "routes": [route]}}) + "\n"
    with socket.socket(socket.AF_UNIX) as control:
        path = os.path.join(home, "gateway", "control.sock")
        until(lambda: control.connect_ex(path) == 0, "the gateway has not started")
        control.sendall(line.encode())
        report = json.loads(control.makefile().readline())["report"]
    if report["version"] != 1 or report["failures"]:
        raise SystemExit(f"the gateway has not brought the route into force: {report}")


def answers(port):
    try:
        with socket.create_connection((HOST, port), timeout=1) as client:
            client.sendall(b"PING\r\n")
            return client.recv(7) == b"+PONG\r\n"
    except OSError:
        return False


def is_free(port):
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


def free_port():
    with socket.create_server((HOST, 0)) as listener:
        return listener.getsockname()[1]


def until(is_so, otherwise):
    last = time.monotonic() + WITHIN
    while not is_so():
        if time.monotonic() > last:
            raise SystemExit(otherwise)
        time.sleep(LOOK)


def require(programs):
    """Ends with what to install where a program is missing."""
    missing = sorted({package for program, package in programs.items() if not shutil.which(program)})
    if missing:
        raise SystemExit(f"to run these suites: apt-get install {' '.join(missing)}")
