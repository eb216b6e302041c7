-- name: lock_pool
SELECT worker_pool_id, provider_id, previous_provider_ids, owner, email_on_error, created, last_modified, description, config
FROM worker_manager_pools WHERE worker_pool_id = :worker_pool_id FOR UPDATE
