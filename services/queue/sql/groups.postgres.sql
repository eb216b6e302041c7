-- name: cancellable_in_group
SELECT id, deadline, expires, ever_resolved, routes, tags, status FROM queue_tasks
WHERE task_group_id = :task_group_id AND id > :after AND unresolved_until > :now
ORDER BY id LIMIT :limit
FOR UPDATE

-- name: reprioritizable_in_group
SELECT id, deadline, expires, ever_resolved, routes, tags, status FROM queue_tasks
WHERE task_group_id = :task_group_id AND id > :after AND ever_resolved = 0 AND deadline > :now AND priority <> :priority
ORDER BY id LIMIT :limit
FOR UPDATE
