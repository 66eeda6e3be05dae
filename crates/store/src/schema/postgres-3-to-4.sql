ALTER TABLE head ADD COLUMN rewritten bigint NOT NULL DEFAULT 0;
ALTER TABLE head ADD COLUMN dropped bigint NOT NULL DEFAULT 0;
CREATE TABLE epoch (
    number     bigint PRIMARY KEY,
    origin     text   COLLATE "C" NOT NULL,
    verifier   text   COLLATE "C" NOT NULL,
    first_size bigint NOT NULL,
    started_us bigint NOT NULL,
    reason     text   COLLATE "C" NOT NULL
);
CREATE TABLE checkpoint (
    number    bigint PRIMARY KEY,
    epoch     bigint NOT NULL REFERENCES epoch (number),
    size      bigint NOT NULL,
    signed_us bigint NOT NULL,
    note      text   COLLATE "C" NOT NULL
);
CREATE INDEX checkpoint_size ON checkpoint (size);
CREATE TABLE source (
    name       bytea  PRIMARY KEY,
    first_us   bigint NOT NULL,
    last_us    bigint NOT NULL,
    events     bigint NOT NULL,
    last_seq   bigint,
    repeats    bigint NOT NULL,
    missing    bigint NOT NULL,
    gaps       text   COLLATE "C" NOT NULL
);
