-- Whoever was logged in logs in once more: the older rows say neither from where nor how.
ALTER TABLE person
    ADD COLUMN status       text COLLATE "C" NOT NULL DEFAULT 'active',
    ADD COLUMN login_type   text COLLATE "C" NOT NULL DEFAULT 'password',
    ADD COLUMN subject      text COLLATE "C",
    ADD COLUMN avatar_url   text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN last_seen_us bigint,
    ADD COLUMN updated_us   bigint NOT NULL DEFAULT 0;
UPDATE person SET updated_us = created_us;
CREATE UNIQUE INDEX person_subject ON person (subject);
DROP TABLE session;
CREATE TABLE session (
    secret_hash  bytea PRIMARY KEY,
    id           text   COLLATE "C" NOT NULL UNIQUE,
    person_id    text   COLLATE "C" NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    created_us   bigint NOT NULL,
    expires_us   bigint NOT NULL,
    last_seen_us bigint NOT NULL,
    ip           text   COLLATE "C" NOT NULL DEFAULT '',
    user_agent   text   COLLATE "C" NOT NULL DEFAULT '',
    method       text   COLLATE "C" NOT NULL
);
CREATE INDEX session_person ON session (person_id);
ALTER TABLE token ADD COLUMN expires_us bigint, ADD COLUMN last_used_us bigint;
CREATE TABLE organization (
    id           text   COLLATE "C" PRIMARY KEY,
    name         text   COLLATE "C" NOT NULL,
    name_folded  text   COLLATE "C" NOT NULL UNIQUE,
    display_name text   COLLATE "C" NOT NULL,
    description  text   COLLATE "C" NOT NULL,
    icon         text   COLLATE "C" NOT NULL,
    created_us   bigint NOT NULL,
    updated_us   bigint NOT NULL
);
CREATE TABLE organization_member (
    organization_id text   COLLATE "C" NOT NULL REFERENCES organization (id) ON DELETE CASCADE,
    person_id       text   COLLATE "C" NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    role            text   COLLATE "C" NOT NULL,
    created_us      bigint NOT NULL,
    updated_us      bigint NOT NULL,
    PRIMARY KEY (organization_id, person_id)
);
CREATE INDEX organization_member_person ON organization_member (person_id);
CREATE TABLE person_group (
    id              text   COLLATE "C" PRIMARY KEY,
    organization_id text   COLLATE "C" NOT NULL REFERENCES organization (id) ON DELETE CASCADE,
    name            text   COLLATE "C" NOT NULL,
    name_folded     text   COLLATE "C" NOT NULL,
    display_name    text   COLLATE "C" NOT NULL,
    avatar_url      text   COLLATE "C" NOT NULL,
    role            text   COLLATE "C" NOT NULL,
    quota_allowance bigint NOT NULL DEFAULT 0,
    created_us      bigint NOT NULL,
    updated_us      bigint NOT NULL,
    UNIQUE (organization_id, name_folded)
);
CREATE TABLE group_member (
    group_id  text   COLLATE "C" NOT NULL REFERENCES person_group (id) ON DELETE CASCADE,
    person_id text   COLLATE "C" NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, person_id)
);
CREATE INDEX group_member_person ON group_member (person_id);
CREATE TABLE setting (
    name       text   COLLATE "C" PRIMARY KEY,
    value      text   COLLATE "C" NOT NULL,
    updated_us bigint NOT NULL
);
CREATE TABLE license (
    id       text   COLLATE "C" PRIMARY KEY,
    jwt      text   COLLATE "C" NOT NULL,
    added_us bigint NOT NULL
);
CREATE TABLE login_failure (
    subject  text   COLLATE "C" PRIMARY KEY,
    failures bigint NOT NULL,
    since_us bigint NOT NULL
);
CREATE TABLE pending_login (
    state_hash bytea PRIMARY KEY,
    nonce      text   COLLATE "C" NOT NULL,
    verifier   text   COLLATE "C" NOT NULL,
    next       text   COLLATE "C" NOT NULL,
    expires_us bigint NOT NULL
);
CREATE TABLE saved_search (
    id          text   COLLATE "C" PRIMARY KEY,
    owner_id    text   COLLATE "C" NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    name        text   COLLATE "C" NOT NULL,
    name_folded text   COLLATE "C" NOT NULL,
    query       text   COLLATE "C" NOT NULL,
    is_shared   bigint NOT NULL,
    created_us  bigint NOT NULL,
    updated_us  bigint NOT NULL,
    UNIQUE (owner_id, name_folded)
);
