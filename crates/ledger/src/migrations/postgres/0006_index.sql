-- When a task failed last on an instance. Lists of tasks are answered in SQL here, so the indexes that they need stay.
create index task_failed on task (instance, type, ended_at) where result = 4;

-- The latest batch of each writer, and when that was, in seconds: so that one which does not know whether its batch was
-- committed can find out.
create table writer (
    name text collate "C" primary key,
    batch bigint not null,
    at bigint not null
);
