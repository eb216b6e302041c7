-- The sealed value stands last, so that reading names and times does not read it.
CREATE TABLE secrets_secrets (
  name TEXT PRIMARY KEY,
  expires INTEGER NOT NULL,
  sealed BLOB NOT NULL
);
CREATE INDEX secrets_secrets_expires ON secrets_secrets (expires);

CREATE TABLE secrets_history (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  client_id TEXT NOT NULL,
  action TEXT NOT NULL,
  created INTEGER NOT NULL
);
