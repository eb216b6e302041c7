-- name: required_tasks
-- What a new task depends on; the rows are held, so that none is resolved unnoticed before this transaction ends.
SELECT id, task_id, state, expires FROM queue_tasks WHERE task_id IN (SELECT value FROM json_each(:task_ids))

-- name: add_dependency
-- A task depends on another one.
INSERT INTO queue_dependencies (required_id, dependent_id, requires_success, satisfied)
VALUES (:required_id, :dependent_id, :requires_success, :satisfied)

-- name: waiting_dependents
-- Tasks that wait for this one, and are satisfied by the way in which it was resolved.
SELECT dependent_id FROM queue_dependencies
WHERE required_id = :required_id AND satisfied = 0 AND requires_success <= :completed
ORDER BY dependent_id LIMIT :limit

-- name: satisfy_dependency
-- A task no longer waits for this one.
UPDATE queue_dependencies SET satisfied = 1
WHERE required_id = :required_id AND dependent_id = :dependent_id AND satisfied = 0

-- name: unblock
-- A task waits for one task less; its state.
UPDATE queue_tasks SET blocked = blocked - 1 WHERE id = :id
RETURNING blocked, id, deadline, expires, ever_resolved, routes, tags, status

-- name: defer_resolution
-- Leave a task's dependents to the dependencies loop; what a success before a rerun has released stays released.
INSERT INTO queue_resolutions (required_id, completed) VALUES (:required_id, :completed)
ON CONFLICT (required_id) DO UPDATE SET completed = excluded.completed WHERE excluded.completed > queue_resolutions.completed

-- name: next_resolution
-- A task whose dependents have been left to the loop; its status, if it is still there.
SELECT required_id, completed, (SELECT status FROM queue_tasks WHERE id = required_id) AS status
FROM queue_resolutions ORDER BY required_id LIMIT 1

-- name: end_resolution
-- All dependents of a task have been looked after.
DELETE FROM queue_resolutions WHERE required_id = :required_id

-- name: list_dependents
-- The tasks that depend on a task.
SELECT t.id, t.status, f.definition FROM queue_dependencies d
JOIN queue_tasks t ON t.id = d.dependent_id JOIN queue_definitions f ON f.id = t.id
WHERE d.required_id = :required_id AND d.dependent_id > :after
ORDER BY d.dependent_id LIMIT :limit
