-- name: holds_lease
SELECT 1 AS there FROM worker_manager_leases WHERE name = :name AND holder = :holder AND until >= :now FOR UPDATE
