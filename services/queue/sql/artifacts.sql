-- name: insert_artifact
-- Write a new artifact.
INSERT INTO queue_artifacts (task_id, run_id, name, storage_type, content_type, content_length, details, present, expires)
VALUES (:task_id, :run_id, :name, :storage_type, :content_type, :content_length, :details, :present, :expires)
ON CONFLICT (task_id, run_id, name) DO NOTHING

-- name: update_artifact
-- Replace what may be replaced of an artifact.
UPDATE queue_artifacts SET storage_type = :storage_type, details = :details, expires = :expires
WHERE task_id = :task_id AND run_id = :run_id AND name = :name

-- name: finish_artifact
-- The artifact's data is there.
UPDATE queue_artifacts SET present = 1, details = '{}'
WHERE task_id = :task_id AND run_id = :run_id AND name = :name AND present = 0

-- name: get_artifact
-- One artifact.
SELECT task_id, run_id, name, storage_type, content_type, content_length, details, present, expires
FROM queue_artifacts WHERE task_id = :task_id AND run_id = :run_id AND name = :name

-- name: list_artifacts
-- The artifacts of a run, by name.
SELECT task_id, run_id, name, storage_type, content_type, content_length, details, present, expires
FROM queue_artifacts WHERE task_id = :task_id AND run_id = :run_id AND name > :after ORDER BY name LIMIT :limit

-- name: expired_artifacts
-- Artifacts that are to be removed.
SELECT task_id, run_id, name, storage_type, details FROM queue_artifacts
WHERE expires <= :before ORDER BY expires LIMIT :limit

-- name: delete_artifact
-- Remove an artifact that has not been extended meanwhile.
DELETE FROM queue_artifacts WHERE task_id = :task_id AND run_id = :run_id AND name = :name AND expires <= :before

-- name: next_expiry
-- When the next task or artifact is to be looked at for expiry.
SELECT min(due) FROM (
  SELECT min(expire_at) AS due FROM queue_tasks WHERE expire_at IS NOT NULL
  UNION ALL SELECT min(expires) + :delay FROM queue_artifacts
  UNION ALL SELECT min(expires) + :delay FROM queue_task_groups
) AS candidates
