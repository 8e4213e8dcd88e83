/* table.c - the option table: a line a setting. See table.h.  SPDX-License-Identifier: MIT */
#include "config/table.h"

#include "base/check.h"

#define KB (INT64_C(1) << 10)
#define MB (INT64_C(1) << 20)
#define GB (INT64_C(1) << 30)

#define TEXT(bytes_min)                                                                            \
    {                                                                                              \
        PS_VALUE_TEXT, bytes_min, PS_CONFIG_TEXT_MAX - 1, NULL                                     \
    }
#define SECRET                                                                                     \
    {                                                                                              \
        PS_VALUE_SECRET, 0, PS_CONFIG_TEXT_MAX - 1, NULL                                           \
    }
#define URL                                                                                        \
    {                                                                                              \
        PS_VALUE_URL, 0, PS_CONFIG_TEXT_MAX - 1, NULL                                              \
    }
#define LISTEN                                                                                     \
    {                                                                                              \
        PS_VALUE_LISTEN, 1, PS_CONFIG_TEXT_MAX - 1, NULL                                           \
    }
#define NUMBER(min, max)                                                                           \
    {                                                                                              \
        PS_VALUE_INT, min, max, NULL                                                               \
    }
#define SIZE(min, max)                                                                             \
    {                                                                                              \
        PS_VALUE_SIZE, min, max, NULL                                                              \
    }
#define DURATION(min, max)                                                                         \
    {                                                                                              \
        PS_VALUE_DURATION, min, max, NULL                                                          \
    }
#define YES_NO                                                                                     \
    {                                                                                              \
        PS_VALUE_BOOL, 0, 1, NULL                                                                  \
    }
#define CHOICE(words)                                                                              \
    {                                                                                              \
        PS_VALUE_CHOICE, 0, 0, words                                                               \
    }
#define OPTION(name, section, preset, rule, help)                                                  \
    {                                                                                              \
#name, section, preset, help, offsetof(struct ps_config, name), rule                       \
    }

const struct ps_option ps_options[] = {
    OPTION(data_dir, "storage", "data", TEXT(1), "folder of the database, queue and secret"),
    OPTION(config, "storage", "", TEXT(0), "configuration file (DATA_DIR/pathstats.ini)"),
    OPTION(store, "storage", "sqlite", TEXT(1), "where events and statistics live"),
    OPTION(queue, "storage", "file", TEXT(1), "what accepted events wait in"),
    OPTION(kv, "storage", "sqlite", TEXT(1), "where snapshots and heartbeats live"),
    OPTION(queue_max, "storage", "4GB", SIZE(MB, 1024 * GB),
           "refuse events (503) when the queue is this large"),
    OPTION(dead_letters_max, "storage", "256MB", SIZE(MB, 64 * GB), "room for refused events"),
    OPTION(new_database, "storage", "false", YES_NO,
           "begin with an empty database beside a queue that another one has read"),
    OPTION(new_queue, "storage", "false", YES_NO,
           "go on with a new queue when the one the database has read is lost"),
    OPTION(max_wal_size, "storage", "1GB", SIZE(16 * MB, 1024 * GB),
           "events wait while a reader keeps the write-ahead log this long"),
    OPTION(new_secret, "storage", "false", YES_NO,
           "replace a secret that is lost or damaged: all clients count as new"),
    OPTION(cache_size, "storage", "96MB", SIZE(MB, 1024 * GB), "statistics kept in memory at most"),
    OPTION(retention_days, "storage", "3", NUMBER(1, 3650), "days of raw events kept hot"),
    OPTION(listen, "server", "127.0.0.1:8787", LISTEN, "address and port"),
    OPTION(record_self, "server", "true", YES_NO, "count requests to this server's own API"),
    OPTION(body_limit, "server", "16MB", SIZE(64 * KB, 64 * MB),
           "largest request body, also once unpacked"),
    OPTION(percent, "paths", "true", YES_NO, "normal form of RFC 3986: /%7euser counts as /~user"),
    OPTION(batch_events, "aggregation", "50000", NUMBER(1, 65536),
           "events in a transaction at most; an import commits after 20 such batches"),
    OPTION(flush_interval, "aggregation", "1s", DURATION(1, 60000),
           "statistics are written this often"),
    OPTION(max_retries, "aggregation", "3", NUMBER(0, 100),
           "tries of a failing batch before it is taken apart"),
    OPTION(max_paths_per_hour, "aggregation", "100000", NUMBER(1, 10000000),
           "further paths count as (other); a full hour keeps its limit"),
    OPTION(snapshot_paths, "snapshot", "100", NUMBER(1, 10000), "paths in a snapshot"),
    OPTION(snapshot_batches, "snapshot", "10", NUMBER(1, 1000000),
           "make one after so many batches"),
    OPTION(objects, "archive", "dir", TEXT(1), "where archived days go: dir or s3"),
    OPTION(archive_dir, "archive", "", TEXT(0), "folder of archived days (DATA_DIR/objects)"),
    OPTION(s3_bucket, "archive", "", TEXT(0), "bucket, or bucket/prefix"),
    OPTION(s3_endpoint, "archive", "", URL, "https://host of the S3 service (AWS)"),
    OPTION(s3_region, "archive", "", TEXT(0), "region (AWS_REGION, us-east-1)"),
    OPTION(s3_access_key_id, "archive", "", TEXT(0), "key to sign with (AWS_ACCESS_KEY_ID)"),
    OPTION(s3_secret_access_key, "archive", "", SECRET, "its secret (AWS_SECRET_ACCESS_KEY)"),
    OPTION(s3_virtual_host, "archive", "false", YES_NO,
           "bucket.host/key instead of host/bucket/key"),
    OPTION(s3_timeout, "archive", "30s", DURATION(100, 600000),
           "for connecting, and for standing still"),
    OPTION(s3_retries, "archive", "4", NUMBER(0, 20), "tries of a request after the first"),
    OPTION(cron_archive, "triggers", "0 2 * * *", TEXT(1), "when to archive (UTC), or off"),
    OPTION(cron_snapshot, "triggers", "*/5 * * * *", TEXT(1), "when to make a snapshot, or off"),
    OPTION(cron_capacity, "triggers", "0 */6 * * *", TEXT(1), "when to look at the size, or off"),
    OPTION(max_db_size, "capacity", "10GB", SIZE(MB, 1024 * 1024 * GB),
           "warn at 70, 85 and 95 % of it"),
    OPTION(webhook, "capacity", "", URL, "URL that gets a JSON POST with each warning"),
    OPTION(log_level, "output", "info", CHOICE("error|warn|info|debug"),
           "how much goes to standard error"),
    OPTION(json, "output", "false", YES_NO, "machine-readable output"),
};

const size_t ps_option_count = PS_COUNT_OF(ps_options);

_Static_assert(PS_COUNT_OF(ps_options) <= PS_CONFIG_OPTIONS_MAX, "grow PS_CONFIG_OPTIONS_MAX");
