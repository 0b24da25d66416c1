-- When a task failed last on an instance. Lists of tasks are answered in SQL here, so the indexes that they need stay.
create index task_failed on task (instance, type, ended_at) where result = 4;
