-- Addresses that nothing is sent to.
CREATE TABLE notify_denylist (
  notification_type TEXT NOT NULL,
  notification_address TEXT NOT NULL,
  PRIMARY KEY (notification_type, notification_address)
);
-- What was accepted lately, by which duplicates and too many mails to an address are told.
CREATE TABLE notify_accepted (
  digest TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  address TEXT NOT NULL,
  accepted INTEGER NOT NULL
);
CREATE INDEX notify_accepted_address ON notify_accepted (kind, address, accepted);
CREATE INDEX notify_accepted_accepted ON notify_accepted (accepted);
-- What is on its way. While somebody delivers a row, it is due only when that must have ended.
CREATE TABLE notify_outbox (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL,
  digest TEXT NOT NULL,
  kind TEXT NOT NULL,
  address TEXT NOT NULL,
  remaining INTEGER NOT NULL,
  accepted INTEGER NOT NULL,
  due INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  error TEXT NOT NULL,
  content TEXT NOT NULL
);
CREATE UNIQUE INDEX notify_outbox_id ON notify_outbox (id);
CREATE INDEX notify_outbox_due ON notify_outbox (kind, due, number);
CREATE INDEX notify_outbox_address ON notify_outbox (kind, address);
CREATE INDEX notify_outbox_accepted ON notify_outbox (accepted);
