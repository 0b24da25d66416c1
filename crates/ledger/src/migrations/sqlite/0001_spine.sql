-- Facts of the service itself, and counters.
create table meta (
    name text primary key,
    number integer,
    text text
) without rowid;

create table instance (
    id text primary key,
    account integer not null,
    name text not null,
    project integer not null,
    type integer not null,
    version text not null,
    product_version text not null,
    memory_mb integer not null,
    shards integer not null,
    replicas integer not null,
    zone integer not null,
    vpc text not null,
    subnet text not null,
    address text not null,
    port integer not null,
    is_open integer not null,
    status integer not null,
    shows_node_set integer not null,
    no_auth integer not null,
    password blob,
    admin blob not null,
    billing integer not null,
    auto_renew integer not null,
    delete_protection integer not null,
    created_at integer not null,
    deadline_at integer,
    closed_at integer,
    offline_at integer,
    unique (address, port)
);
create index instance_by_account on instance (account, created_at, id);

create table node (
    id text primary key,
    instance text not null references instance (id),
    number integer not null unique,
    shard_group integer not null,
    role integer not null,
    zone integer not null,
    address text not null,
    port integer not null,
    epoch integer not null,
    runs integer not null,
    observed_epoch integer,
    observed_up integer not null default 0,
    observed_version text not null default '',
    unique (address, port)
);
create index node_by_instance on node (instance, number);

create table tag (
    instance text not null references instance (id),
    key text not null,
    value text not null,
    primary key (instance, key)
) without rowid;
create index tag_by_key on tag (key, value);

create table deal (
    name text primary key,
    account integer not null,
    creator text not null,
    description text not null,
    zone integer not null,
    goods integer not null,
    instances text not null,
    open_tasks integer not null,
    status integer not null,
    created_at integer not null,
    ended_at integer
);

-- Ids grow in the order in which tasks were accepted; autoincrement never gives one out again.
create table task (
    id integer primary key autoincrement,
    account integer not null,
    caller text not null,
    instance text not null,
    instance_name text not null,
    project integer not null,
    type text not null,
    flow text not null,
    state text not null,
    cursor text not null,
    result integer not null,
    progress real not null,
    code text not null default '',
    message text not null default '',
    started_at integer not null,
    ended_at integer,
    fence integer not null default 0,
    lease_until integer not null default 0
);
create index task_by_time on task (account, started_at, id);
create index task_by_instance on task (account, instance, started_at, id);
create index task_open on task (id) where result < 2;

-- Who may change an instance now.
create table hold (
    instance text primary key,
    task integer not null references task (id)
) without rowid;
create index hold_by_task on hold (task);

-- The steps that a task has passed.
create table step (
    task integer not null references task (id),
    seq integer not null,
    name text not null,
    phase text not null,
    started_at integer not null,
    ended_at integer not null,
    tries integer not null,
    message text not null,
    primary key (task, seq)
) without rowid;
