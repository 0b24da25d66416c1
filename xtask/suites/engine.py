"""What Redis's suite starts in the place of `redis-server`: the engine, with a gateway at the port that it was to have.

    engine.py BINARY [CONFIG] [OPTION ...]

The engine becomes this very process, since the suite ends it by its id. Its gateway ends with it."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

from stand import HOST, free_port, is_free, publish, until

LOOK = 0.02


def main(binary, *options):
    engine = [shutil.which("redis-server"), *options]
    config = pathlib.Path(options[0]) if options else pathlib.Path()
    vip = port_of(config) if config.is_file() else 0
    # Nodes of a cluster name the ports by which they are reached.
    if vip and not re.search("^cluster-enabled yes$", config.read_text(), re.MULTILINE):
        node = free_port()
        engine += ["--port", str(node)]
        keep_gateway(binary, vip, node)
    os.execv(engine[0], engine)


def port_of(config):
    """As it was at first: the engine may rewrite its configuration, and be started from that again."""
    note = config.with_name(config.name + ".vip")
    if not note.exists():
        ports = re.findall(r"^port (\d+)$", config.read_text(), re.MULTILINE)
        note.write_text(ports[-1] if ports else "0")
    return int(note.read_text())


def keep_gateway(binary, vip, node):
    """Returns once the gateway listens. Whoever keeps it is no child of the engine, which knows its own."""
    engine = os.getpid()
    until(lambda: is_free(vip), f"the former gateway has not left {HOST}:{vip}")
    home = tempfile.mkdtemp()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        publish(home, vip, node)
        return
    if os.fork():
        os._exit(0)
    os.setsid()
    quiet = subprocess.DEVNULL
    gateway = subprocess.Popen([binary, "gateway", "--data", home], stdin=quiet, stdout=quiet, stderr=quiet)
    # Nor has it the engine's log open, by whose end the suite may learn that the engine has ended.
    for number in range(3):
        os.close(number)
    while is_alive(engine):
        time.sleep(LOOK)
    gateway.kill()
    gateway.wait()
    shutil.rmtree(home, ignore_errors=True)
    os._exit(0)


def is_alive(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


if __name__ == "__main__":
    main(*sys.argv[1:])
