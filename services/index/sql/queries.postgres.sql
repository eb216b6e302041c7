-- name: tasks_at
SELECT t.namespace, t.name, t.task_id, t.rank, t.expires, t.data
FROM jsonb_array_elements(CAST(CAST(:paths AS TEXT) AS jsonb)) AS p(path)
JOIN index_tasks AS t ON t.namespace = p.path ->> 0 AND t.name = p.path ->> 1
WHERE t.expires > :now
