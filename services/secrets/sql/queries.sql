-- name: replace_secret
-- Put a new value under a name that holds a secret.
UPDATE secrets_secrets SET expires = :expires, sealed = :sealed WHERE name = :name

-- name: add_secret
-- Put a value under a name, whatever it holds.
INSERT INTO secrets_secrets (name, expires, sealed) VALUES (:name, :expires, :sealed)
ON CONFLICT (name) DO UPDATE SET expires = excluded.expires, sealed = excluded.sealed

-- name: remove_secret
-- Forget a secret.
DELETE FROM secrets_secrets WHERE name = :name

-- name: get_secret
-- A secret by its name, expired or not.
SELECT expires, sealed FROM secrets_secrets WHERE name = :name

-- name: list_secrets
-- Names of secrets that have not expired, in order, after a name.
SELECT name FROM secrets_secrets WHERE name > :after AND expires >= :now ORDER BY name LIMIT :limit

-- name: list_expired
-- Names of some secrets that have expired, the longest expired first.
SELECT name FROM secrets_secrets WHERE expires < :now ORDER BY expires LIMIT :limit

-- name: remove_expired
-- Forget a secret if it has expired.
DELETE FROM secrets_secrets WHERE name = :name AND expires < :now
