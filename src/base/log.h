/* log.h - one line to standard error. Only daemon, cli and api call it.
 *
 * Under systemd (JOURNAL_STREAM set) lines carry the <n> priority prefix and no time of their own;
 * otherwise an ISO time and the level's name. Thread-safe: one write(2) a line. What quotes
 * data is shown as base/visible.h does.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BASE_LOG_H
#define PS_BASE_LOG_H

enum ps_log_level { PS_LOG_ERROR, PS_LOG_WARN, PS_LOG_INFO, PS_LOG_DEBUG };

void ps_log_set_level(enum ps_log_level most_verbose);
void ps_log(enum ps_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
