-- name: add_hook
-- Keep a new hook, unless there is one of that name.
INSERT INTO hooks_hooks (hook_group_id, hook_id, seed, next_fire, bound, mailed, token, bindings, schedule, metadata, trigger_schema, task)
VALUES (:hook_group_id, :hook_id, :seed, :next_fire, :bound, 0, :token, :bindings, :schedule, :metadata, :trigger_schema, :task)
ON CONFLICT (hook_group_id, hook_id) DO NOTHING

-- name: get_hook
-- A hook by its name.
SELECT * FROM hooks_hooks WHERE hook_group_id = :hook_group_id AND hook_id = :hook_id

-- name: update_hook
-- Replace a hook's definition.
UPDATE hooks_hooks SET next_fire = :next_fire, bound = :bound, bindings = :bindings, schedule = :schedule,
  metadata = :metadata, trigger_schema = :trigger_schema, task = :task
WHERE hook_group_id = :hook_group_id AND hook_id = :hook_id

-- name: set_token
-- Replace a hook's token.
UPDATE hooks_hooks SET token = :token WHERE hook_group_id = :hook_group_id AND hook_id = :hook_id

-- name: remove_hook
-- Forget a hook.
DELETE FROM hooks_hooks WHERE hook_group_id = :hook_group_id AND hook_id = :hook_id

-- name: list_groups
-- The groups that have hooks, in order; each is found by the one before it.
WITH RECURSIVE found (hook_group_id) AS (
  SELECT min(hook_group_id) FROM hooks_hooks
  UNION ALL
  SELECT (SELECT min(hook_group_id) FROM hooks_hooks WHERE hook_group_id > found.hook_group_id) FROM found WHERE found.hook_group_id IS NOT NULL
)
SELECT hook_group_id FROM found WHERE hook_group_id IS NOT NULL LIMIT :limit

-- name: list_hooks
-- The hooks of a group, in order.
SELECT * FROM hooks_hooks WHERE hook_group_id = :hook_group_id ORDER BY hook_id LIMIT :limit

-- name: list_bound
-- Hooks that messages fire, after one of them, in order.
SELECT hook_group_id, hook_id, bindings FROM hooks_hooks
WHERE bindings <> '[]' AND (hook_group_id, hook_id) > (:after_group_id, :after_id)
ORDER BY hook_group_id, hook_id LIMIT :limit

-- name: due_hooks
-- Hooks whose time has come, the one that waits longest first.
SELECT * FROM hooks_hooks WHERE next_fire <= :now ORDER BY next_fire LIMIT :limit

-- name: next_due
-- When the next hook's time comes.
SELECT min(next_fire) FROM hooks_hooks WHERE next_fire IS NOT NULL

-- name: advance_hook
-- Set when a hook's time comes next, unless that was changed meanwhile.
UPDATE hooks_hooks SET next_fire = :next_fire WHERE hook_group_id = :hook_group_id AND hook_id = :hook_id AND next_fire = :was

-- name: note_mail
-- Keep that a hook's owner is sent an e-mail, unless one was sent lately.
UPDATE hooks_hooks SET mailed = :now WHERE hook_group_id = :hook_group_id AND hook_id = :hook_id AND mailed <= :lately
