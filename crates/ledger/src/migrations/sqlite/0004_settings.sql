-- How a running instance is set: parameters, accounts, addresses and who may reach them. Names of parameters are the
-- API's; a parameter without a row has its default.
alter table instance add column old_password blob;
alter table instance add column password_changed_at integer;
alter table instance add column remark text not null default '';
alter table instance add column reads_from text not null default 'master';
alter table instance add column client_limit integer;
alter table instance add column bandwidth_mbit integer;
alter table instance add column policy text not null default '';

-- Set by whoever wakes a task, until a worker takes it: one that was about to lie down does not, then.
alter table task add column woken integer not null default 0;

-- How often something could not be said to a node: until it has been told, it is not promoted.
alter table node add column unsaid integer not null default 0;

-- A task that swaps the addresses of two instances holds both: `instance` and this one.
alter table task add column partner text;
create index task_by_partner on task (partner, id) where partner is not null;

create table param (
    instance text not null references instance (id),
    name text not null,
    value text not null,
    primary key (instance, name)
) without rowid;

create table param_record (
    id integer primary key autoincrement,
    instance text not null,
    name text not null,
    before text not null,
    after text not null,
    status integer not null,
    template text not null,
    modified_at integer not null
);
create index param_record_by_instance on param_record (instance, id);
create index param_record_by_template on param_record (template) where status = 1;

create table template (
    id text primary key,
    account integer not null,
    name text not null,
    description text not null,
    type integer not null,
    created_at integer not null
);
create index template_by_account on template (account, created_at, id);

create table template_param (
    template text not null references template (id),
    name text not null,
    value text not null,
    primary key (template, name)
) without rowid;

-- Users besides the default one. `password` is sealed.
create table instance_account (
    instance text not null references instance (id),
    name text not null,
    password blob,
    privilege text not null,
    reads_from text not null,
    remark text not null,
    status integer not null,
    created_at integer not null,
    password_changed_at integer not null,
    primary key (instance, name)
) without rowid;

-- A task that has let its instance go while two passwords are valid, until one of them is not any more.
create table rotation (
    instance text primary key references instance (id),
    task integer not null references task (id),
    due_at integer not null
) without rowid;

-- Addresses of an instance besides its own: public ones, and former ones until they are closed.
create table address (
    address text not null,
    port integer not null,
    instance text not null references instance (id),
    kind text not null,
    vpc text not null,
    subnet text not null,
    closes_at integer,
    primary key (address, port)
) without rowid;
create index address_by_instance on address (instance);

create table vpc (
    id text primary key,
    account integer not null,
    name text not null,
    cidr text not null,
    multicast integer not null,
    dns text not null,
    domain text not null,
    created_at integer not null
);
create table subnet (
    id text primary key,
    vpc text not null,
    account integer not null,
    name text not null,
    cidr text not null,
    zone integer not null,
    broadcast integer not null,
    created_at integer not null
);
create index subnet_by_vpc on subnet (vpc);

-- `inbound` and `outbound` are JSON lists of rules, in their order.
create table security_group (
    id text primary key,
    account integer not null,
    project integer not null,
    name text not null,
    remark text not null,
    inbound text not null,
    outbound text not null,
    version integer not null,
    created_at integer not null,
    updated_at integer not null
);
create index security_group_by_account on security_group (account, created_at, id);
create table instance_group (
    instance text not null references instance (id),
    place integer not null,
    security_group text not null references security_group (id),
    primary key (instance, place),
    unique (instance, security_group)
) without rowid;
create index instance_group_by_group on instance_group (security_group);

create table project (
    id integer primary key autoincrement,
    account integer not null,
    name text not null,
    info text not null,
    creator text not null,
    is_disabled integer not null default 0,
    created_at integer not null,
    unique (account, name)
);
