/* watch.c - see watch.h.  SPDX-License-Identifier: MIT */
#include "daemon/watch.h"

#include "base/log.h"

#include <stdio.h>

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

static void tell_still(struct ps_watch *w, enum ps_trouble which, const char *who, int64_t still_us)
{
    char text[PS_ERR_TEXT_MAX];
    if (still_us < PS_WATCH_STILL_US) {
        ps_trouble_end(w->troubles, which);
        return;
    }
    snprintf(text, sizeof text,
             "the %s has stood still for %lld s: look whether the disk answers; else restart "
             "pathstats, nothing that was acknowledged is lost",
             who, (long long)(still_us / 1000000));
    ps_trouble_begin(w->troubles, which, PS_EIO, text);
}

void ps_watch_consumer(struct ps_watch *w, const struct ps_aggregator_counters *consumer)
{
    int64_t turned_us = consumer->turned_us;
    int64_t still_us = turned_us == 0 ? 0 : ps_clock_monotonic_us(w->clock) - turned_us;
    tell_still(w, PS_TROUBLE_CONSUMER, "consumer", still_us);
}

void ps_watch_committer(struct ps_watch *w, uint64_t turns)
{
    int64_t now_us = ps_clock_monotonic_us(w->clock);
    bool writes = turns % 2 == 1;
    if (!writes || turns != w->turns)
        w->turned_us = now_us;
    w->turns = turns;
    tell_still(w, PS_TROUBLE_COMMITTER, "committer", now_us - w->turned_us);
}
