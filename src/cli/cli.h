/* cli.h - what the commands share. A command returns its exit code.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CLI_CLI_H
#define PS_CLI_CLI_H

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "config/options.h"
#include "daemon/datadir.h"
#include "port/queue.h"
#include "port/store.h"

enum {
    PS_EXIT_OK = 0,
    PS_EXIT_FAILED = 1,
    PS_EXIT_DIFFERS = 2, /* what it looked for was found: differences, rejected lines, mistakes */
    PS_EXIT_IN_USE = 3,  /* another process has the data directory */
    PS_EXIT_USAGE = 64,  /* as in sysexits.h */
    PS_EXIT_INTERRUPTED = 130, /* as shells say it: 128 and SIGINT */
    PS_OUTPUT_MAX = 256 * 1024 * 1024,
};

struct ps_command;

struct ps_cli {
    struct ps_config config;
    const struct ps_command *command;
    int argc; /* what the option table did not know */
    char **argv;
};

typedef int ps_command_fn(struct ps_cli *c);
ps_command_fn ps_cmd_serve, ps_cmd_import, ps_cmd_top, ps_cmd_show, ps_cmd_verify,
    ps_cmd_dead_letters, ps_cmd_snapshot, ps_cmd_archive, ps_cmd_jobs, ps_cmd_capacity,
    ps_cmd_config, ps_cmd_version, ps_cmd_help;

/* --- arguments. Each takes what it finds out of argv. --- */

/* --name VALUE or --name=VALUE, listed in the command table. 1 found, 0 not there, PS_EINVAL
 * without a value. */
int ps_cli_option(struct ps_cli *c, const char *name, const char **ret, struct ps_err *e);
/* --name alone. */
bool ps_cli_flag(struct ps_cli *c, const char *name);
int ps_cli_number(struct ps_cli *c, const char *name, int64_t min, int64_t max, int64_t *ret,
                  struct ps_err *e);
/* What is left must be at least min and at most max words, none of them an option. */
int ps_cli_words(struct ps_cli *c, int min, int max, struct ps_err *e);
/* "usage: pathstats top …", for words that do not fit together. Returns PS_EINVAL. */
int ps_cli_usage(const struct ps_cli *c, struct ps_err *e);
/* `archive lits`: there is no such form; perhaps another was meant. Returns PS_EINVAL. */
int ps_cli_no_form(const struct ps_cli *c, const char *word, struct ps_err *e);

/* --- output --- */

/* "pathstats: text" on standard error, shown as base/visible.h does. */
void ps_cli_say(const char *text);
/* Says it and returns the exit code that goes with it. */
int ps_cli_fail(const struct ps_err *e);
/* Writes and frees the buffer, with a newline. */
int ps_cli_print(struct ps_buf *out);
bool ps_cli_color(void);
/* "1,234,567"; the buffer is the caller's. */
const char *ps_cli_count(char to[32], uint64_t n);
/* "1 line", "2,000 lines", "0 days". `many` NULL: `one` and an s. */
enum { PS_CLI_MANY_MAX = 96 };
const char *ps_cli_many(char to[PS_CLI_MANY_MAX], uint64_t n, const char *one, const char *many);
/* A text from data, to standard output. */
void ps_cli_put(struct ps_str text);
/* Microseconds for people: "8.4 ms", "1.25 s"; "-" for none. */
const char *ps_cli_time(char to[32], bool has, uint64_t us);
const char *ps_cli_bytes(char to[32], uint64_t bytes);

/* A bar on standard error, only on a terminal, at most ten times a second. Never wider than it. */
struct ps_progress {
    const char *what;
    int64_t started_us, shown_us;
    bool on;
};
void ps_progress_start(struct ps_progress *p, const char *what, bool wanted);
/* `total` 0: unknown. `note` may be NULL. */
void ps_progress_show(struct ps_progress *p, uint64_t done, uint64_t total, const char *note);
void ps_progress_end(struct ps_progress *p);
/* The line itself, at most `columns` wide. `share` below 0: unknown. */
void ps_progress_write(struct ps_buf *line, const char *what, double share, double seconds,
                       const char *note, int columns);

/* --- data --- */

/* Opens the database of the data directory for reading, beside a daemon or not. */
int ps_cli_open_store(struct ps_cli *c, struct ps_datadir *dir, struct ps_store **ret,
                      struct ps_err *e);

/* The queue, for reading. */
int ps_cli_open_queue(struct ps_cli *c, const struct ps_datadir *dir, struct ps_queue **ret,
                      struct ps_err *e);

/* POSTs to the daemon that holds the directory. The answer is appended to `ret`; *ret_status. */
struct ps_client;
int ps_client_open(struct ps_client **ret, const char *host_port, struct ps_err *e);
void ps_client_close(struct ps_client *k);
/* Of each request from now on; 120 s at first. */
void ps_client_set_timeout(struct ps_client *k, long timeout_s);
int ps_client_ask(struct ps_client *k, const char *method, const char *path, struct ps_str body,
                  struct ps_buf *ret, long *ret_status, struct ps_err *e);

/* An order to the daemon: a POST that has to be answered with 200. The answer, a JSON object, is
 * appended to `ret`; a refusal fails with its message. */
int ps_cli_order(const char *host_port, const char *path, struct ps_str body, struct ps_buf *ret,
                 struct ps_err *e);
/* A number out of such an answer; 0 when it is not there. */
uint64_t ps_cli_answer(const struct ps_buf *answer, const char *name);

#endif
