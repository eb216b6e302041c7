-- name: add_firing
-- Keep that a hook is to fire, unless it is known already under this task id.
INSERT INTO hooks_firings (hook_group_id, hook_id, task_id, fired_by, fired, stamp, due, attempts, context, task)
VALUES (:hook_group_id, :hook_id, :task_id, :fired_by, :fired, :fired, :due, :attempts, :context, :task)
ON CONFLICT (hook_group_id, hook_id, task_id) DO NOTHING

-- name: due_firings
-- Firings that are to be worked on, the one that waits longest first.
SELECT hook_group_id, hook_id, task_id, fired_by, fired, stamp, due, attempts, context, task FROM hooks_firings WHERE due <= :now ORDER BY due LIMIT :limit

-- name: next_firing
-- When the next firing is to be worked on.
SELECT min(due) FROM hooks_firings

-- name: claim_firing
-- Take a firing up, unless someone else did.
UPDATE hooks_firings SET due = :until, attempts = attempts + 1, stamp = :stamp
WHERE hook_group_id = :hook_group_id AND hook_id = :hook_id AND task_id = :task_id AND due = :was

-- name: defer_firing
-- Try a firing again later.
UPDATE hooks_firings SET due = :due WHERE hook_group_id = :hook_group_id AND hook_id = :hook_id AND task_id = :task_id

-- name: remove_firing
-- End a firing.
DELETE FROM hooks_firings WHERE hook_group_id = :hook_group_id AND hook_id = :hook_id AND task_id = :task_id

-- name: remove_firings
-- End all firings of a hook that is removed.
DELETE FROM hooks_firings WHERE hook_group_id = :hook_group_id AND hook_id = :hook_id

-- name: record_fire
-- Keep what came of a firing; success is never taken back.
INSERT INTO hooks_last_fires (hook_group_id, hook_id, task_id, fired_by, fired, result, error)
VALUES (:hook_group_id, :hook_id, :task_id, :fired_by, :fired, :result, :error)
ON CONFLICT (hook_group_id, hook_id, task_id) DO UPDATE
SET fired_by = excluded.fired_by, fired = excluded.fired, result = excluded.result, error = excluded.error
WHERE hooks_last_fires.result <> 'success'

-- name: get_fire
-- What came of one firing.
SELECT result FROM hooks_last_fires WHERE hook_group_id = :hook_group_id AND hook_id = :hook_id AND task_id = :task_id

-- name: last_fire
-- What came of a hook's latest firing.
SELECT task_id, fired, result, error FROM hooks_last_fires
WHERE hook_group_id = :hook_group_id AND hook_id = :hook_id ORDER BY fired DESC, task_id DESC LIMIT 1

-- name: list_fires
-- A hook's firings before one of them, the latest first.
SELECT task_id, fired_by, fired, result, error FROM hooks_last_fires
WHERE hook_group_id = :hook_group_id AND hook_id = :hook_id AND (fired, task_id) < (:before_fired, :before_id)
ORDER BY fired DESC, task_id DESC LIMIT :limit

-- name: remove_fires
-- Forget the firings of a hook that is removed.
DELETE FROM hooks_last_fires WHERE hook_group_id = :hook_group_id AND hook_id = :hook_id

-- name: expire_fires
-- Forget some firings that are past their time.
DELETE FROM hooks_last_fires WHERE (hook_group_id, hook_id, task_id) IN (
  SELECT hook_group_id, hook_id, task_id FROM hooks_last_fires WHERE fired < :before ORDER BY fired LIMIT :limit
)
