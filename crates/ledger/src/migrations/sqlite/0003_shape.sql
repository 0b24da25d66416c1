-- What a running instance can be turned into: its nodes may differ for a while, its writes may be refused, and what
-- disturbs it waits for its window. Minutes of the day, in the service's own zone.
alter table instance add column read_only integer not null default 0;
alter table instance add column window_start integer not null default 180;
alter table instance add column window_end integer not null default 240;

-- A node that joins is no member yet: it follows the primary, counts for nothing and is never promoted.
alter table node add column joins integer not null default 0;
alter table node add column type integer not null default 0;
alter table node add column version text not null default '';
-- The start of a primary whose stream was seen to flow to the node.
alter table node add column stream_of text not null default '';
alter table node add column stream_epoch integer not null default 0;
update node set type = (select type from instance where id = instance),
    version = (select version from instance where id = instance);

-- Tasks can be cancelled and tried again, from where they are stuck or from the beginning. `size` is the instance's memory
-- with all its nodes, in MiB: tasks of the same type and size take about as long. `reopened` numbers all tries but first
-- ones: whoever watches tasks finds those that came since by it. One that does not hold its instance only looks on.
alter table task add column attempt integer not null default 1;
alter table task add column cancel_asked integer not null default 0;
alter table task add column parked integer not null default 0;
alter table task add column stuck integer not null default 0;
alter table task add column reopened integer not null default 0;
alter table task add column holds integer not null default 1;
alter table task add column first_state text not null default '';
alter table task add column size integer not null default 0;
alter table step add column attempt integer not null default 1;
update task set first_state = state where result < 2;
create index task_by_type on task (type, size, ended_at) where result = 2;
create index task_by_reopened on task (reopened) where reopened > 0;
create index task_by_type_alone on task (type, ended_at) where result = 2;

-- A task that has let its instance go until its moment has come.
create table pending (
    instance text primary key,
    task integer not null references task (id),
    due_at integer not null,
    event integer not null
) without rowid;

-- What an order costs, in cents.
alter table deal add column price integer not null default 0;

-- What happened to instances, and what is planned for them.
create table event (
    id integer primary key autoincrement,
    account integer not null,
    instance text not null,
    instance_name text not null,
    type text not null,
    grade text not null,
    status text not null,
    effect text not null,
    start_at integer not null,
    end_at integer not null,
    latest_at integer not null,
    initial_at integer not null,
    ended_at integer
);
create index event_by_time on event (account, start_at, id);
create index event_by_instance on event (instance, start_at, id);
