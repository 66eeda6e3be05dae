CREATE TABLE stream (
    id              TEXT    PRIMARY KEY,
    name            TEXT    NOT NULL,
    name_folded     TEXT    NOT NULL UNIQUE,
    kind            TEXT    NOT NULL,
    query           TEXT    NOT NULL,
    format          TEXT    NOT NULL,
    parallel        INTEGER NOT NULL,
    silence_s       INTEGER NOT NULL,
    settings        TEXT    NOT NULL,
    secrets         BLOB    NOT NULL,
    made_by         INTEGER NOT NULL,
    is_paused       INTEGER NOT NULL,
    revision        INTEGER NOT NULL,
    created_us      INTEGER NOT NULL,
    updated_us      INTEGER NOT NULL,
    first_seq       INTEGER NOT NULL,
    -- From where on the query holds, and the query that was sent by.
    query_seq       INTEGER NOT NULL,
    sent_query      TEXT NOT NULL,
    -- Only the sender whose number this is writes the columns below.
    sender          INTEGER NOT NULL,
    next_seq        INTEGER NOT NULL,
    delivered       INTEGER NOT NULL,
    acknowledged_us INTEGER NOT NULL,
    failing_us      INTEGER NOT NULL,
    attempts        INTEGER NOT NULL,
    failure         TEXT    NOT NULL,
    is_alerted      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE dead_letter (
    stream_id  TEXT    NOT NULL REFERENCES stream (id) ON DELETE CASCADE,
    seq        INTEGER NOT NULL,
    reason     TEXT    NOT NULL,
    attempts   INTEGER NOT NULL,
    refused_us INTEGER NOT NULL,
    is_due     INTEGER NOT NULL,
    PRIMARY KEY (stream_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX dead_letter_due ON dead_letter (stream_id, seq) WHERE is_due = 1;
CREATE TABLE stream_replay (
    stream_id  TEXT    NOT NULL REFERENCES stream (id) ON DELETE CASCADE,
    number     INTEGER NOT NULL,
    query      TEXT    NOT NULL,
    first_seq  INTEGER NOT NULL,
    next_seq   INTEGER NOT NULL,
    end_seq    INTEGER NOT NULL,
    delivered  INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (stream_id, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE stream_manifest (
    stream_id   TEXT    NOT NULL REFERENCES stream (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL,
    first_seq   INTEGER NOT NULL,
    last_seq    INTEGER NOT NULL,
    event_count INTEGER NOT NULL,
    body        TEXT    NOT NULL,
    note        TEXT    NOT NULL,
    is_sent     INTEGER NOT NULL,
    created_us  INTEGER NOT NULL,
    PRIMARY KEY (stream_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX stream_manifest_open ON stream_manifest (stream_id, number) WHERE note = '';
CREATE INDEX stream_manifest_unsent ON stream_manifest (stream_id, number) WHERE is_sent = 0;
