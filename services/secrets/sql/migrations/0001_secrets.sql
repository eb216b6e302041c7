-- The sealed value stands last, so that reading names and times does not read it.
CREATE TABLE secrets_secrets (
  name TEXT PRIMARY KEY,
  expires INTEGER NOT NULL,
  sealed BLOB NOT NULL
);
CREATE INDEX secrets_secrets_expires ON secrets_secrets (expires);
