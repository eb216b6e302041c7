-- Whoever is signed in; "stamp" is of what the sign-in stands on, so that it ends when that is changed. What a browser shows, and what web tools are given, stands here only as its SHA-256.
CREATE TABLE web_server_sessions (
  session TEXT PRIMARY KEY,
  identity TEXT NOT NULL,
  stamp TEXT NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL
);
CREATE INDEX web_server_sessions_expires ON web_server_sessions (expires);

-- With what GitHub is asked about a user who has signed in by it; sealed.
CREATE TABLE web_server_github_tokens (
  user_id INTEGER PRIMARY KEY,
  sealed BLOB NOT NULL
);

-- What a web tool asks for, while its user is being asked for consent. It belongs to the session it was asked in.
CREATE TABLE web_server_requests (
  request TEXT PRIMARY KEY,
  session TEXT NOT NULL,
  details TEXT NOT NULL,
  expires INTEGER NOT NULL
);
CREATE INDEX web_server_requests_session ON web_server_requests (session);
CREATE INDEX web_server_requests_expires ON web_server_requests (expires);

-- Authorization codes. A used one stays until it expires, so that its second use is noticed.
CREATE TABLE web_server_codes (
  code TEXT PRIMARY KEY,
  used INTEGER NOT NULL DEFAULT 0,
  details TEXT NOT NULL,
  expires INTEGER NOT NULL
);
CREATE INDEX web_server_codes_expires ON web_server_codes (expires);

-- Access tokens of web tools, each with the code that it was given for, if any.
CREATE TABLE web_server_tokens (
  token TEXT PRIMARY KEY,
  code TEXT NOT NULL,
  details TEXT NOT NULL,
  expires INTEGER NOT NULL
);
CREATE INDEX web_server_tokens_code ON web_server_tokens (code);
CREATE INDEX web_server_tokens_expires ON web_server_tokens (expires);
