-- How often a task was opened again is counted beside the tasks, since the one that was it last may be removed.
insert into meta (name, number)
select 'task-reopened', reopened from task where reopened > 0 order by reopened desc limit 1;
