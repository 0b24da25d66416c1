-- How selective the indexes of a grown ledger are: rows, then rows for each value of the first columns together. Without
-- it SQLite holds the tasks of an account in a time for no more than those of one instance, and reads all of them.
analyze;
delete from sqlite_stat1 where tbl = 'task';
insert into sqlite_stat1 (tbl, idx, stat) values
    ('task', 'task_by_time', '1000000 1000000 10 1'),
    ('task', 'task_by_instance', '1000000 1000000 100 2 1'),
    ('task', 'task_open', '50 1');
