-- name: deny
-- Put an address on the denylist, if it is not there.
INSERT INTO notify_denylist (notification_type, notification_address) VALUES (:kind, :address) ON CONFLICT DO NOTHING

-- name: allow
-- Take an address off the denylist.
DELETE FROM notify_denylist WHERE notification_type = :kind AND notification_address = :address

-- name: denied
-- Whether an address is on the denylist.
SELECT 1 FROM notify_denylist WHERE notification_type = :kind AND notification_address = :address

-- name: list_denied
-- Addresses on the denylist, in order, after one.
SELECT notification_type, notification_address FROM notify_denylist
WHERE (notification_type, notification_address) > (:kind, :address)
ORDER BY notification_type, notification_address LIMIT :limit
