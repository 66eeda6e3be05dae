ALTER TABLE head ADD COLUMN pruned bigint NOT NULL DEFAULT 0;
CREATE TABLE node (
    level      bigint NOT NULL,
    node_index bigint NOT NULL,
    hash       bytea  NOT NULL,
    PRIMARY KEY (level, node_index)
);
