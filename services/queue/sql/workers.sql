-- name: see_task_queue
-- A task queue is in use.
INSERT INTO queue_task_queues (task_queue_id, expires, last_date_active, description, stability)
VALUES (:task_queue_id, :expires, :now, '', 'experimental')
ON CONFLICT (task_queue_id) DO UPDATE SET last_date_active = excluded.last_date_active,
  expires = CASE WHEN excluded.expires > queue_task_queues.expires THEN excluded.expires ELSE queue_task_queues.expires END

-- name: see_worker
-- A worker is at work.
INSERT INTO queue_workers (task_queue_id, worker_group, worker_id, quarantine_until, quarantine_details, expires,
                           first_claim, last_date_active, recent_tasks)
VALUES (:task_queue_id, :worker_group, :worker_id, :quarantine_until, '[]', :expires, :now, :now, '[]')
ON CONFLICT (task_queue_id, worker_group, worker_id) DO UPDATE SET last_date_active = excluded.last_date_active,
  expires = CASE WHEN excluded.expires > queue_workers.expires THEN excluded.expires ELSE queue_workers.expires END

-- name: get_recent_tasks
-- What a worker has claimed lately.
SELECT recent_tasks FROM queue_workers
WHERE task_queue_id = :task_queue_id AND worker_group = :worker_group AND worker_id = :worker_id

-- name: save_recent_tasks
-- Keep what a worker has claimed lately.
UPDATE queue_workers SET recent_tasks = :recent_tasks
WHERE task_queue_id = :task_queue_id AND worker_group = :worker_group AND worker_id = :worker_id

-- name: get_worker
-- One worker.
SELECT task_queue_id, worker_group, worker_id, quarantine_until, quarantine_details, expires, first_claim,
  last_date_active, recent_tasks
FROM queue_workers WHERE task_queue_id = :task_queue_id AND worker_group = :worker_group AND worker_id = :worker_id

-- name: get_quarantine
-- Until when a worker is in quarantine.
SELECT quarantine_until FROM queue_workers
WHERE task_queue_id = :task_queue_id AND worker_group = :worker_group AND worker_id = :worker_id

-- name: set_quarantine
-- Put a worker into quarantine, or take it out.
UPDATE queue_workers SET quarantine_until = :quarantine_until, quarantine_details = :quarantine_details,
  expires = CASE WHEN expires < :expires THEN :expires ELSE expires END
WHERE task_queue_id = :task_queue_id AND worker_group = :worker_group AND worker_id = :worker_id

-- name: list_workers
-- The workers of a task queue that have not expired or are in quarantine.
SELECT worker_group, worker_id, quarantine_until, first_claim, last_date_active, recent_tasks FROM queue_workers
WHERE task_queue_id = :task_queue_id AND (worker_group, worker_id) > (:after_group, :after_id)
  AND (expires >= :now OR quarantine_until >= :now)
  AND quarantine_until >= :quarantined_from AND quarantine_until < :quarantined_before
ORDER BY worker_group, worker_id LIMIT :limit

-- name: expire_workers
-- Remove workers that have not been seen for long and are not in quarantine.
DELETE FROM queue_workers WHERE expires < :before AND quarantine_until < :before

-- name: get_task_queue
-- One task queue that has not expired.
SELECT task_queue_id, expires, last_date_active, description, stability FROM queue_task_queues
WHERE task_queue_id = :task_queue_id AND expires > :now

-- name: list_task_queues
-- Task queues that have not expired, by name.
SELECT task_queue_id, expires, last_date_active, description, stability FROM queue_task_queues
WHERE task_queue_id > :after AND task_queue_id < :before AND expires > :now ORDER BY task_queue_id LIMIT :limit

-- name: expire_task_queues
-- Remove task queues that have not been used for long.
DELETE FROM queue_task_queues WHERE expires < :before

-- name: sum_up_provisioner
-- What the task queues of a provisioner, those between two names, have in common.
SELECT max(expires) AS expires, max(last_date_active) AS last_date_active FROM queue_task_queues
WHERE task_queue_id > :after AND task_queue_id < :before AND expires > :now
