-- name: lock_client
SELECT client_id, description, token, expires, disabled, scopes, created, last_modified, last_date_used, last_rotated, delete_on_expiration
FROM auth_clients WHERE client_id = :client_id FOR UPDATE
