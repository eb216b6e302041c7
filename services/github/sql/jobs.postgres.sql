-- name: due_job
SELECT id, kind, key, lane, installation_id, payload, event, attempts, created FROM github_jobs j
WHERE installation_id = :installation_id AND due <= :now AND NOT EXISTS (SELECT 1 FROM github_jobs o WHERE o.lane = j.lane AND o.id < j.id)
ORDER BY due LIMIT 1 FOR UPDATE OF j SKIP LOCKED
