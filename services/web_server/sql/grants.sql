-- name: add_request
-- A web tool asks, and its user is asked.
INSERT INTO web_server_requests (request, session, details, expires) VALUES (:request, :session, :details, :expires)

-- name: get_request
-- What a web tool asks for, in the session that it was asked in.
SELECT details FROM web_server_requests WHERE request = :request AND session = :session AND expires > :now

-- name: remove_request
-- The user has answered.
DELETE FROM web_server_requests WHERE request = :request AND session = :session

-- name: remove_expired_requests
-- Forget questions that nobody has answered.
DELETE FROM web_server_requests WHERE expires <= :now

-- name: add_code
-- An authorization code for a web tool.
INSERT INTO web_server_codes (code, details, expires) VALUES (:code, :details, :expires)

-- name: use_code
-- Use a code; changes nothing when it was used before, or is over.
UPDATE web_server_codes SET used = 1 WHERE code = :code AND used = 0 AND expires > :now

-- name: get_code
-- What a code was given for, used or not.
SELECT details FROM web_server_codes WHERE code = :code

-- name: remove_tokens_of
-- Take back what was given for a code.
DELETE FROM web_server_tokens WHERE code = :code

-- name: remove_expired_codes
-- Forget codes that are over.
DELETE FROM web_server_codes WHERE expires <= :now

-- name: add_token
-- An access token for a web tool.
INSERT INTO web_server_tokens (token, code, details, expires) VALUES (:token, :code, :details, :expires)

-- name: get_token
-- What an access token stands for, unless it is over.
SELECT details FROM web_server_tokens WHERE token = :token AND expires > :now

-- name: remove_expired_tokens
-- Forget access tokens that are over.
DELETE FROM web_server_tokens WHERE expires <= :now
