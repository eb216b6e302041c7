-- name: put_request
-- Make a request, or give the one that is there a later time, later in any case than it had.
INSERT INTO purge_cache_requests (worker_pool_id, cache_name, before, expires)
VALUES (:worker_pool_id, :cache_name, :before, :expires)
ON CONFLICT (worker_pool_id, cache_name) DO UPDATE SET
  before = CASE WHEN excluded.before > purge_cache_requests.before THEN excluded.before ELSE purge_cache_requests.before + 1 END,
  expires = excluded.expires

-- name: list_requests
-- Requests that have not expired, in order, after one.
SELECT worker_pool_id, cache_name, before FROM purge_cache_requests
WHERE (worker_pool_id, cache_name) > (:worker_pool_id, :cache_name) AND expires > :now
ORDER BY worker_pool_id, cache_name LIMIT :limit

-- name: pool_requests
-- Requests for a pool since a time that have not expired, in order, from a cache's name on.
SELECT worker_pool_id, cache_name, before FROM purge_cache_requests
WHERE worker_pool_id = :worker_pool_id AND cache_name >= :first AND before >= :since AND expires > :now
ORDER BY cache_name LIMIT :limit

-- name: expire_requests
-- Forget some requests that have expired.
DELETE FROM purge_cache_requests WHERE (worker_pool_id, cache_name) IN (
  SELECT worker_pool_id, cache_name FROM purge_cache_requests WHERE expires < :now ORDER BY expires LIMIT :limit
)
