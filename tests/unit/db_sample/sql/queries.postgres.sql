-- name: slow_count
SELECT COUNT(*) FROM generate_series(1, 3000000)
