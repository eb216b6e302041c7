-- name: add_event
-- Write a message into the outbox.
INSERT INTO events (exchange, routing_key, cc, payload, created)
VALUES (:exchange, :routing_key, :cc, :payload, :created)

-- name: add_two_events
-- Write two messages into the outbox, in this order.
INSERT INTO events (exchange, routing_key, cc, payload, created)
VALUES (:exchange_1, :routing_key_1, :cc_1, :payload_1, :created), (:exchange_2, :routing_key_2, :cc_2, :payload_2, :created)

-- name: events_after
-- The messages that follow an id, oldest first.
SELECT id, exchange, routing_key, cc, payload, created FROM events
WHERE id > :after ORDER BY id LIMIT :limit

-- name: wanted_after
-- Of the messages that follow an id, a limited number, oldest first: those with custom routes, those to certain exchanges (a JSON
-- list), and, so that it is known how far this goes, the newest in any case.
SELECT id, exchange, routing_key, cc, payload, created FROM events
WHERE id > :after AND id <= (SELECT max(id) FROM (SELECT id FROM events WHERE id > :after ORDER BY id LIMIT :limit) AS following)
  AND (cc <> '[]' OR substr(routing_key, 1, 6) = 'route.' OR exchange IN (SELECT value FROM json_each(:exchanges))
    OR id = (SELECT max(id) FROM (SELECT id FROM events WHERE id > :after ORDER BY id LIMIT :limit) AS following))
ORDER BY id

-- name: last_event
-- The newest message's id.
SELECT max(id) FROM events

-- name: get_position
-- How far a durable subscriber has come.
SELECT position FROM events_positions WHERE name = :name

-- name: save_position
-- Keep how far a durable subscriber has come.
INSERT INTO events_positions (name, position) VALUES (:name, :position)
ON CONFLICT (name) DO UPDATE SET position = excluded.position

-- name: remove_position
-- Forget a durable subscriber.
DELETE FROM events_positions WHERE name = :name

-- name: slowest_position
-- How far the slowest durable subscriber has come, whether it runs or not.
SELECT min(position) FROM events_positions

-- name: expire_events
-- Remove the oldest messages, a limited number, if they are past their time and all subscribers have seen them.
DELETE FROM events WHERE id IN (
  SELECT id FROM (SELECT id, created FROM events ORDER BY id LIMIT :limit) AS oldest
  WHERE (created < :before AND id <= :until) OR created < :abandoned
)

-- name: last_expired
-- The newest of the messages that `expire_events` removes.
SELECT max(id) FROM (SELECT id, created FROM events ORDER BY id LIMIT :limit) AS oldest
WHERE (created < :before AND id <= :until) OR created < :abandoned

-- name: save_removed
-- Keep up to where messages have been removed.
INSERT INTO events_removed (name, id) VALUES ('all', :id)
ON CONFLICT (name) DO UPDATE SET id = CASE WHEN excluded.id > events_removed.id THEN excluded.id ELSE events_removed.id END

-- name: get_removed
-- Up to where messages have been removed.
SELECT id FROM events_removed WHERE name = 'all'

-- name: first_event
-- The oldest message's id.
SELECT min(id) FROM events
