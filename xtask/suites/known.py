"""Differences that are known and can't be avoided: of which suite, which tests, and why."""

import re

SHARED = "Clients share connections to the engine: CLIENT LIST shows these, CLIENT KILL ends these, MONITOR shows what is asked by \
them."
BUFFERS = "The buffers and the memory that the engine has for a connection are those of the gateway's connections."
PORTS = "The engine listens at another port than the test knows of, and the gateway at one address alone."
REACHED = "The gateway takes connections where the engine is gone, or refuses them."
SELECTED = "The client has chosen a database, and then signs in as a user who may not: no other connection can become that."
BUSY = "While a script keeps the engine busy no further connection can choose a database, and MULTI \
and SHUTDOWN may need one."
STAYS = "A shared connection stays signed in as it was; one that the engine ends is made again, and its clients go on."
ORDER = "What is sent over two connections without waiting for an answer may be done in the other order: what needs a connection \
of its own waits for that first."

# Suites, tests and the reason.
KNOWN = [
    ("ioredis", "should restore subscription after reconnecting", ORDER),
    ("redis-py-.", "test_client_kill_filter_by_laddr", SHARED),
    ("redis", "^unit/acl: Subscribers are (killed|pardoned)", SHARED),
    ("redis", "^unit/acl: When default user is off, new connections", STAYS),
    ("redis", "^unit/acl: ACL load and save", STAYS),
    ("redis", "^unit/aofrw: AOF rewrite during write load", SHARED),
    ("redis", "^unit/introspection: (CLIENT KILL SKIPME|MONITOR supports redacting|After CLIENT SETNAME)", SHARED),
    ("redis", "^unit/introspection: (CONFIG REWRITE sanity|cannot modify protected configuration - local)", PORTS),
    ("redis", "^unit/limits: Check if maxclients works", "Clients need no connections of the engine: the gateway has a limit of its own."),
    ("redis", "^unit/maxmemory: eviction due to output buffers", BUFFERS),
    ("redis", "^unit/(multi: MULTI and script timeout|scripting: SHUTDOWN NOSAVE)", BUSY),
    ("redis", "^unit/(networking: |other: Process title)", PORTS),
    ("redis", "^unit/querybuf: ", BUFFERS),
    ("redis", "^unit/scripting: Script ACL check", SELECTED),
    ("redis", "^unit/shutdown: Temp rdb", REACHED),
]

# Of Redis's own: units that need another way of running, and tests that would hang, and take with them those that come after.
LEFT_OUT = {
    "unit/obuf-limits": "It reads CLIENT LIST until the buffers of its own connection have grown.",
    "unit/client-eviction": "It finds its own connections in CLIENT LIST, by their buffers.",
    "For unauthenticated clients multibulk and bulk length are limited": "The gateway keeps to this limit where its control "
    "plane has told it that there is a password; here the test sets one by itself.",
    "Timedout script does not cause a false dead client": "It starts a script without an end, and at once asks for something by "
    "way of another client: that waits behind the script, over the same connection.",
    "Timedout scripts and unblocked command": "It has a script look for the name of a connection in CLIENT LIST.",
    "/.*(slave buffer are counted correctly|replica buffer don't induce eviction)": "They find a connection in CLIENT LIST.",
}


def reason_of(suite, test):
    """Why a test may differ; `None` where it must not."""
    for suites, tests, reason in KNOWN:
        if re.fullmatch(suites, suite) and re.search(tests, test):
            return reason
    return None
