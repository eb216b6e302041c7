-- name: add_worker
-- Write a worker, unless there is one of its name.
INSERT INTO worker_manager_workers (worker_pool_id, worker_group, worker_id, provider_id, launch_config_id, state, capacity, created, expires, last_modified,
  last_checked, registered, terminate_after, reregistration_timeout, queue_inactivity_timeout, terminate, reason, secret,
  static_secret, provider_data, worker_config)
VALUES (:worker_pool_id, :worker_group, :worker_id, :provider_id, :launch_config_id, :state, :capacity, :now, :expires, :now,
  :now, NULL, :terminate_after, :reregistration_timeout, :queue_inactivity_timeout, NULL, NULL, NULL,
  :static_secret, :provider_data, :worker_config)
ON CONFLICT (worker_pool_id, worker_group, worker_id) DO NOTHING

-- name: get_worker
-- One worker.
SELECT worker_pool_id, worker_group, worker_id, provider_id, launch_config_id, state, capacity, created, expires, last_modified,
  last_checked, registered, terminate_after, reregistration_timeout, queue_inactivity_timeout, terminate, reason, secret,
  static_secret, provider_data, worker_config
FROM worker_manager_workers WHERE worker_pool_id = :worker_pool_id AND worker_group = :worker_group AND worker_id = :worker_id

-- name: list_workers
-- A pool's workers, the latest first, before one; with a state or a launch configuration, only those of that.
SELECT worker_pool_id, worker_group, worker_id, provider_id, launch_config_id, state, capacity, created, expires, last_modified,
  last_checked, registered, terminate_after, reregistration_timeout, queue_inactivity_timeout, terminate, reason, secret,
  static_secret, provider_data, worker_config
FROM worker_manager_workers
WHERE worker_pool_id = :worker_pool_id AND (created, worker_group, worker_id) < (:created, :worker_group, :worker_id)
  AND (:state = '' OR state = :state) AND (:launch_config_id = '' OR launch_config_id = :launch_config_id)
ORDER BY created DESC, worker_group DESC, worker_id DESC LIMIT :limit

-- name: list_group
-- The workers of one group of a pool by id, after one.
SELECT worker_pool_id, worker_group, worker_id, provider_id, launch_config_id, state, capacity, created, expires, last_modified,
  last_checked, registered, terminate_after, reregistration_timeout, queue_inactivity_timeout, terminate, reason, secret,
  static_secret, provider_data, worker_config
FROM worker_manager_workers WHERE worker_pool_id = :worker_pool_id AND worker_group = :worker_group AND worker_id > :after
ORDER BY worker_id LIMIT :limit

-- name: list_by_name
-- A pool's workers by group and id, after one.
SELECT worker_pool_id, worker_group, worker_id, provider_id, launch_config_id, state, capacity, created, expires, last_modified,
  last_checked, registered, terminate_after, reregistration_timeout, queue_inactivity_timeout, terminate, reason, secret,
  static_secret, provider_data, worker_config
FROM worker_manager_workers WHERE worker_pool_id = :worker_pool_id AND (worker_group, worker_id) > (:after_group, :after_id)
ORDER BY worker_group, worker_id LIMIT :limit

-- name: live_workers
-- Workers of all pools that have not stopped and whose machines are looked after here, by name, after one.
SELECT worker_pool_id, worker_group, worker_id, provider_id, launch_config_id, state, capacity, created, expires, last_modified,
  last_checked, registered, terminate_after, reregistration_timeout, queue_inactivity_timeout, terminate, reason, secret,
  static_secret, provider_data, worker_config
FROM worker_manager_workers
WHERE state <> 'stopped' AND terminate_after IS NOT NULL AND (worker_pool_id, worker_group, worker_id) > (:after_pool, :after_group, :after_id)
ORDER BY worker_pool_id, worker_group, worker_id LIMIT :limit

-- name: live_workers_of
-- A pool's workers that have not stopped, by name, after one.
SELECT worker_pool_id, worker_group, worker_id, provider_id, launch_config_id, state, capacity, created, expires, last_modified,
  last_checked, registered, terminate_after, reregistration_timeout, queue_inactivity_timeout, terminate, reason, secret,
  static_secret, provider_data, worker_config
FROM worker_manager_workers
WHERE state <> 'stopped' AND worker_pool_id = :worker_pool_id AND (worker_group, worker_id) > (:after_group, :after_id)
ORDER BY worker_group, worker_id LIMIT :limit

-- name: numbers
-- How many workers, and of which capacity, are in each state, for each launch configuration of the pools between two names.
SELECT worker_pool_id, launch_config_id, state, count(*) AS workers, CAST(sum(capacity) AS BIGINT) AS capacity
FROM worker_manager_workers WHERE worker_pool_id >= :first AND worker_pool_id <= :last
GROUP BY worker_pool_id, launch_config_id, state ORDER BY worker_pool_id, launch_config_id, state

-- name: change_worker
-- Replace what is said of a worker that was made by hand.
UPDATE worker_manager_workers SET expires = :expires, capacity = :capacity, static_secret = :static_secret, last_modified = :now
WHERE worker_pool_id = :worker_pool_id AND worker_group = :worker_group AND worker_id = :worker_id

-- name: register_worker
-- A worker has registered, if it is in the state in which it may.
UPDATE worker_manager_workers SET state = 'running', registered = :now, secret = :secret, terminate_after = :terminate_after, last_modified = :now
WHERE worker_pool_id = :worker_pool_id AND worker_group = :worker_group AND worker_id = :worker_id AND state = :state AND expires >= :now

-- name: reregister_worker
-- A worker has registered again, if it runs and has the secret from the last time.
UPDATE worker_manager_workers SET secret = :secret,
  terminate_after = CASE WHEN terminate_after IS NULL THEN NULL ELSE CAST(:terminate_after AS BIGINT) END
WHERE worker_pool_id = :worker_pool_id AND worker_group = :worker_group AND worker_id = :worker_id
  AND secret = :known AND state = 'running' AND expires >= :now

-- name: begin_removal
-- A worker's machine is to go, if it is not going already.
UPDATE worker_manager_workers SET state = 'stopping', last_modified = :now
WHERE worker_pool_id = :worker_pool_id AND worker_group = :worker_group AND worker_id = :worker_id AND state IN ('requested', 'running')

-- name: stop_worker
-- A worker's machine is gone.
UPDATE worker_manager_workers SET state = 'stopped', last_modified = :now, last_checked = :now
WHERE worker_pool_id = :worker_pool_id AND worker_group = :worker_group AND worker_id = :worker_id AND state <> 'stopped'

-- name: check_worker
-- A worker's machine was looked at, and is there.
UPDATE worker_manager_workers SET last_checked = :now, expires = CASE WHEN expires < :soon THEN :later ELSE expires END, provider_data = :provider_data
WHERE worker_pool_id = :worker_pool_id AND worker_group = :worker_group AND worker_id = :worker_id

-- name: decide_worker
-- Say whether a worker is still needed, and why.
UPDATE worker_manager_workers SET terminate = :terminate, reason = :reason
WHERE worker_pool_id = :worker_pool_id AND worker_group = :worker_group AND worker_id = :worker_id

-- name: expired_workers
-- Some workers that have expired, the longest expired first, after one.
SELECT worker_pool_id, worker_group, worker_id, provider_id, launch_config_id, state, capacity, created, expires, last_modified,
  last_checked, registered, terminate_after, reregistration_timeout, queue_inactivity_timeout, terminate, reason, secret,
  static_secret, provider_data, worker_config
FROM worker_manager_workers
WHERE expires < :now AND (expires, worker_pool_id, worker_group, worker_id) > (:expires, :after_pool, :after_group, :after_id)
ORDER BY expires, worker_pool_id, worker_group, worker_id LIMIT :limit

-- name: remove_expired_worker
-- Forget a worker, if it has expired.
DELETE FROM worker_manager_workers
WHERE worker_pool_id = :worker_pool_id AND worker_group = :worker_group AND worker_id = :worker_id AND expires < :now

-- name: has_live_worker
-- Whether a provider has a worker in a pool that has not stopped.
SELECT 1 AS there FROM worker_manager_workers
WHERE state <> 'stopped' AND worker_pool_id = :worker_pool_id AND provider_id = :provider_id LIMIT 1

-- name: has_live_machine
-- Whether a provider has a worker of a group and id, in whatever pool, that has not stopped.
SELECT 1 AS there FROM worker_manager_workers
WHERE worker_id = :worker_id AND worker_group = :worker_group AND provider_id = :provider_id AND state <> 'stopped' LIMIT 1
