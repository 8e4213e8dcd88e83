/* head.h - whether the head of a request can be read in one way only.
 *
 * A proxy in front of us and we must agree where each request ends, or a client can hide a second
 * request in the first one's body ("request smuggling"). So what RFC 9112 lets readers understand
 * differently is refused, and the connection ends with the refusal: two Hosts or lengths, a length
 * and a coding together, an unknown coding, folded lines, spaces before the colon, control
 * characters (in the target too), lines that end in a bare LF.
 *
 * libmicrohttpd 0.9.75 lets most of it pass, and some of it (a NUL, a folded line, a bare LF) does
 * not show in the headers it hands out. But these still lie in its buffer as they came, with NULs
 * in place of the colon and the line end, so whether each begins where the one before must have
 * ended tells. Later versions refuse such lines themselves; there only the headers are looked at.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_API_HEAD_H
#define PS_API_HEAD_H

#include "base/str.h"

#include <microhttpd.h>

/* The target as it was sent: libmicrohttpd decodes it in place, and a NUL then cuts it. */
struct ps_target {
    size_t len;
    bool is_bad; /* a space, a control character, or one of these encoded */
};

/* From libmicrohttpd's MHD_OPTION_URI_LOG_CALLBACK. */
void ps_head_target(const char *target, struct ps_target *ret);

struct ps_head {
    const char *path;        /* of the target, without its authority: "/..." */
    struct ps_str authority; /* of the target in absolute form (RFC 9112 3.2.2), else the Host */
    bool chunked;            /* the body comes in chunks */
    struct ps_str length;    /* Content-Length, digits, or absent */
};

/* NULL and *ret when the head is sound, else what is wrong with it, for a person. In the first call
 * of libmicrohttpd's handler, with what it was given; *ret points into the same memory. */
const char *ps_head_check(struct MHD_Connection *connection, const char *method, const char *url,
                          const char *version, const struct ps_target *target, struct ps_head *ret);

#endif
