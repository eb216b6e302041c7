-- An upload under way has an upload_id; a finished object has none. A row that is `removed` waits for its bytes to go.
CREATE TABLE object_objects (
  name TEXT PRIMARY KEY,
  project_id TEXT NOT NULL,
  backend TEXT NOT NULL,
  location TEXT NOT NULL,
  upload_id TEXT,
  upload_expires INTEGER,
  expires INTEGER NOT NULL,
  hashes TEXT NOT NULL,
  removed INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX object_objects_upload_id ON object_objects (upload_id);
CREATE INDEX object_objects_expires ON object_objects (expires);
CREATE INDEX object_objects_upload_expires ON object_objects (upload_expires) WHERE upload_expires IS NOT NULL;
CREATE INDEX object_objects_removed ON object_objects (name) WHERE removed = 1;
