-- name: insert_task
-- Write a new task's state; nothing is changed when the taskId is in use.
INSERT INTO queue_tasks (id, task_id, task_group_id, task_queue_id, priority, deadline, expires, state, blocked,
                         pending_rank, unresolved_until, routes, tags, status)
VALUES (:id, :task_id, :task_group_id, :task_queue_id, :priority, :deadline, :expires, :state, :blocked,
        :pending_rank, :deadline, :routes, :tags, :status)
ON CONFLICT (task_id) DO NOTHING

-- name: insert_definition
-- Write a new task's definition.
INSERT INTO queue_definitions (id, definition) VALUES (:id, :definition)

-- name: update_definition
-- Replace a task's definition, when its priority has changed.
UPDATE queue_definitions SET definition = :definition WHERE id = :id

-- name: get_definition
-- A task's definition.
SELECT d.definition FROM queue_tasks t JOIN queue_definitions d ON d.id = t.id WHERE t.task_id = :task_id

-- name: get_definition_by_id
-- A task's definition, by the number of its row.
SELECT definition FROM queue_definitions WHERE id = :id

-- name: get_status
-- A task's status structure.
SELECT status FROM queue_tasks WHERE task_id = :task_id

-- name: get_task
-- A task's state.
SELECT id, deadline, expires, ever_resolved, routes, tags, status FROM queue_tasks WHERE task_id = :task_id

-- name: lock_task
-- A task's state, to be changed in this transaction.
SELECT id, deadline, expires, ever_resolved, routes, tags, status FROM queue_tasks WHERE task_id = :task_id

-- name: save_scheduled
-- The first run is pending.
UPDATE queue_tasks SET status = :status, state = :state, pending_rank = :pending_rank WHERE id = :id

-- name: save_retried
-- The claimed run has ended, and another one is pending.
UPDATE queue_tasks SET status = :status, state = :state, pending_rank = :pending_rank, taken_until = NULL WHERE id = :id

-- name: save_rerun
-- A task that was resolved, or never scheduled, has a pending run.
UPDATE queue_tasks SET status = :status, state = :state, pending_rank = :pending_rank,
  unresolved_until = deadline, expire_at = NULL
WHERE id = :id

-- name: save_claimed
-- The pending run is now running.
UPDATE queue_tasks SET status = :status, state = :state, pending_rank = NULL, taken_until = :taken_until WHERE id = :id

-- name: save_reclaimed
-- The running run's claim is longer.
UPDATE queue_tasks SET status = :status, taken_until = :taken_until WHERE id = :id

-- name: save_resolved
-- The task is resolved.
UPDATE queue_tasks SET status = :status, state = :state, ever_resolved = 1, pending_rank = NULL, taken_until = NULL,
  unresolved_until = NULL, expire_at = :expire_at
WHERE id = :id

-- name: save_priority
-- The task has another priority, and with it another place among the pending ones if it is pending.
UPDATE queue_tasks SET status = :status, priority = :priority,
  pending_rank = CASE WHEN pending_rank IS NULL THEN NULL ELSE CAST(:pending_rank AS BIGINT) END
WHERE id = :id

-- name: next_pending
-- The pending tasks of a task queue that a worker is to claim next; none for a worker in quarantine.
SELECT t.id, t.deadline, t.expires, t.ever_resolved, t.routes, t.tags, t.status, d.definition
FROM queue_tasks t JOIN queue_definitions d ON d.id = t.id
WHERE t.task_queue_id = :task_queue_id AND t.pending_rank IS NOT NULL AND t.deadline > :now
  AND NOT EXISTS (
    SELECT 1 FROM queue_workers w
    WHERE w.task_queue_id = :task_queue_id AND w.worker_group = :worker_group AND w.worker_id = :worker_id
      AND w.quarantine_until > :now
  )
ORDER BY t.pending_rank, t.id
LIMIT :limit

-- name: some_pending
-- Up to a number of pending tasks of a task queue, to see how many there are.
SELECT count(*) FROM (
  SELECT 1 FROM queue_tasks WHERE task_queue_id = :task_queue_id AND pending_rank IS NOT NULL LIMIT :limit
) AS pending

-- name: count_pending
-- How many tasks of a task queue are pending.
SELECT count(*) FROM queue_tasks WHERE task_queue_id = :task_queue_id AND pending_rank IS NOT NULL

-- name: count_claimed
-- How many tasks of a task queue are running.
SELECT count(*) FROM queue_tasks WHERE taken_until > 0 AND task_queue_id = :task_queue_id

-- name: list_pending
-- Pending tasks of a task queue in the order in which they will be claimed.
SELECT t.id, t.pending_rank, t.status, d.definition
FROM queue_tasks t JOIN queue_definitions d ON d.id = t.id
WHERE t.task_queue_id = :task_queue_id AND t.pending_rank IS NOT NULL AND (t.pending_rank, t.id) > (:rank, :after)
ORDER BY t.pending_rank, t.id
LIMIT :limit

-- name: list_claimed
-- Running tasks of a task queue, the one whose claim ends first at the top.
SELECT t.id, t.taken_until, t.status, d.definition
FROM queue_tasks t JOIN queue_definitions d ON d.id = t.id
WHERE t.taken_until > 0 AND t.task_queue_id = :task_queue_id AND (t.taken_until, t.id) > (:taken_until, :after)
ORDER BY t.taken_until, t.id
LIMIT :limit

-- name: claimed_statuses
-- The status structures of a task queue's running tasks, in the order in which their claims end.
SELECT id, taken_until, status FROM queue_tasks
WHERE taken_until > 0 AND task_queue_id = :task_queue_id AND (taken_until, id) > (:taken_until, :after)
ORDER BY taken_until, id LIMIT :limit

-- name: statuses_of
-- The status structures of several tasks, by taskId.
SELECT task_id, status FROM queue_tasks
WHERE task_id IN (SELECT value FROM json_each(:task_ids)) AND task_id > :after
ORDER BY task_id LIMIT :limit

-- name: definitions_of
-- The definitions of several tasks, by taskId.
SELECT t.task_id, d.definition FROM queue_tasks t JOIN queue_definitions d ON d.id = t.id
WHERE t.task_id IN (SELECT value FROM json_each(:task_ids)) AND t.task_id > :after
ORDER BY t.task_id LIMIT :limit

-- name: expired_claims
-- Running tasks whose claim has ended before their deadline, to be changed in this transaction.
SELECT id, deadline, expires, ever_resolved, routes, tags, status FROM queue_tasks
WHERE taken_until <= :now AND deadline >= :now
ORDER BY taken_until LIMIT :limit

-- name: next_claim_end
-- When the next claim ends.
SELECT min(taken_until) FROM queue_tasks WHERE taken_until > :now

-- name: past_deadline
-- Unresolved tasks whose deadline has passed, to be changed in this transaction.
SELECT id, deadline, expires, ever_resolved, routes, tags, status FROM queue_tasks
WHERE unresolved_until < :before
ORDER BY unresolved_until LIMIT :limit

-- name: next_deadline
-- The next deadline of an unresolved task.
SELECT min(unresolved_until) FROM queue_tasks WHERE unresolved_until IS NOT NULL

-- name: expired_tasks
-- Resolved tasks that are to be removed.
SELECT id FROM queue_tasks WHERE expire_at <= :now ORDER BY expire_at LIMIT :limit

-- name: delete_task
-- Remove a task's state.
DELETE FROM queue_tasks WHERE id = :id

-- name: delete_definition
-- Remove a task's definition.
DELETE FROM queue_definitions WHERE id = :id

-- name: delete_dependents
-- Forget who depends on a task.
DELETE FROM queue_dependencies WHERE required_id = :id
