ALTER TABLE head ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE head ADD COLUMN manifest INTEGER NOT NULL DEFAULT 0;
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
