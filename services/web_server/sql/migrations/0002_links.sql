-- needs: 0001
-- Links that sign the owner in, once, each as the SHA-256 of what it has behind its #.
CREATE TABLE web_server_links (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  link TEXT NOT NULL UNIQUE,
  made INTEGER NOT NULL,
  expires INTEGER NOT NULL
);
CREATE INDEX web_server_links_expires ON web_server_links (expires);
