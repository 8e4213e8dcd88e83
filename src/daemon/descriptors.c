/* descriptors.c - see descriptors.h.  SPDX-License-Identifier: MIT */
#include "daemon/descriptors.h"

#include <sys/resource.h>

uint64_t ps_descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    rlim_t soft = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : soft;
}

int ps_descriptors_share(uint64_t limit, size_t wanted, size_t spare, size_t *ret, struct ps_err *e)
{
    uint64_t taken = PS_DESCRIPTORS_RESERVE + spare;
    uint64_t needed = taken + PS_DESCRIPTORS_CONNECTIONS_MIN;
    if (limit < needed)
        return ps_fail(e, PS_EFULL,
                       "the process may open %llu files (ulimit -n) and needs at least %llu: raise "
                       "the limit (LimitNOFILE= in a systemd unit)",
                       (unsigned long long)limit, (unsigned long long)needed);
    *ret = limit - taken < wanted ? (size_t)(limit - taken) : wanted;
    return 0;
}
