-- name: get_client
-- One client.
SELECT client_id, description, token, expires, disabled, scopes, created, last_modified, last_date_used, last_rotated, delete_on_expiration
FROM auth_clients WHERE client_id = :client_id

-- name: lock_client
-- One client, kept as it is until the transaction's end.
SELECT client_id, description, token, expires, disabled, scopes, created, last_modified, last_date_used, last_rotated, delete_on_expiration
FROM auth_clients WHERE client_id = :client_id

-- name: list_clients
-- The clients between two ids, in order.
SELECT client_id, description, token, expires, disabled, scopes, created, last_modified, last_date_used, last_rotated, delete_on_expiration
FROM auth_clients WHERE client_id > :after AND client_id >= :first AND client_id < :beyond
ORDER BY client_id LIMIT :limit

-- name: add_client
-- Add a client, unless there is one of this id.
INSERT INTO auth_clients (client_id, description, token, expires, disabled, scopes, created, last_modified, last_date_used, last_rotated, delete_on_expiration)
VALUES (:client_id, :description, :token, :expires, 0, :scopes, :now, :now, :now, :now, :delete_on_expiration)
ON CONFLICT (client_id) DO NOTHING

-- name: update_client
-- Change what a client is.
UPDATE auth_clients SET description = :description, expires = :expires, scopes = :scopes,
  delete_on_expiration = :delete_on_expiration, last_modified = :now
WHERE client_id = :client_id

-- name: rotate_client
-- Give a client another access token.
UPDATE auth_clients SET token = :token, last_modified = :now, last_rotated = :now WHERE client_id = :client_id

-- name: disable_client
-- Turn a client off or on.
UPDATE auth_clients SET disabled = :disabled, last_modified = :now WHERE client_id = :client_id

-- name: delete_client
-- Remove a client.
DELETE FROM auth_clients WHERE client_id = :client_id

-- name: client_used
-- Note when a client was last used.
UPDATE auth_clients SET last_date_used = :used WHERE client_id = :client_id AND last_date_used < :used

-- name: expired_clients
-- Clients whose time is over and that are to be removed then.
SELECT client_id FROM auth_clients WHERE delete_on_expiration = 1 AND expires < :now ORDER BY expires LIMIT :limit

-- name: delete_expired_client
-- Remove a client if its time is still over.
DELETE FROM auth_clients WHERE client_id = :client_id AND delete_on_expiration = 1 AND expires < :now
