-- name: lock_task
SELECT id, deadline, expires, ever_resolved, routes, tags, status FROM queue_tasks WHERE task_id = :task_id FOR UPDATE

-- name: next_pending
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
FOR UPDATE OF t SKIP LOCKED

-- name: statuses_of
SELECT task_id, status FROM queue_tasks
WHERE task_id IN (SELECT jsonb_array_elements_text(CAST(CAST(:task_ids AS TEXT) AS jsonb))) AND task_id > :after
ORDER BY task_id LIMIT :limit

-- name: definitions_of
SELECT t.task_id, d.definition FROM queue_tasks t JOIN queue_definitions d ON d.id = t.id
WHERE t.task_id IN (SELECT jsonb_array_elements_text(CAST(CAST(:task_ids AS TEXT) AS jsonb))) AND t.task_id > :after
ORDER BY t.task_id LIMIT :limit

-- name: expired_claims
SELECT id, deadline, expires, ever_resolved, routes, tags, status FROM queue_tasks
WHERE taken_until <= :now AND deadline >= :now
ORDER BY taken_until LIMIT :limit
FOR UPDATE SKIP LOCKED

-- name: past_deadline
SELECT id, deadline, expires, ever_resolved, routes, tags, status FROM queue_tasks
WHERE unresolved_until < :before
ORDER BY unresolved_until LIMIT :limit
FOR UPDATE SKIP LOCKED
