/* watch.c - see watch.h.  SPDX-License-Identifier: MIT */
#include "daemon/watch.h"

#include "base/log.h"

void ps_watch_log(void *ctx, enum ps_trouble which, enum ps_trouble_phase phase,
                  const struct ps_trouble_state *state, int64_t lasted_us)
{
    enum ps_log_level level = ps_trouble_severity(which) == PS_FAILING ? PS_LOG_ERROR : PS_LOG_WARN;
    long long seconds = (long long)(lasted_us / 1000000);
    (void)ctx;
    switch (phase) {
    case PS_TROUBLE_BEGINS:
        ps_log(level, "%s: %s (%s)", ps_trouble_name(which), state->text, ps_trouble_help(which));
        break;
    case PS_TROUBLE_LASTS:
        ps_log(level, "%s: for %lld s now, %llu failures, the last: %s", ps_trouble_name(which),
               seconds, (unsigned long long)state->failures, state->text);
        break;
    case PS_TROUBLE_ENDS:
        ps_log(PS_LOG_INFO, "%s: works again after %lld s", ps_trouble_name(which), seconds);
        break;
    }
}
