-- name: enter_group
-- Count one more task in a task group that is there, takes it and lasts long enough; what most tasks need.
UPDATE queue_task_groups SET active = active + 1
WHERE task_group_id = :task_group_id AND scheduler_id = :scheduler_id AND sealed IS NULL AND expires >= :until

-- name: join_group
-- Count one more task in a task group, which is made if need be.
INSERT INTO queue_task_groups (task_group_id, scheduler_id, expires, active)
VALUES (:task_group_id, :scheduler_id, :expires, 1)
ON CONFLICT (task_group_id) DO UPDATE SET active = queue_task_groups.active + 1
RETURNING scheduler_id, sealed, expires

-- name: extend_group
-- A task group expires later, as its tasks do.
UPDATE queue_task_groups SET expires = :expires WHERE task_group_id = :task_group_id

-- name: get_group
-- A task group.
SELECT task_group_id, scheduler_id, expires, sealed, active FROM queue_task_groups WHERE task_group_id = :task_group_id

-- name: leave_group
-- A task of the group has been resolved for the first time.
UPDATE queue_task_groups SET active = active - :first WHERE task_group_id = :task_group_id
RETURNING scheduler_id, expires, sealed, active

-- name: seal_group
-- Take no more tasks into a group.
UPDATE queue_task_groups SET sealed = :now WHERE task_group_id = :task_group_id AND sealed IS NULL

-- name: list_group
-- The tasks of a group in the order of their creation.
SELECT t.id, t.status, d.definition FROM queue_tasks t JOIN queue_definitions d ON d.id = t.id
WHERE t.task_group_id = :task_group_id AND t.id > :after
ORDER BY t.id LIMIT :limit

-- name: count_group
-- How many tasks a group has.
SELECT count(*) FROM queue_tasks WHERE task_group_id = :task_group_id

-- name: cancellable_in_group
-- The newest unresolved tasks of a group before their deadline, in any order, to be changed in this transaction.
SELECT id, deadline, expires, ever_resolved, routes, tags, status FROM queue_tasks
WHERE task_group_id = :task_group_id AND id < :before AND unresolved_until > :now
ORDER BY id DESC LIMIT :limit

-- name: reprioritizable_in_group
-- Tasks of a group that were never resolved and have another priority, to be changed in this transaction.
SELECT id, deadline, expires, ever_resolved, routes, tags, status FROM queue_tasks
WHERE task_group_id = :task_group_id AND id > :after AND ever_resolved = 0 AND deadline > :now AND priority <> :priority
ORDER BY id LIMIT :limit

-- name: expire_groups
-- Remove a limited number of task groups that have expired.
DELETE FROM queue_task_groups WHERE task_group_id IN (
  SELECT task_group_id FROM queue_task_groups WHERE expires < :before ORDER BY expires LIMIT :limit
)
