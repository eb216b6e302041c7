-- name: add_session
-- Someone has signed in.
INSERT INTO web_server_sessions (session, identity, stamp, created, expires) VALUES (:session, :identity, :stamp, :now, :expires)

-- name: get_session
-- Who is signed in, unless the session is over.
SELECT identity, stamp, created, expires FROM web_server_sessions WHERE session = :session AND expires > :now

-- name: remove_session
-- Someone has signed out.
DELETE FROM web_server_sessions WHERE session = :session

-- name: remove_requests_of
-- What was asked in a session is no longer.
DELETE FROM web_server_requests WHERE session = :session

-- name: expired_sessions
-- Some sessions that are over, the oldest first.
SELECT session FROM web_server_sessions WHERE expires <= :now ORDER BY expires LIMIT :limit

-- name: set_github_token
-- With what GitHub is asked about a user from now on.
INSERT INTO web_server_github_tokens (user_id, sealed) VALUES (:user_id, :sealed)
ON CONFLICT (user_id) DO UPDATE SET sealed = excluded.sealed

-- name: get_github_token
-- With what GitHub is asked about a user.
SELECT sealed FROM web_server_github_tokens WHERE user_id = :user_id

-- name: remove_github_token
-- Forget what GitHub no longer takes, unless the user has signed in anew meanwhile.
DELETE FROM web_server_github_tokens WHERE user_id = :user_id AND sealed = :sealed
