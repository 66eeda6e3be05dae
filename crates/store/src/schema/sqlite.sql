CREATE TABLE head (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    log_id      BLOB    NOT NULL,
    created_us  INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    root        BLOB    NOT NULL,
    frontier    BLOB    NOT NULL,
    sealed      INTEGER NOT NULL DEFAULT 0,
    manifest    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE tail (
    first_seq   INTEGER PRIMARY KEY,
    event_count INTEGER NOT NULL,
    batch       BLOB    NOT NULL
) STRICT;
CREATE TABLE tile (
    level       INTEGER NOT NULL,
    tile_index  INTEGER NOT NULL,
    hashes      BLOB    NOT NULL,
    UNIQUE (level, tile_index)
) STRICT;
CREATE TABLE segment (
    first_seq     INTEGER PRIMARY KEY,
    event_count   INTEGER NOT NULL,
    object        TEXT    NOT NULL,
    bytes         INTEGER NOT NULL,
    sha256        BLOB    NOT NULL,
    index_at      INTEGER NOT NULL,
    index_bytes   INTEGER NOT NULL,
    root          BLOB    NOT NULL,
    min_time_us   INTEGER NOT NULL,
    max_time_us   INTEGER NOT NULL,
    min_id_ms     INTEGER,
    max_id_ms     INTEGER,
    has_other_ids INTEGER NOT NULL,
    sealed_us     INTEGER NOT NULL
) STRICT;
CREATE TABLE deleted (
    resource_type TEXT    NOT NULL,
    resource_id   TEXT    NOT NULL,
    time_us       INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    PRIMARY KEY (resource_type, resource_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE person (
    id              TEXT    PRIMARY KEY,
    username        TEXT    NOT NULL,
    username_folded TEXT    NOT NULL UNIQUE,
    email           TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    role            TEXT    NOT NULL,
    password_hash   TEXT    NOT NULL,
    created_us      INTEGER NOT NULL
) STRICT;
CREATE TABLE session (
    secret_hash BLOB    PRIMARY KEY,
    person_id   TEXT    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    created_us  INTEGER NOT NULL,
    expires_us  INTEGER NOT NULL
) STRICT;
CREATE TABLE token (
    id          TEXT    PRIMARY KEY,
    secret_hash BLOB    NOT NULL UNIQUE,
    kind        TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    owner_id    TEXT    REFERENCES person (id),
    created_us  INTEGER NOT NULL,
    revoked_us  INTEGER
) STRICT;
CREATE TABLE registry_document (
    version     INTEGER PRIMARY KEY,
    received_us INTEGER NOT NULL,
    authority   TEXT    NOT NULL CHECK (authority IN ('application', 'operator')),
    source      TEXT    NOT NULL,
    document    TEXT    NOT NULL
) STRICT;
CREATE TABLE secret (
    name        TEXT    PRIMARY KEY,
    secret_hash BLOB    NOT NULL
) STRICT;
