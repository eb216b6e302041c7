-- name: get_task
-- The entry at a path, expired or not.
SELECT namespace, name, task_id, rank, expires, data FROM index_tasks WHERE namespace = :namespace AND name = :name

-- name: put_task
-- Put an entry at a path, whatever is there.
INSERT INTO index_tasks (namespace, name, task_id, rank, expires, data)
VALUES (:namespace, :name, :task_id, :rank, :expires, :data)
ON CONFLICT (namespace, name) DO UPDATE
SET task_id = excluded.task_id, rank = excluded.rank, expires = excluded.expires, data = excluded.data

-- name: remove_task
-- Remove the entry at a path.
DELETE FROM index_tasks WHERE namespace = :namespace AND name = :name

-- name: list_tasks
-- Entries of a namespace that have not expired, in order, after a name.
SELECT namespace, name, task_id, rank, expires, data FROM index_tasks
WHERE namespace = :namespace AND name > :after AND expires > :now
ORDER BY name LIMIT :limit

-- name: tasks_at
-- The entries at several paths that have not expired; each path is a list of namespace and name.
SELECT t.namespace, t.name, t.task_id, t.rank, t.expires, t.data
FROM json_each(:paths) AS p
CROSS JOIN index_tasks AS t
WHERE t.namespace = json_extract(p.value, '$[0]') AND t.name = json_extract(p.value, '$[1]') AND t.expires > :now

-- name: expire_tasks
-- Remove some entries that have expired.
DELETE FROM index_tasks WHERE (namespace, name) IN (
  SELECT namespace, name FROM index_tasks WHERE expires < :now ORDER BY expires LIMIT :limit
)

-- name: put_namespace
-- Have a namespace listed at least until a time; changes nothing when it already is.
INSERT INTO index_namespaces (parent, name, expires) VALUES (:parent, :name, :expires)
ON CONFLICT (parent, name) DO UPDATE SET expires = excluded.expires WHERE index_namespaces.expires < excluded.expires

-- name: list_namespaces
-- Namespaces in a namespace that have not expired, in order, after a name.
SELECT parent, name, expires FROM index_namespaces
WHERE parent = :parent AND name > :after AND expires > :now
ORDER BY name LIMIT :limit

-- name: expire_namespaces
-- Remove some namespaces that have expired.
DELETE FROM index_namespaces WHERE (parent, name) IN (
  SELECT parent, name FROM index_namespaces WHERE expires < :now ORDER BY expires LIMIT :limit
)

-- name: get_handled
-- Whether the completion of a run has been taken in.
SELECT handled FROM index_handled WHERE task_id = :task_id AND run_id = :run_id

-- name: add_handled
-- Say that the completion of a run has been taken in; changes nothing when it had been before.
INSERT INTO index_handled (task_id, run_id, handled) VALUES (:task_id, :run_id, :now) ON CONFLICT (task_id, run_id) DO NOTHING

-- name: forget_handled
-- Forget some of the runs that were taken in so long before the last one that no message about them is still to come.
DELETE FROM index_handled WHERE (task_id, run_id) IN (
  SELECT task_id, run_id FROM index_handled
  WHERE handled < (SELECT max(handled) FROM index_handled) - :kept ORDER BY handled LIMIT :limit
)
