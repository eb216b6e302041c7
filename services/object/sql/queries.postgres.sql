-- name: lock_object
SELECT name, project_id, backend, location, upload_id, expires, hashes, removed FROM object_objects WHERE name = :name FOR UPDATE
