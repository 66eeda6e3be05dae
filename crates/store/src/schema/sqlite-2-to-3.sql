-- Whoever was logged in logs in once more: the older rows say neither from where nor how.
ALTER TABLE person ADD COLUMN status TEXT NOT NULL DEFAULT 'active';
ALTER TABLE person ADD COLUMN login_type TEXT NOT NULL DEFAULT 'password';
ALTER TABLE person ADD COLUMN subject TEXT;
ALTER TABLE person ADD COLUMN avatar_url TEXT NOT NULL DEFAULT '';
ALTER TABLE person ADD COLUMN last_seen_us INTEGER;
ALTER TABLE person ADD COLUMN updated_us INTEGER NOT NULL DEFAULT 0;
UPDATE person SET updated_us = created_us;
CREATE UNIQUE INDEX person_subject ON person (subject);
DROP TABLE session;
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
ALTER TABLE token ADD COLUMN expires_us INTEGER;
ALTER TABLE token ADD COLUMN last_used_us INTEGER;
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
