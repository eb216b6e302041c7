-- name: add_link
-- A link that signs the owner in.
INSERT INTO web_server_links (link, made, expires) VALUES (:link, :made, :expires)

-- name: use_link
-- Use a link up; changes nothing when it was used before, or is over.
DELETE FROM web_server_links WHERE link = :link AND expires > :now

-- name: remove_expired_links
-- Forget links that are over.
DELETE FROM web_server_links WHERE expires <= :now

-- name: remove_old_links
-- Forget all but the newest links.
DELETE FROM web_server_links WHERE number <= (SELECT max(number) FROM web_server_links) - :most
