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
