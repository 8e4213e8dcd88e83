-- Events of a day lie by (ts, id), and the ids that a server or an import made are numbers. There has been no release with
-- days in the old layout, so they are not converted.

CREATE TRIGGER old_layout BEFORE DELETE ON days BEGIN
    SELECT RAISE(ABORT, 'this database holds events in the layout of a pre-release: move the data directory away and import the logs again');
END;
DELETE FROM days;
DROP TRIGGER old_layout;

-- has_text_ids: some ids of the day are not '<timestamp>-<16 hex digits>'.
ALTER TABLE days RENAME COLUMN has_foreign TO has_text_ids;

-- Ids that do not begin with their own timestamp, by XXH64, and where the event lies.
DROP TABLE foreign_ids;
CREATE TABLE foreign_ids (
    hash      INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    PRIMARY KEY (hash, timestamp)
) WITHOUT ROWID;
