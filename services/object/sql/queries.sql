-- name: add_object
-- Begin an upload, unless its name or its uploadId is taken.
INSERT INTO object_objects (name, project_id, backend, location, upload_id, upload_expires, expires, hashes)
VALUES (:name, :project_id, :backend, :location, :upload_id, :upload_expires, :expires, '{}')
ON CONFLICT DO NOTHING

-- name: get_object
-- An object by its name.
SELECT name, project_id, backend, location, upload_id, expires, hashes, removed FROM object_objects WHERE name = :name

-- name: lock_object
-- An object by its name, which stays as it is until the transaction ends.
SELECT name, project_id, backend, location, upload_id, expires, hashes, removed FROM object_objects WHERE name = :name

-- name: renew_upload
-- Keep the hashes that are known of an upload under way, where its bytes are to go now, and give it more time.
UPDATE object_objects SET hashes = :hashes, backend = :backend, upload_expires = :upload_expires WHERE name = :name

-- name: move_object
-- Note that an object's bytes have been copied to another place, unless that has been noted already.
UPDATE object_objects SET backend = :target WHERE name = :name AND backend = :source

-- name: finish_upload
-- Make an upload an object that can be downloaded.
UPDATE object_objects SET hashes = :hashes, upload_id = NULL, upload_expires = NULL WHERE name = :name

-- name: mark_expired
-- Take some objects and uploads that have expired out of use.
UPDATE object_objects SET removed = 1, upload_id = NULL, upload_expires = NULL WHERE name IN (
  SELECT name FROM object_objects
  WHERE removed = 0 AND (expires < :now OR upload_expires < :now) LIMIT :limit
) AND removed = 0 AND (expires < :now OR upload_expires < :now)

-- name: list_removed
-- Objects out of use whose bytes are still to go, in order, after a name.
SELECT name, backend, location FROM object_objects WHERE removed = 1 AND name > :after ORDER BY name LIMIT :limit

-- name: forget_object
-- Forget an object whose bytes are gone.
DELETE FROM object_objects WHERE name = :name AND removed = 1
