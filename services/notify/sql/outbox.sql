-- name: accept
-- Note a notification as accepted; changes nothing when the same was accepted after `since`.
INSERT INTO notify_accepted (digest, kind, address, accepted) VALUES (:digest, :kind, :address, :now)
ON CONFLICT (digest) DO UPDATE SET accepted = excluded.accepted WHERE notify_accepted.accepted <= :since

-- name: count_accepted
-- How many were accepted for an address after a time; counts no further than a limit.
SELECT count(*) FROM (
  SELECT 1 FROM notify_accepted WHERE kind = :kind AND address = :address AND accepted > :since LIMIT :limit
) AS counted

-- name: was_accepted
-- Whether the same was accepted after a time.
SELECT 1 FROM notify_accepted WHERE digest = :digest AND accepted > :since

-- name: forget_accepted
-- Take back that a notification was accepted.
DELETE FROM notify_accepted WHERE digest = :digest

-- name: expire_accepted
-- Forget some that were accepted before a time.
DELETE FROM notify_accepted WHERE digest IN (SELECT digest FROM notify_accepted WHERE accepted < :before ORDER BY accepted LIMIT :limit)

-- name: add_delivery
-- Put a notification on its way.
INSERT INTO notify_outbox (id, digest, kind, address, remaining, accepted, due, attempts, error, content)
VALUES (:id, :digest, :kind, :address, :remaining, :now, :due, 0, '', :content)

-- name: due_deliveries
-- Some deliveries of a kind that are due, the longest due first.
SELECT id, kind, address, remaining, accepted, due, attempts, content FROM notify_outbox
WHERE kind = :kind AND due <= :now ORDER BY due, number LIMIT :limit

-- name: hold_delivery
-- Keep a delivery from others until a time, unless another was faster.
UPDATE notify_outbox SET due = :until WHERE id = :id AND due = :due

-- name: put_off_delivery
-- Try a delivery again at a time.
UPDATE notify_outbox SET due = :due, attempts = :attempts, error = :error WHERE id = :id

-- name: release_delivery
-- Give a delivery back that was not tried.
UPDATE notify_outbox SET due = :due WHERE id = :id

-- name: end_delivery
-- A delivery has come to its end.
DELETE FROM notify_outbox WHERE id = :id

-- name: end_deliveries
-- All deliveries to an address have come to their end.
DELETE FROM notify_outbox WHERE kind = :kind AND address = :address

-- name: next_due
-- When the next delivery of a kind is due.
SELECT due FROM notify_outbox WHERE kind = :kind ORDER BY due LIMIT 1

-- name: count_waiting
-- How many deliveries of a kind wait; counts no further than a limit.
SELECT count(*) FROM (SELECT 1 FROM notify_outbox WHERE kind = :kind LIMIT :limit) AS counted

-- name: overdue_deliveries
-- Some deliveries that were accepted before a time.
SELECT id, kind, address, attempts, error FROM notify_outbox WHERE accepted < :before ORDER BY accepted LIMIT :limit
