-- name: cancellable_in_group
SELECT id, deadline, expires, ever_resolved, routes, tags, status FROM queue_tasks
WHERE id IN (
  SELECT id FROM queue_tasks
  WHERE task_group_id = :task_group_id AND id < :before AND unresolved_until > :now
  ORDER BY id DESC LIMIT :limit
)
ORDER BY id
FOR UPDATE

-- name: reprioritizable_in_group
SELECT id, deadline, expires, ever_resolved, routes, tags, status FROM queue_tasks
WHERE task_group_id = :task_group_id AND id > :after AND ever_resolved = 0 AND deadline > :now AND priority <> :priority
ORDER BY id LIMIT :limit
FOR UPDATE
