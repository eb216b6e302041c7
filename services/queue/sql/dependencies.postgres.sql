-- name: required_tasks
UPDATE queue_tasks SET blocked = blocked
WHERE task_id IN (SELECT jsonb_array_elements_text(CAST(CAST(:task_ids AS TEXT) AS jsonb)))
RETURNING id, task_id, state, expires

-- name: next_resolution
SELECT required_id, completed, (SELECT status FROM queue_tasks WHERE id = required_id) AS status
FROM queue_resolutions ORDER BY required_id LIMIT 1 FOR UPDATE SKIP LOCKED
