-- name: add_error
-- Write an error of a pool.
INSERT INTO worker_manager_errors (worker_pool_id, error_id, reported, kind, title, code, launch_config_id, digest, mail_at, mail_tries, description, extra)
VALUES (:worker_pool_id, :error_id, :now, :kind, :title, :code, :launch_config_id, :digest, :mail_at, 0, :description, :extra)

-- name: list_errors
-- A pool's errors, the latest first, before one; with a launch configuration, only those of it.
SELECT worker_pool_id, error_id, reported, kind, title, launch_config_id, description, extra FROM worker_manager_errors
WHERE worker_pool_id = :worker_pool_id AND (reported, error_id) < (:reported, :error_id)
  AND (:launch_config_id = '' OR launch_config_id = :launch_config_id)
ORDER BY reported DESC, error_id DESC LIMIT :limit

-- name: get_error
-- One error of a pool.
SELECT worker_pool_id, error_id, reported, kind, title, launch_config_id, description, extra FROM worker_manager_errors
WHERE worker_pool_id = :worker_pool_id AND error_id = :error_id

-- name: same_error
-- When an error that says the same was last reported, if that was after a time.
SELECT max(reported) AS reported FROM worker_manager_errors
WHERE worker_pool_id = :worker_pool_id AND digest = :digest AND reported > :since

-- name: count_errors_of_pool
-- A pool's errors since a time, by hour, title, code and launch configuration.
SELECT worker_pool_id, launch_config_id, title, code, reported / 3600000 AS hour, count(*) AS errors FROM worker_manager_errors
WHERE worker_pool_id = :worker_pool_id AND reported >= :since
GROUP BY worker_pool_id, launch_config_id, title, code, reported / 3600000

-- name: count_errors
-- The errors of all pools since a time, by hour, title, code and launch configuration.
SELECT worker_pool_id, launch_config_id, title, code, reported / 3600000 AS hour, count(*) AS errors FROM worker_manager_errors
WHERE reported >= :since
GROUP BY worker_pool_id, launch_config_id, title, code, reported / 3600000

-- name: expire_errors
-- Some errors that were reported before a time.
SELECT worker_pool_id, error_id FROM worker_manager_errors WHERE reported < :before ORDER BY reported LIMIT :limit

-- name: remove_error
-- Forget an error.
DELETE FROM worker_manager_errors WHERE worker_pool_id = :worker_pool_id AND error_id = :error_id

-- name: due_mails
-- Some errors of which the owners of their pools are to be told by now.
SELECT e.worker_pool_id, e.error_id, e.title, e.description, e.extra, e.mail_at, e.mail_tries, p.owner
FROM worker_manager_errors e LEFT JOIN worker_manager_pools p ON p.worker_pool_id = e.worker_pool_id
WHERE e.mail_at <= :now ORDER BY e.mail_at LIMIT :limit

-- name: claim_mail
-- Take it upon oneself to send a mail, unless another process has.
UPDATE worker_manager_errors SET mail_at = :next, mail_tries = mail_tries + 1
WHERE worker_pool_id = :worker_pool_id AND error_id = :error_id AND mail_at = :mail_at

-- name: end_mail
-- A mail was sent, or never will be.
UPDATE worker_manager_errors SET mail_at = NULL WHERE worker_pool_id = :worker_pool_id AND error_id = :error_id
