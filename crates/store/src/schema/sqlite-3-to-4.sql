ALTER TABLE head ADD COLUMN rewritten INTEGER NOT NULL DEFAULT 0;
ALTER TABLE head ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;
CREATE TABLE epoch (
    number     INTEGER PRIMARY KEY,
    origin     TEXT    NOT NULL,
    verifier   TEXT    NOT NULL,
    first_size INTEGER NOT NULL,
    started_us INTEGER NOT NULL,
    reason     TEXT    NOT NULL
) STRICT;
CREATE TABLE checkpoint (
    number    INTEGER PRIMARY KEY,
    epoch     INTEGER NOT NULL REFERENCES epoch (number),
    size      INTEGER NOT NULL,
    signed_us INTEGER NOT NULL,
    note      TEXT    NOT NULL
) STRICT;
CREATE INDEX checkpoint_size ON checkpoint (size);
CREATE TABLE source (
    name       TEXT    PRIMARY KEY,
    first_us   INTEGER NOT NULL,
    last_us    INTEGER NOT NULL,
    events     INTEGER NOT NULL,
    last_seq   INTEGER,
    repeats    INTEGER NOT NULL,
    missing    INTEGER NOT NULL,
    gaps       TEXT    NOT NULL
) STRICT;
