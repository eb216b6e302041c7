CREATE TABLE events (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  exchange TEXT NOT NULL,
  routing_key TEXT NOT NULL,
  cc TEXT NOT NULL,
  payload TEXT NOT NULL,
  created INTEGER NOT NULL
);
CREATE TABLE events_positions (
  name TEXT PRIMARY KEY,
  position INTEGER NOT NULL
);
