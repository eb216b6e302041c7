-- needs: 0001
CREATE TABLE events_leases (
  name TEXT PRIMARY KEY,
  holder TEXT NOT NULL,
  beat BIGINT NOT NULL
);
CREATE TABLE events_removed (
  name TEXT PRIMARY KEY,
  id BIGINT NOT NULL
);
CREATE TABLE events_queues (
  name TEXT PRIMARY KEY,
  bound TEXT NOT NULL,
  forgotten INTEGER NOT NULL
);
CREATE INDEX events_queues_forgotten ON events_queues (forgotten, name);
