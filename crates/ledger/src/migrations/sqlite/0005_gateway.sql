-- What the gateway sees. `sight`: what was seen of an instance in a minute or an hour that began `at`, as JSON; and, of kind
-- `last`, what the gateway had counted when it was last asked, which the next answer is held against.
create table sight (
    instance text not null,
    kind text not null,
    at integer not null,
    body text not null,
    primary key (instance, kind, at)
) without rowid;
create index sight_by_age on sight (kind, at);

-- Slow commands. `source` is the gateway's id or a node's, `run` tells its starts apart, and `number` its entries.
-- `body`: the command, as JSON.
create table slow_command (
    instance text not null,
    source text not null,
    run integer not null,
    number integer not null,
    of_gateway integer not null,
    at integer not null,
    micros integer not null,
    body text not null,
    primary key (instance, source, run, number)
) without rowid;
create index slow_command_by_time on slow_command (instance, of_gateway, at);
create index slow_command_by_age on slow_command (at);
