-- name: add_job
-- Ask for work, unless the same was asked for by a later message; what waits to be tried again goes on waiting.
INSERT INTO github_jobs (kind, key, lane, installation_id, payload, event, created, due)
VALUES (:kind, :key, :lane, :installation_id, :payload, :event, :now, :now)
ON CONFLICT (kind, key) DO UPDATE SET payload = excluded.payload, event = excluded.event, created = excluded.created
WHERE github_jobs.event < excluded.event

-- name: next_installation
-- The next installation that there is work for, and when the first of it is due.
SELECT installation_id, due FROM github_jobs WHERE installation_id > :after ORDER BY installation_id, due LIMIT 1

-- name: due_job
-- Work of an installation that is due and the first of its lane.
SELECT id, kind, key, lane, installation_id, payload, event, attempts, created FROM github_jobs j
WHERE installation_id = :installation_id AND due <= :now AND NOT EXISTS (SELECT 1 FROM github_jobs o WHERE o.lane = j.lane AND o.id < j.id)
ORDER BY due LIMIT 1

-- name: lease_job
-- Take work on until a time, after which somebody else may.
UPDATE github_jobs SET due = :until, attempts = attempts + 1 WHERE id = :id

-- name: finish_job
-- Work is done, unless it was asked for again meanwhile.
DELETE FROM github_jobs WHERE id = :id AND event = :event

-- name: put_off_job
-- Work is to be tried at a time.
UPDATE github_jobs SET due = :due, attempts = :attempts WHERE id = :id

-- name: put_off_installation
-- All work of an installation is to wait until a time.
UPDATE github_jobs SET due = :until WHERE installation_id = :installation_id AND due < :until
