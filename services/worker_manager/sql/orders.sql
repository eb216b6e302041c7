-- name: add_order
-- Write down that a provider is about to be asked for machines.
INSERT INTO worker_manager_orders (token, worker_pool_id, provider_id, launch_config_id, machines, capacity, created)
VALUES (:token, :worker_pool_id, :provider_id, :launch_config_id, :machines, :capacity, :now)

-- name: list_orders
-- The orders of a pool that are not settled, the oldest first.
SELECT token, worker_pool_id, provider_id, launch_config_id, machines, capacity, created FROM worker_manager_orders
WHERE worker_pool_id = :worker_pool_id ORDER BY created LIMIT :limit

-- name: end_order
-- An order is settled.
DELETE FROM worker_manager_orders WHERE token = :token

-- name: has_order
-- Whether a provider has an order of a pool that is not settled.
SELECT 1 AS there FROM worker_manager_orders WHERE worker_pool_id = :worker_pool_id AND provider_id = :provider_id LIMIT 1

-- name: take_lease
-- Take a lease, or prolong one's own, unless another holds it.
INSERT INTO worker_manager_leases (name, holder, until) VALUES (:name, :holder, :until)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE worker_manager_leases.until < :now OR worker_manager_leases.holder = excluded.holder

-- name: holds_lease
-- Whether one holds a lease.
SELECT 1 AS there FROM worker_manager_leases WHERE name = :name AND holder = :holder AND until >= :now

-- name: end_lease
-- Give a lease back.
DELETE FROM worker_manager_leases WHERE name = :name AND holder = :holder

-- name: expire_leases
-- Forget leases that have ended long ago.
DELETE FROM worker_manager_leases WHERE until < :before
