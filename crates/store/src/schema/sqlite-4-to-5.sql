ALTER TABLE head ADD COLUMN pruned INTEGER NOT NULL DEFAULT 0;
CREATE TABLE node (
    level      INTEGER NOT NULL,
    node_index INTEGER NOT NULL,
    hash       BLOB    NOT NULL,
    PRIMARY KEY (level, node_index)
) STRICT, WITHOUT ROWID;
