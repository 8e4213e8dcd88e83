/* guard.c - see guard.h.  SPDX-License-Identifier: MIT */
#include "api/guard.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

enum { PORT_MAX = 65535 };

static bool is_port(struct ps_str s)
{
    unsigned long value = 0;
    if (s.len == 0 || s.len > 5)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        value = value * 10 + (unsigned long)(s.ptr[i] - '0');
    }
    return value <= PORT_MAX;
}

/* Only a literal of 127.0.0.0/8: a name that merely begins with "127." resolves to anything. */
static bool is_loopback_v4(struct ps_str s)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr address;
    if (s.len >= sizeof text)
        return false;
    ps_copy(text, s.ptr, s.len);
    text[s.len] = '\0';
    return inet_pton(AF_INET, text, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

bool ps_guard_host(struct ps_str host)
{
    static const char v6[] = "[::1]", name[] = "localhost";
    if (host.ptr == NULL || memchr(host.ptr, '\0', host.len) != NULL)
        return false;
    size_t skip = host.len >= sizeof v6 - 1 && host.ptr[0] == '[' ? sizeof v6 - 1 : 0;
    const char *colon = memchr(host.ptr + skip, ':', host.len - skip);
    struct ps_str bare = {host.ptr, colon == NULL ? host.len : (size_t)(colon - host.ptr)};
    if (colon != NULL && !is_port((struct ps_str){colon + 1, host.len - bare.len - 1}))
        return false;
    if (ps_str_equal(bare, PS_STR("[::1]")))
        return true;
    if (bare.len == sizeof name - 1 && strncasecmp(bare.ptr, name, bare.len) == 0)
        return true;
    return is_loopback_v4(bare);
}

static bool cut_prefix(struct ps_str *s, struct ps_str prefix)
{
    if (s->len < prefix.len || strncasecmp(s->ptr, prefix.ptr, prefix.len) != 0)
        return false;
    *s = (struct ps_str){s->ptr + prefix.len, s->len - prefix.len};
    return true;
}

bool ps_guard_origin(struct ps_str origin)
{
    if (origin.ptr == NULL)
        return false;
    if (!cut_prefix(&origin, PS_STR("http://")) && !cut_prefix(&origin, PS_STR("https://")))
        return false;
    return ps_guard_host(origin);
}
