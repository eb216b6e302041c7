CREATE TABLE purge_cache_requests (
    worker_pool_id TEXT NOT NULL,
    cache_name TEXT NOT NULL,
    before INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (worker_pool_id, cache_name)
) WITHOUT ROWID;
CREATE INDEX purge_cache_requests_expires ON purge_cache_requests (expires);
