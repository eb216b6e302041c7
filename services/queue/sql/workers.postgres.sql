-- name: get_recent_tasks
SELECT recent_tasks FROM queue_workers
WHERE task_queue_id = :task_queue_id AND worker_group = :worker_group AND worker_id = :worker_id FOR UPDATE
