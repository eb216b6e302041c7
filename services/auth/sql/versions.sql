-- name: get_version
-- How many changes there were, and at which of them a role was changed last.
SELECT version, roles_version FROM auth_version WHERE id = 0

-- name: current_version
-- How many changes there were.
SELECT version FROM auth_version WHERE id = 0

-- name: next_version
-- Count a change of a client.
UPDATE auth_version SET version = version + 1 WHERE id = 0

-- name: next_roles_version
-- Count a change of a role, unless another one came in between.
UPDATE auth_version SET version = version + 1, roles_version = version + 1 WHERE id = 0 AND roles_version = :expected

-- name: add_change
-- Tell other processes what changed.
INSERT INTO auth_changes (version, kind, name, changed) VALUES (:version, :kind, :name, :now)

-- name: changes_after
-- What changed after a version.
SELECT version, kind, name FROM auth_changes WHERE version > :version ORDER BY version LIMIT :limit

-- name: forget_changes
-- Remove what every process has seen long ago.
DELETE FROM auth_changes WHERE changed < :before

-- name: get_mark
-- Whether something was done.
SELECT name FROM auth_marks WHERE name = :name

-- name: add_mark
-- Something was done.
INSERT INTO auth_marks (name) VALUES (:name) ON CONFLICT (name) DO NOTHING
