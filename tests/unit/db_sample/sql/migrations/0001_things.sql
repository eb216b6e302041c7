-- Things; a made-up service's only table.
CREATE TABLE sample_things (
    key TEXT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL,
    body BLOB,
    made BIGINT NOT NULL  -- INTEGER milliseconds; "WITHOUT ROWID"
) STRICT, WITHOUT ROWID;
CREATE INDEX sample_things_number ON sample_things (number);
