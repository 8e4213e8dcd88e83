/* commands.c - the table of commands. See command.h.  SPDX-License-Identifier: MIT */
#include "cli/command.h"

#include "base/check.h"

#define END_OF_FORMS                                                                               \
    {                                                                                              \
        NULL, NULL                                                                                 \
    }
#define END_OF_OPTIONS                                                                             \
    {                                                                                              \
        NULL, NULL, NULL, NULL                                                                     \
    }

#define READING "data_dir config json"

/* Which hours; cli/window.c takes them. */
#define WINDOW                                                                                     \
    {"--last", "TIME", "", "the hours up to now: 24h, 7d"},                                        \
        {"--date", "YYYY-MM-DD", "", "that day, UTC"},                                             \
        {"--from", "HOUR", "", "from that hour on: 2025-10-15T14, or a date"},                     \
    {                                                                                              \
        "--to", "HOUR", "", "up to that hour, which is included; or a date"                        \
    }
#define NEWEST_HOURS                                                                               \
    {                                                                                              \
        "--hours", "N", "24", "so many, up to the newest hour that has data"                       \
    }

const struct ps_exit ps_exits[] = {
    {PS_EXIT_OK, "done"},
    {PS_EXIT_FAILED, "failed; the message says what to do"},
    {PS_EXIT_DIFFERS, "found something: differences (verify, archive verify), lines that were "
                      "rejected or refused (import), a mistake in the settings (config check)"},
    {PS_EXIT_IN_USE, "another process has the data directory"},
    {PS_EXIT_USAGE, "wrong usage, or a wrong setting"},
    {PS_EXIT_INTERRUPTED, "interrupted; what was stored until then stays"},
};
const size_t ps_exit_count = PS_COUNT_OF(ps_exits);

/* --- counting --- */

static const struct ps_form serve_forms[] = {{"[OPTIONS]", ""}, END_OF_FORMS};
static const struct ps_example serve_examples[] = {
    {"pathstats serve", "on http://127.0.0.1:8787, data in ./data"},
    {"pathstats serve --listen :9000 --data-dir /srv/pathstats", "another port, another folder"},
    {NULL, NULL},
};

static const struct ps_form import_forms[] = {{"[OPTIONS] FILE…", ""}, END_OF_FORMS};
static const struct ps_command_option import_options[] = {
    {"--source", "LABEL", "", "keeps equal lines of two servers apart"},
    END_OF_OPTIONS,
};
static const struct ps_example import_examples[] = {
    {"pathstats import access.log access.log.*.gz", "a log and its older parts"},
    {"ssh web1 cat access.log | pathstats import --source web1 -", "standard input"},
    {NULL, NULL},
};

static const struct ps_form top_forms[] = {{"[OPTIONS]", ""}, END_OF_FORMS};
static const struct ps_command_option top_options[] = {
    {"--limit", "N", "20", "how many paths"},
    NEWEST_HOURS,
    WINDOW,
    END_OF_OPTIONS,
};
static const struct ps_example top_examples[] = {
    {"pathstats top --last 7d --limit 50", "the week up to now"},
    {"pathstats top --date 2025-10-15 --json", "a day, for a program"},
    {NULL, NULL},
};

static const struct ps_form show_forms[] = {{"PATH [OPTIONS]", ""}, END_OF_FORMS};
static const struct ps_command_option show_options[] = {NEWEST_HOURS, WINDOW, END_OF_OPTIONS};
static const struct ps_example show_examples[] = {
    {"pathstats show /cart", "its newest 24 hours"},
    {"pathstats show /cart --from 2025-10-15T08 --to 2025-10-15T17", "ten hours"},
    {NULL, NULL},
};

/* --- proving --- */

static const struct ps_form verify_forms[] = {{"[OPTIONS]", ""}, END_OF_FORMS};
static const struct ps_example verify_examples[] = {
    {"pathstats verify", "beside a running server or without one"},
    {NULL, NULL},
};

static const struct ps_form dead_forms[] = {
    {"list", "each with its reason"},
    {"replay", "delivers them again; what can be counted now is counted, once"},
    {"purge", "throws them away for good, all or those that --reason and --before say"},
    END_OF_FORMS,
};
static const struct ps_command_option dead_options[] = {
    {"--reason", "R", "", "only letters with this reason: closed_day"},
    {"--before", "YYYY-MM-DD", "",
     "only letters written before that day, UTC (not events of days before it)"},
    {"--yes", "", "", "purges without asking"},
    END_OF_OPTIONS,
};
static const struct ps_example dead_examples[] = {
    {"pathstats dead-letters list", "what was refused, and why"},
    {"pathstats archive restore 2025-10-12 && pathstats dead-letters replay",
     "counts what came too late for a day"},
    {"pathstats dead-letters purge --reason closed_day --before 2025-10-12",
     "those written before that day; it asks first"},
    {NULL, NULL},
};

/* --- what is kept --- */

static const struct ps_form snapshot_forms[] = {
    {"show [VERSION]", "the latest, that one, or the newest that was made in the hours asked for"},
    {"list", "those that can be read"},
    {"refresh", "makes one now"},
    {"rollback [VERSION]", "makes that one the latest, or the one before"},
    END_OF_FORMS,
};
static const struct ps_command_option snapshot_options[] = {WINDOW, END_OF_OPTIONS};
static const struct ps_example snapshot_examples[] = {
    {"pathstats snapshot show", "what GET /api/paths answers"},
    {"pathstats snapshot show --date 2025-10-15", "the last one of a day"},
    {NULL, NULL},
};

static const struct ps_form archive_forms[] = {
    {"run [DATE]", "archives every day older than retention_days, or that day"},
    {"list", "the days and how they stand"},
    {"cat DATE", "its events, a JSON object a line"},
    {"verify [DATE]", "reads objects back and compares count and SHA-256"},
    {"restore DATE", "brings a day back into the database; nothing is counted again"},
    END_OF_FORMS,
};
static const struct ps_command_option archive_options[] = {
    {"--date", "YYYY-MM-DD", "", "the same as DATE"},
    END_OF_OPTIONS,
};
static const struct ps_example archive_examples[] = {
    {"pathstats archive run 2025-10-12", "that day, now"},
    {"pathstats archive cat 2025-10-12 | jq .path", "its events"},
    {NULL, NULL},
};

static const struct ps_form jobs_forms[] = {{"[OPTIONS]", ""}, END_OF_FORMS};
static const struct ps_command_option jobs_options[] = {
    {"--limit", "N", "20", "how many runs"},
    END_OF_OPTIONS,
};
static const struct ps_example jobs_examples[] = {
    {"pathstats jobs --limit 5", "the newest five runs"},
    {NULL, NULL},
};

static const struct ps_form capacity_forms[] = {{"[OPTIONS]", ""}, END_OF_FORMS};
static const struct ps_example capacity_examples[] = {
    {"pathstats capacity --json", "for monitoring"},
    {NULL, NULL},
};

/* --- about itself --- */

static const struct ps_form config_forms[] = {
    {"check", "every setting and where it comes from"},
    END_OF_FORMS,
};
static const struct ps_example config_examples[] = {
    {"pathstats config check --config new.ini", "before a restart"},
    {NULL, NULL},
};

static const struct ps_form help_forms[] = {
    {"[COMMAND]", "all commands, or one of them"},
    {"--man", "the manual page, for man(1)"},
    END_OF_FORMS,
};
static const struct ps_command_option help_options[] = {
    {"--man", "", "", "writes the manual page"},
    END_OF_OPTIONS,
};
static const struct ps_example help_examples[] = {
    {"pathstats help --man | man -l -", "reads the manual page"},
    {NULL, NULL},
};

static const struct ps_form version_forms[] = {{"", ""}, END_OF_FORMS};
static const struct ps_example version_examples[] = {
    {"pathstats version", "for a report"},
    {NULL, NULL},
};

const struct ps_command ps_commands[] = {
    {.name = "serve",
     .summary = "take events over HTTP and count them",
     .about = "Runs until SIGTERM or Ctrl-C, then stores what was acknowledged. Jobs archive old "
              "days, make snapshots and watch the size.",
     .forms = serve_forms,
     .settings = "storage server aggregation snapshot archive triggers capacity output",
     .examples = serve_examples,
     .may_be_locked_out = true,
     .run = ps_cmd_serve},
    {.name = "import",
     .summary = "count access logs or NDJSON events; .gz too, - is standard input",
     .about = "A line counts once, however often its file, a copy or a gzipped copy is imported. A "
              "server that runs on the same data directory takes the events; else they are stored "
              "directly. An import that was cut short is started again.",
     .forms = import_forms,
     .options = import_options,
     .settings = "data_dir config json cache_size batch_events max_paths_per_hour",
     .examples = import_examples,
     .found = "lines were rejected, or refused because their day is archived; all others count",
     .may_be_locked_out = true,
     .may_be_interrupted = true,
     .run = ps_cmd_import},
    {.name = "top",
     .summary = "the busiest paths",
     .about = "Merges the hours; percentiles are computed, not averaged. Hours are UTC.",
     .forms = top_forms,
     .options = top_options,
     .settings = READING,
     .examples = top_examples,
     .run = ps_cmd_top},
    {.name = "show",
     .summary = "one path, hour by hour",
     .about = "Hours are UTC.",
     .forms = show_forms,
     .options = show_options,
     .settings = READING,
     .examples = show_examples,
     .run = ps_cmd_show},
    {.name = "verify",
     .summary = "recompute every row from the events and compare",
     .about = "Reads all stored events and compares the statistics byte for byte.",
     .forms = verify_forms,
     .settings = "data_dir config json max_paths_per_hour",
     .examples = verify_examples,
     .found = "rows differ from their events",
     .may_be_interrupted = true,
     .run = ps_cmd_verify},
    {.name = "dead-letters",
     .summary = "events that were refused, and another try",
     .about = "",
     .forms = dead_forms,
     .options = dead_options,
     .settings = READING,
     .examples = dead_examples,
     .may_be_locked_out = true,
     .run = ps_cmd_dead_letters},
    {.name = "snapshot",
     .summary = "the busiest paths as served by /api/paths",
     .about = "A snapshot is kept for 72 hours.",
     .forms = snapshot_forms,
     .options = snapshot_options,
     .settings = "data_dir config json snapshot_paths",
     .examples = snapshot_examples,
     .may_be_locked_out = true,
     .run = ps_cmd_snapshot},
    {.name = "archive",
     .summary = "days that moved to object storage",
     .about =
         "A day is dropped from the database only after its object was read back and compared.",
     .forms = archive_forms,
     .options = archive_options,
     .settings = "data_dir config json retention_days archive",
     .examples = archive_examples,
     .found = "an object is missing or is not what was archived (verify)",
     .may_be_locked_out = true,
     .run = ps_cmd_archive},
    {.name = "jobs",
     .summary = "what the triggers did, and when",
     .about = "",
     .forms = jobs_forms,
     .options = jobs_options,
     .settings = "data_dir config json triggers",
     .examples = jobs_examples,
     .run = ps_cmd_jobs},
    {.name = "capacity",
     .summary = "how full it is, and how fast it fills",
     .about = "",
     .forms = capacity_forms,
     .settings = "data_dir config json max_db_size",
     .examples = capacity_examples,
     .run = ps_cmd_capacity},
    {.name = "config",
     .summary = "every setting and where it comes from",
     .about = "Checks all that `serve` checks before it starts. What it prints is a configuration "
              "file itself; secrets are left out.",
     .forms = config_forms,
     .settings = "storage server aggregation snapshot archive triggers capacity output",
     .examples = config_examples,
     .found = "a setting is wrong; the message says which, and where it stands",
     .run = ps_cmd_config},
    {.name = "help",
     .summary = "this, or more about one command",
     .about = "",
     .forms = help_forms,
     .options = help_options,
     .settings = "",
     .examples = help_examples,
     .run = ps_cmd_help},
    {.name = "version",
     .summary = "which pathstats this is",
     .about = "",
     .forms = version_forms,
     .settings = "json",
     .examples = version_examples,
     .run = ps_cmd_version},
};

const size_t ps_command_count = PS_COUNT_OF(ps_commands);
