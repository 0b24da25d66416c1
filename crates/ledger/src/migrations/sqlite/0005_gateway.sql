-- Reads from replicas, and TLS. `streamed_epoch` is a node's own start to which the stream of its primary was seen to
-- flow: one that was started anew has yet to get it. The authority is the service's own; its key is sealed. A row of
-- instance_tls says that an instance takes connections by TLS; its certificate is of the serial, and there is none yet
-- where that is 0.
alter table instance add column replica_reads integer not null default 0;
alter table node add column streamed_epoch integer not null default 0;
create table authority (
    id integer primary key,
    certificate text not null,
    key blob not null
);
create table instance_tls (
    instance text primary key references instance (id),
    serial integer not null,
    issuer text not null,
    names text not null,
    issued_at integer not null,
    expires_at integer not null
) without rowid;

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
