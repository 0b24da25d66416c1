-- Lists of tasks are answered by the task index, in memory, and rows are found by their ids. What is left to be found in
-- SQL is what a transaction asks of an instance: whether a later task has run on it, and when one failed last.
drop index task_by_time;
drop index task_by_instance;
create index task_by_instance on task (instance, id);
create index task_failed on task (instance, type, ended_at) where result = 4;

-- How selective they are; see 0002.
delete from sqlite_stat1 where tbl = 'task';
insert into sqlite_stat1 (tbl, idx, stat) values
    ('task', 'task_by_instance', '1000000 100 1'),
    ('task', 'task_failed', '50000 5 2 1'),
    ('task', 'task_open', '50 1');
