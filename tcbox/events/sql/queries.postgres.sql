-- name: add_event
-- Write a message into the outbox; its id is the transaction's, and its place among the transaction's messages.
INSERT INTO events (id, exchange, routing_key, cc, payload, created)
SELECT coalesce(max(events.id) + 1, mine.first), :exchange, :routing_key, :cc, :payload, CAST(:created AS bigint)
FROM (SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint) << 20 AS first) AS mine
LEFT JOIN events ON events.id >= mine.first AND events.id < mine.first + 1048576
GROUP BY mine.first

-- name: events_after
-- The messages that follow an id, oldest first, up to the first that a transaction still under way may precede.
SELECT id, exchange, routing_key, cc, payload, created FROM events
WHERE id > :after AND id < CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) << 20
ORDER BY id LIMIT :limit

-- name: last_event
-- The newest message's id, of those that no transaction still under way may precede.
SELECT max(id) FROM events
WHERE id < CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) << 20
