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
    created_us      INTEGER NOT NULL,
    status          TEXT    NOT NULL DEFAULT 'active',
    login_type      TEXT    NOT NULL DEFAULT 'password',
    subject         TEXT,
    avatar_url      TEXT    NOT NULL DEFAULT '',
    last_seen_us    INTEGER,
    updated_us      INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX person_subject ON person (subject);
CREATE TABLE session (
    secret_hash  BLOB    PRIMARY KEY,
    id           TEXT    NOT NULL UNIQUE,
    person_id    TEXT    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    created_us   INTEGER NOT NULL,
    expires_us   INTEGER NOT NULL,
    last_seen_us INTEGER NOT NULL,
    ip           TEXT    NOT NULL DEFAULT '',
    user_agent   TEXT    NOT NULL DEFAULT '',
    method       TEXT    NOT NULL
) STRICT;
CREATE INDEX session_person ON session (person_id);
CREATE TABLE token (
    id           TEXT    PRIMARY KEY,
    secret_hash  BLOB    NOT NULL UNIQUE,
    kind         TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    owner_id     TEXT    REFERENCES person (id),
    created_us   INTEGER NOT NULL,
    revoked_us   INTEGER,
    expires_us   INTEGER,
    last_used_us INTEGER
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
CREATE TABLE organization (
    id           TEXT    PRIMARY KEY,
    name         TEXT    NOT NULL,
    name_folded  TEXT    NOT NULL UNIQUE,
    display_name TEXT    NOT NULL,
    description  TEXT    NOT NULL,
    icon         TEXT    NOT NULL,
    created_us   INTEGER NOT NULL,
    updated_us   INTEGER NOT NULL
) STRICT;
CREATE TABLE organization_member (
    organization_id TEXT    NOT NULL REFERENCES organization (id) ON DELETE CASCADE,
    person_id       TEXT    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    role            TEXT    NOT NULL,
    created_us      INTEGER NOT NULL,
    updated_us      INTEGER NOT NULL,
    PRIMARY KEY (organization_id, person_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX organization_member_person ON organization_member (person_id);
CREATE TABLE person_group (
    id              TEXT    PRIMARY KEY,
    organization_id TEXT    NOT NULL REFERENCES organization (id) ON DELETE CASCADE,
    name            TEXT    NOT NULL,
    name_folded     TEXT    NOT NULL,
    display_name    TEXT    NOT NULL,
    avatar_url      TEXT    NOT NULL,
    role            TEXT    NOT NULL,
    quota_allowance INTEGER NOT NULL DEFAULT 0,
    created_us      INTEGER NOT NULL,
    updated_us      INTEGER NOT NULL,
    UNIQUE (organization_id, name_folded)
) STRICT;
CREATE TABLE group_member (
    group_id  TEXT NOT NULL REFERENCES person_group (id) ON DELETE CASCADE,
    person_id TEXT NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, person_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_member_person ON group_member (person_id);
CREATE TABLE setting (
    name       TEXT    PRIMARY KEY,
    value      TEXT    NOT NULL,
    updated_us INTEGER NOT NULL
) STRICT;
CREATE TABLE license (
    id       TEXT    PRIMARY KEY,
    jwt      TEXT    NOT NULL,
    added_us INTEGER NOT NULL
) STRICT;
CREATE TABLE login_failure (
    subject  TEXT    PRIMARY KEY,
    failures INTEGER NOT NULL,
    since_us INTEGER NOT NULL
) STRICT;
CREATE TABLE pending_login (
    state_hash BLOB    PRIMARY KEY,
    nonce      TEXT    NOT NULL,
    verifier   TEXT    NOT NULL,
    next       TEXT    NOT NULL,
    expires_us INTEGER NOT NULL
) STRICT;
CREATE TABLE saved_search (
    id          TEXT    PRIMARY KEY,
    owner_id    TEXT    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    name        TEXT    NOT NULL,
    name_folded TEXT    NOT NULL,
    query       TEXT    NOT NULL,
    is_shared   INTEGER NOT NULL,
    created_us  INTEGER NOT NULL,
    updated_us  INTEGER NOT NULL,
    UNIQUE (owner_id, name_folded)
) STRICT;
