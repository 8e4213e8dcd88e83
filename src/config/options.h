/* options.h - every setting of pathstats, from one table.
 *
 * Where a value may come from, weakest first:
 *
 *     default < configuration file < environment (PATHSTATS_<NAME>) < flag (--name)
 *
 * The rank travels with each value, so the sources may be read in any order: a weaker one never
 * replaces a stronger one, and within one source the last wins.
 *
 * The file is INI: `name = value`, comments after ; or #, [sections] as the table has them, for the
 * reader's eye. An unknown section or name is an error there, an unknown name among flags, and in
 * the environment where ps_config_check_env is asked: not everywhere, because others put
 * PATHSTATS_* there too (what Kubernetes sets for a service named pathstats is known). An empty
 * variable is unset. Flags: --data-dir X, --data-dir=X; for a bool --json, --no-json, --json=false.
 * Sizes: 65536, 64k, 16MB, 10GiB; every unit counts in 1024s. Durations: 100ms, 5s, 10m, 72h, 3d.
 *
 * Messages name the source (file:line, variable, flag), the value and what would be right.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CONFIG_OPTIONS_H
#define PS_CONFIG_OPTIONS_H

#include "base/err.h"
#include "base/log.h"
#include "base/near.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    PS_CONFIG_TEXT_MAX = 512, /* bytes of a text value, NUL included */
    PS_CONFIG_OPTIONS_MAX = 48,
};

enum ps_config_source {
    PS_FROM_DEFAULT,
    PS_FROM_FILE,
    PS_FROM_ENV,
    PS_FROM_FLAG,
};

/* Numbers are int64_t: bytes, milliseconds, or a count. */
struct ps_config {
    char data_dir[PS_CONFIG_TEXT_MAX];
    char config[PS_CONFIG_TEXT_MAX]; /* the file that was asked for or found; "" when none */
    char listen[PS_CONFIG_TEXT_MAX]; /* host:port, [v6]:port or :port */
    char store[PS_CONFIG_TEXT_MAX], queue[PS_CONFIG_TEXT_MAX], kv[PS_CONFIG_TEXT_MAX];
    bool record_self, percent, json, new_database, new_queue, new_secret;
    int64_t body_limit, queue_max, dead_letters_max, cache_size, max_wal_size; /* bytes */
    int64_t batch_events, max_retries, max_paths_per_hour, retention_days;
    int64_t flush_interval; /* ms */
    int64_t snapshot_paths, snapshot_batches;
    int64_t max_db_size;              /* bytes */
    char webhook[PS_CONFIG_TEXT_MAX]; /* URL, or "" */
    char cron_archive[PS_CONFIG_TEXT_MAX], cron_snapshot[PS_CONFIG_TEXT_MAX],
        cron_capacity[PS_CONFIG_TEXT_MAX];                             /* an expression, or "off" */
    char objects[PS_CONFIG_TEXT_MAX], archive_dir[PS_CONFIG_TEXT_MAX]; /* "": DATA_DIR/objects */
    char s3_bucket[PS_CONFIG_TEXT_MAX], s3_endpoint[PS_CONFIG_TEXT_MAX],
        s3_region[PS_CONFIG_TEXT_MAX], s3_access_key_id[PS_CONFIG_TEXT_MAX],
        s3_secret_access_key[PS_CONFIG_TEXT_MAX];
    bool s3_virtual_host;
    int64_t s3_timeout, s3_retries; /* ms; of a request */
    int64_t log_level;              /* enum ps_log_level */

    enum ps_config_source sources[PS_CONFIG_OPTIONS_MAX]; /* in the table's order */
    int lines[PS_CONFIG_OPTIONS_MAX];                     /* in the file, when from there */
};

/* Every default. */
void ps_config_init(struct ps_config *c);

/* One value. `name` in snake_case. PS_EINVAL with text for a person. A value from a weaker source
 * than the present one is checked and dropped. */
int ps_config_set(struct ps_config *c, const char *name, const char *value,
                  enum ps_config_source source, struct ps_err *e);

/* PS_EINVAL for a PATHSTATS_… variable that is no setting. For those who start something: to read
 * with a variable too many does no harm. */
int ps_config_check_env(struct ps_err *e);

/* PS_ENOENT, PS_EIO; PS_EINVAL for the first mistake in it. */
int ps_config_load_file(struct ps_config *c, const char *file, struct ps_err *e);
int ps_config_load_env(struct ps_config *c, struct ps_err *e);

/* Takes every option of the table out of argv[1..argc) up to "--" and returns the new argc, or
 * PS_EINVAL. What it does not know stays, in order, for the command, which may ask for
 * ps_config_nearest. */
int ps_config_load_flags(struct ps_config *c, int argc, char **argv, struct ps_err *e);

/* What comes after the flags: the environment and the file: --config, else the first that exists of
 * DATA_DIR/pathstats.ini and /etc/pathstats/pathstats.ini. */
int ps_config_load_rest(struct ps_config *c, struct ps_err *e);

/* All of it: init, flags and the rest. Returns the new argc like load_flags. */
int ps_config_load(struct ps_config *c, int argc, char **argv, struct ps_err *e);

/* The option meant by a mistyped name (dashes or underscores), in snake_case; NULL if none is
 * near. Static. */
const char *ps_config_nearest(const char *name);

void ps_config_nearer(struct ps_near *n);

/* The i-th option as --help and the man page tell it; false beyond the last. Those of a section
 * stand together. */
struct ps_config_option {
    const char *name, *section, *help, *preset;
    const char *value;   /* "SIZE"; "" for a bool */
    const char *choices; /* "error|warn|info", or NULL */
    char flag[64];       /* "--data-dir", "--[no-]record-self" */
};
bool ps_config_option(size_t i, struct ps_config_option *ret);

/* Every value and where it came from, itself a valid configuration file. Secrets are left out. */
void ps_config_print(const struct ps_config *c, FILE *out);

/* Where the value of an option came from: "a.ini:3", "PATHSTATS_LISTEN", "--listen", "default". */
enum ps_config_source ps_config_where(const struct ps_config *c, const char *name, char *to,
                                      size_t n);

#endif
