-- name: add_pool
-- Write a pool, unless there is one of its name.
INSERT INTO worker_manager_pools (worker_pool_id, provider_id, previous_provider_ids, owner, email_on_error, created, last_modified, description, config)
VALUES (:worker_pool_id, :provider_id, '[]', :owner, :email_on_error, :now, :now, :description, :config)
ON CONFLICT (worker_pool_id) DO NOTHING

-- name: get_pool
-- One pool.
SELECT worker_pool_id, provider_id, previous_provider_ids, owner, email_on_error, created, last_modified, description, config
FROM worker_manager_pools WHERE worker_pool_id = :worker_pool_id

-- name: lock_pool
-- One pool, which nobody else changes until the transaction ends.
SELECT worker_pool_id, provider_id, previous_provider_ids, owner, email_on_error, created, last_modified, description, config
FROM worker_manager_pools WHERE worker_pool_id = :worker_pool_id

-- name: list_pools
-- Pools by name, after one.
SELECT worker_pool_id, provider_id, previous_provider_ids, owner, email_on_error, created, last_modified, description, config
FROM worker_manager_pools WHERE worker_pool_id > :after ORDER BY worker_pool_id LIMIT :limit

-- name: list_pool_ids
-- The names of pools, after one.
SELECT worker_pool_id FROM worker_manager_pools WHERE worker_pool_id > :after ORDER BY worker_pool_id LIMIT :limit

-- name: change_pool
-- Replace what a pool is.
UPDATE worker_manager_pools SET provider_id = :provider_id, previous_provider_ids = :previous_provider_ids, owner = :owner,
  email_on_error = :email_on_error, last_modified = :now, description = :description, config = :config
WHERE worker_pool_id = :worker_pool_id

-- name: set_previous_providers
-- Say which providers may still have machines for a pool.
UPDATE worker_manager_pools SET previous_provider_ids = :previous_provider_ids WHERE worker_pool_id = :worker_pool_id

-- name: given_up_pools
-- Some pools that have no provider, and no machines of any.
SELECT worker_pool_id FROM worker_manager_pools
WHERE provider_id = 'null-provider' AND previous_provider_ids = '[]' AND worker_pool_id > :after ORDER BY worker_pool_id LIMIT :limit

-- name: remove_given_up_pool
-- Forget a pool, if it still has no provider and no machines of any.
DELETE FROM worker_manager_pools
WHERE worker_pool_id = :worker_pool_id AND provider_id = 'null-provider' AND previous_provider_ids = '[]'

-- name: add_launch_config
-- Write a launch configuration.
INSERT INTO worker_manager_launch_configs (worker_pool_id, launch_config_id, archived, created, last_modified, configuration)
VALUES (:worker_pool_id, :launch_config_id, 0, :now, :now, :configuration)

-- name: change_launch_config
-- Replace a launch configuration, and take it back from the archive.
UPDATE worker_manager_launch_configs SET archived = 0, last_modified = :now, configuration = :configuration
WHERE worker_pool_id = :worker_pool_id AND launch_config_id = :launch_config_id

-- name: archive_launch_config
-- Launch no more machines by a configuration.
UPDATE worker_manager_launch_configs SET archived = 1, last_modified = :now
WHERE worker_pool_id = :worker_pool_id AND launch_config_id = :launch_config_id AND archived = 0

-- name: get_launch_config
-- One launch configuration.
SELECT worker_pool_id, launch_config_id, archived, created, last_modified, configuration FROM worker_manager_launch_configs
WHERE worker_pool_id = :worker_pool_id AND launch_config_id = :launch_config_id

-- name: list_launch_configs
-- A pool's launch configurations by id, after one, those in the archive only when they are wanted too (1, else 0).
SELECT worker_pool_id, launch_config_id, archived, created, last_modified, configuration FROM worker_manager_launch_configs
WHERE worker_pool_id = :worker_pool_id AND launch_config_id > :after AND archived <= :archived
ORDER BY launch_config_id LIMIT :limit

-- name: unused_launch_configs
-- Some launch configurations in the archive by which no worker was launched.
SELECT worker_pool_id, launch_config_id FROM worker_manager_launch_configs c
WHERE archived = 1 AND (worker_pool_id, launch_config_id) > (:after_pool, :after_id)
  AND NOT EXISTS (
    SELECT 1 FROM worker_manager_workers w WHERE w.worker_pool_id = c.worker_pool_id AND w.launch_config_id = c.launch_config_id
  )
  AND NOT EXISTS (
    SELECT 1 FROM worker_manager_orders o WHERE o.worker_pool_id = c.worker_pool_id AND o.launch_config_id = c.launch_config_id
  )
ORDER BY worker_pool_id, launch_config_id LIMIT :limit

-- name: remove_launch_config
-- Forget a launch configuration that is still in the archive.
DELETE FROM worker_manager_launch_configs
WHERE worker_pool_id = :worker_pool_id AND launch_config_id = :launch_config_id AND archived = 1
