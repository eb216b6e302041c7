-- name: add_event
-- Write a message into the outbox; its id is the transaction's, and its place among the transaction's messages.
INSERT INTO events (id, exchange, routing_key, cc, payload, created)
SELECT coalesce(max(events.id) + 1, mine.first), :exchange, :routing_key, :cc, :payload, CAST(:created AS bigint)
FROM (SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint) << 20 AS first) AS mine
LEFT JOIN events ON events.id >= mine.first AND events.id < mine.first + 1048576
GROUP BY mine.first

-- name: add_two_events
-- Write two messages into the outbox, in this order; their ids are the transaction's, as with one.
WITH next AS (
  SELECT coalesce(max(events.id) + 1, mine.first) AS id
  FROM (SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint) << 20 AS first) AS mine
  LEFT JOIN events ON events.id >= mine.first AND events.id < mine.first + 1048576
  GROUP BY mine.first
)
INSERT INTO events (id, exchange, routing_key, cc, payload, created)
SELECT id, :exchange_1, :routing_key_1, :cc_1, :payload_1, CAST(:created AS bigint) FROM next
UNION ALL
SELECT id + 1, :exchange_2, :routing_key_2, :cc_2, :payload_2, CAST(:created AS bigint) FROM next

-- name: events_after
-- The messages that follow an id, oldest first, up to the first that a transaction still under way may precede.
SELECT id, exchange, routing_key, cc, payload, created FROM events
WHERE id > :after AND id < CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) << 20
ORDER BY id LIMIT :limit

-- name: wanted_after
-- The same, of those with custom routes, or to certain exchanges (a JSON list), and the newest in any case.
SELECT e.id, e.exchange, e.routing_key, e.cc, e.payload, e.created
FROM (
  SELECT max(id) AS id FROM (
    SELECT id FROM events
    WHERE id > :after AND id < CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) << 20
    ORDER BY id LIMIT :limit
  ) AS following
) AS newest
JOIN events AS e ON e.id > :after AND e.id <= newest.id
WHERE e.cc <> '[]' OR substr(e.routing_key, 1, 6) = 'route.' OR e.id = newest.id
  OR e.exchange IN (SELECT jsonb_array_elements_text(CAST(CAST(:exchanges AS TEXT) AS jsonb)))
ORDER BY e.id

-- name: last_event
-- The newest message's id, of those that no transaction still under way may precede.
SELECT max(id) FROM events
WHERE id < CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) << 20
