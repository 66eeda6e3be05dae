-- Texts are compared byte by byte, as SQLite does.
CREATE TABLE annals_format (
    id          bigint  PRIMARY KEY CHECK (id = 1),
    format      bigint  NOT NULL
);
CREATE TABLE head (
    id          bigint  PRIMARY KEY CHECK (id = 1),
    log_id      bytea   NOT NULL,
    created_us  bigint  NOT NULL,
    size        bigint  NOT NULL,
    root        bytea   NOT NULL,
    frontier    bytea   NOT NULL,
    sealed      bigint  NOT NULL DEFAULT 0,
    manifest    bigint  NOT NULL DEFAULT 0
);
CREATE TABLE tail (
    first_seq   bigint  PRIMARY KEY,
    event_count bigint  NOT NULL,
    batch       bytea   NOT NULL
);
CREATE TABLE tile (
    level       bigint  NOT NULL,
    tile_index  bigint  NOT NULL,
    hashes      bytea   NOT NULL,
    PRIMARY KEY (level, tile_index)
);
-- Not compressed: a batch is short-lived, hashes are random.
ALTER TABLE tail ALTER COLUMN batch SET STORAGE EXTERNAL;
ALTER TABLE tile ALTER COLUMN hashes SET STORAGE EXTERNAL;
CREATE TABLE segment (
    first_seq     bigint PRIMARY KEY,
    event_count   bigint NOT NULL,
    object        text   COLLATE "C" NOT NULL,
    bytes         bigint NOT NULL,
    sha256        bytea  NOT NULL,
    index_at      bigint NOT NULL,
    index_bytes   bigint NOT NULL,
    root          bytea  NOT NULL,
    min_time_us   bigint NOT NULL,
    max_time_us   bigint NOT NULL,
    min_id_ms     bigint,
    max_id_ms     bigint,
    has_other_ids bigint NOT NULL,
    sealed_us     bigint NOT NULL
);
-- Bytes rather than texts: a producer's id may hold a zero character, which PostgreSQL's texts cannot.
CREATE TABLE deleted (
    resource_type bytea  NOT NULL,
    resource_id   bytea  NOT NULL,
    time_us       bigint NOT NULL,
    seq           bigint NOT NULL,
    PRIMARY KEY (resource_type, resource_id)
);
CREATE TABLE person (
    id              text   COLLATE "C" PRIMARY KEY,
    username        text   COLLATE "C" NOT NULL,
    username_folded text   COLLATE "C" NOT NULL UNIQUE,
    email           text   COLLATE "C" NOT NULL,
    name            text   COLLATE "C" NOT NULL,
    role            text   COLLATE "C" NOT NULL,
    password_hash   text   COLLATE "C" NOT NULL,
    created_us      bigint NOT NULL,
    status          text   COLLATE "C" NOT NULL DEFAULT 'active',
    login_type      text   COLLATE "C" NOT NULL DEFAULT 'password',
    subject         text   COLLATE "C",
    avatar_url      text   COLLATE "C" NOT NULL DEFAULT '',
    last_seen_us    bigint,
    updated_us      bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX person_subject ON person (subject);
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
CREATE TABLE token (
    id           text   COLLATE "C" PRIMARY KEY,
    secret_hash  bytea NOT NULL UNIQUE,
    kind         text   COLLATE "C" NOT NULL,
    name         text   COLLATE "C" NOT NULL,
    owner_id     text   COLLATE "C" REFERENCES person (id),
    created_us   bigint NOT NULL,
    revoked_us   bigint,
    expires_us   bigint,
    last_used_us bigint
);
CREATE TABLE registry_document (
    version     bigint PRIMARY KEY,
    received_us bigint NOT NULL,
    authority   text   COLLATE "C" NOT NULL CHECK (authority IN ('application', 'operator')),
    source      text   COLLATE "C" NOT NULL,
    document    text   COLLATE "C" NOT NULL
);
CREATE TABLE secret (
    name        text  COLLATE "C" PRIMARY KEY,
    secret_hash bytea NOT NULL
);
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
