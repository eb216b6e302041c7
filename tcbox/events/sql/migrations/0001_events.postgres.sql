CREATE TABLE events (
  id BIGINT PRIMARY KEY,
  exchange TEXT NOT NULL,
  routing_key TEXT NOT NULL,
  cc TEXT NOT NULL,
  payload TEXT NOT NULL,
  created BIGINT NOT NULL
);
CREATE TABLE events_positions (
  name TEXT PRIMARY KEY,
  position BIGINT NOT NULL
);
