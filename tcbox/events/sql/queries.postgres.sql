-- name: events_after
-- The messages that follow an id, oldest first, up to the first that a transaction still under way may precede.
SELECT id, exchange, routing_key, cc, payload, created FROM events
WHERE id > :after AND xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY id LIMIT :limit
