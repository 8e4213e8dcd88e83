-- The fixed tables. A day of events has two more of its own, events_YYYYMMDD and words_YYYYMMDD, and the
-- view traffic_events over all days is made anew whenever a day comes or goes.

CREATE TABLE positions (
    partition INTEGER PRIMARY KEY,
    position  INTEGER NOT NULL,
    watermark INTEGER NOT NULL
);

CREATE TABLE redo (
    partition      INTEGER NOT NULL,
    first_position INTEGER NOT NULL,
    next_position  INTEGER NOT NULL,
    count          INTEGER NOT NULL,
    fresh          BLOB NOT NULL,
    PRIMARY KEY (partition, first_position)
) WITHOUT ROWID;

-- has_foreign: some ids of the day do not begin with their own timestamp.
CREATE TABLE days (
    day         INTEGER PRIMARY KEY,
    has_foreign INTEGER NOT NULL DEFAULT 0
);

-- Ids that do not begin with their own timestamp, by XXH64, and the day that holds the event.
CREATE TABLE foreign_ids (
    hash INTEGER PRIMARY KEY,
    day  INTEGER NOT NULL
);

-- misdated: some id begins with a timestamp that is not its event's.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- sum, min and max are microseconds; response_samples is microseconds in order of the sample key;
-- methods is like 'GET:12,POST:1', events without a method are in none; created_at and updated_at are milliseconds since 1970.
CREATE TABLE path_stats_hourly (
    path                TEXT NOT NULL,
    hour_bucket         TEXT NOT NULL,
    requests            INTEGER NOT NULL,
    errors              INTEGER NOT NULL,
    sum_response_time   INTEGER NOT NULL,
    count_response_time INTEGER NOT NULL,
    min_response_time   INTEGER,
    max_response_time   INTEGER,
    response_samples    TEXT NOT NULL,
    sample_keys         BLOB NOT NULL,
    ip_hashes           BLOB NOT NULL,
    latency_sketch      BLOB NOT NULL,
    methods             TEXT NOT NULL,
    unique_ips_seen     INTEGER NOT NULL,
    unique_ips_estimate INTEGER NOT NULL,
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL,
    UNIQUE (hour_bucket, path)
);

CREATE TABLE archive_metadata (
    date            TEXT PRIMARY KEY,
    r2_path         TEXT,
    record_count    INTEGER,
    file_size_bytes INTEGER,
    archived_at     INTEGER,
    status          TEXT NOT NULL,
    sha256          TEXT,
    error           TEXT
) WITHOUT ROWID;

CREATE VIEW traffic_events AS
SELECT NULL AS id, NULL AS path, NULL AS method, NULL AS status, NULL AS response_time,
       NULL AS client_ip_hash, NULL AS timestamp, NULL AS event_date, NULL AS user_agent,
       NULL AS country, NULL AS is_error
 WHERE 0;
