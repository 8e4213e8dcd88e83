-- The statistics as the store keeps them, and as people read them. There has been no release with rows in the old
-- layout, so they are not converted.

CREATE TRIGGER old_rows BEFORE DELETE ON path_stats_hourly BEGIN
    SELECT RAISE(ABORT, 'this database holds statistics in the layout of a pre-release: move the data directory away and import the logs again');
END;
DELETE FROM path_stats_hourly;
DROP TRIGGER old_rows;
DROP TABLE path_stats_hourly;

-- Times are microseconds; samples is microseconds in order of the sample key; sample_keys and clients are u64
-- little-endian, ascending; methods is like 'GET:12,POST:1', statuses like '200:12,404:1': events without one are in
-- none. p50, p95 and p99 follow from the summaries. created_at and updated_at are milliseconds since 1970.
CREATE TABLE hourly_rows (
    path            TEXT NOT NULL,
    hour_bucket     TEXT NOT NULL,
    requests        INTEGER NOT NULL,
    errors          INTEGER NOT NULL,
    sum_us          INTEGER NOT NULL,
    count_us        INTEGER NOT NULL,
    min_us          INTEGER,
    max_us          INTEGER,
    p50_us          INTEGER,
    p95_us          INTEGER,
    p99_us          INTEGER,
    sum_bytes       INTEGER NOT NULL,
    count_bytes     INTEGER NOT NULL,
    statuses        TEXT NOT NULL,
    methods         TEXT NOT NULL,
    unique_seen     INTEGER NOT NULL,
    unique_estimate INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    samples         TEXT NOT NULL,
    sample_keys     BLOB NOT NULL,
    clients         BLOB NOT NULL,
    sketch          BLOB NOT NULL,
    UNIQUE (hour_bucket, path)
);

-- Milliseconds, as in traffic_events; response_samples and ip_hashes are JSON arrays.
CREATE VIEW path_stats_hourly AS
SELECT path, hour_bucket, requests, errors,
       sum_us / 1000.0 AS sum_response_time, count_us AS count_response_time,
       (SELECT json_group_array(value / 1000.0) FROM json_each('[' || samples || ']')) AS response_samples,
       (WITH RECURSIVE at(n) AS (SELECT 0 WHERE length(clients) > 0
                                 UNION ALL SELECT n + 8 FROM at WHERE n + 8 < length(clients))
        SELECT json_group_array(lower(
                   hex(substr(clients, n + 8, 1)) || hex(substr(clients, n + 7, 1)) ||
                   hex(substr(clients, n + 6, 1)) || hex(substr(clients, n + 5, 1)) ||
                   hex(substr(clients, n + 4, 1)) || hex(substr(clients, n + 3, 1)) ||
                   hex(substr(clients, n + 2, 1)) || hex(substr(clients, n + 1, 1)))) FROM at) AS ip_hashes,
       unique_seen AS unique_ips_seen, created_at, updated_at, statuses, methods,
       unique_estimate AS unique_ips_estimate,
       min_us / 1000.0 AS min_response_time, max_us / 1000.0 AS max_response_time,
       p50_us / 1000.0 AS p50_response_time, p95_us / 1000.0 AS p95_response_time,
       p99_us / 1000.0 AS p99_response_time,
       sum_bytes AS sum_response_bytes, count_bytes AS count_response_bytes
  FROM hourly_rows;
