CREATE TABLE stream (
    id              text COLLATE "C" PRIMARY KEY,
    name            text COLLATE "C" NOT NULL,
    name_folded     text COLLATE "C" NOT NULL UNIQUE,
    kind            text COLLATE "C" NOT NULL,
    query           text COLLATE "C" NOT NULL,
    format          text COLLATE "C" NOT NULL,
    parallel        bigint NOT NULL,
    silence_s       bigint NOT NULL,
    settings        text COLLATE "C" NOT NULL,
    secrets         bytea    NOT NULL,
    made_by         bigint NOT NULL,
    is_paused       bigint NOT NULL,
    revision        bigint NOT NULL,
    created_us      bigint NOT NULL,
    updated_us      bigint NOT NULL,
    first_seq       bigint NOT NULL,
    -- From where on the query holds, and the query that was sent by.
    query_seq       bigint NOT NULL,
    sent_query      text COLLATE "C" NOT NULL,
    -- Only the sender whose number this is writes the columns below.
    sender          bigint NOT NULL,
    next_seq        bigint NOT NULL,
    delivered       bigint NOT NULL,
    acknowledged_us bigint NOT NULL,
    failing_us      bigint NOT NULL,
    attempts        bigint NOT NULL,
    failure         text COLLATE "C" NOT NULL,
    is_alerted      bigint NOT NULL
);
CREATE TABLE dead_letter (
    stream_id  text COLLATE "C" NOT NULL REFERENCES stream (id) ON DELETE CASCADE,
    seq        bigint NOT NULL,
    reason     text COLLATE "C" NOT NULL,
    attempts   bigint NOT NULL,
    refused_us bigint NOT NULL,
    is_due     bigint NOT NULL,
    PRIMARY KEY (stream_id, seq)
);
CREATE INDEX dead_letter_due ON dead_letter (stream_id, seq) WHERE is_due = 1;
CREATE TABLE stream_replay (
    stream_id  text COLLATE "C" NOT NULL REFERENCES stream (id) ON DELETE CASCADE,
    number     bigint NOT NULL,
    query      text COLLATE "C" NOT NULL,
    first_seq  bigint NOT NULL,
    next_seq   bigint NOT NULL,
    end_seq    bigint NOT NULL,
    delivered  bigint NOT NULL,
    created_us bigint NOT NULL,
    PRIMARY KEY (stream_id, number)
);
CREATE TABLE stream_manifest (
    stream_id   text COLLATE "C" NOT NULL REFERENCES stream (id) ON DELETE CASCADE,
    number      bigint NOT NULL,
    first_seq   bigint NOT NULL,
    last_seq    bigint NOT NULL,
    event_count bigint NOT NULL,
    body        text COLLATE "C" NOT NULL,
    note        text COLLATE "C" NOT NULL,
    is_sent     bigint NOT NULL,
    created_us  bigint NOT NULL,
    PRIMARY KEY (stream_id, number)
);
CREATE INDEX stream_manifest_open ON stream_manifest (stream_id, number) WHERE note = '';
CREATE INDEX stream_manifest_unsent ON stream_manifest (stream_id, number) WHERE is_sent = 0;
