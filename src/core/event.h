/* event.h - one HTTP request as it happened; the wire form and the form that is stored.
 *
 *     bytes --ps_event_from_json--> ps_raw_event --ps_event_check, ps_event_make--> ps_event
 *
 * Strings are views into memory of the caller. Absent: ptr NULL, numbers PS_ABSENT.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_CORE_EVENT_H
#define PS_CORE_EVENT_H

#include "base/str.h"
#include "core/address.h"
#include "core/limits.h"
#include "core/reject.h"
#include "core/warnings.h"

enum { PS_ABSENT = -1 };

/* As received: well-formed and of the right types, not checked further. */
struct ps_raw_event {
    struct ps_str id, path, method, user_agent, country, request_id;
    struct ps_str client_ip;      /* raw address: memory only, never written (I7) */
    struct ps_str client_ip_hash; /* as given */
    int64_t timestamp_ms;
    int64_t response_us;    /* PS_ABSENT, else >= 0 */
    int64_t response_bytes; /* PS_ABSENT, else >= 0: of the body, as the log has it */
    int32_t status;         /* PS_ABSENT or any integer that fits */
    int8_t is_error;        /* PS_ABSENT, 0 or 1 */
    bool has_id_hash;       /* a log line: the id is made of this hash, not of the fields */
    bool mended;            /* some text had bytes that are no UTF-8: they become U+FFFD, not %XX */
    uint64_t id_hash;
};

/* As stored and counted. Every field has been checked against limits.h. */
struct ps_event {
    struct ps_str id, path, method, user_agent, country;
    int64_t timestamp_ms;
    int64_t response_us;    /* microseconds, or PS_ABSENT */
    int64_t response_bytes; /* or PS_ABSENT */
    uint64_t client_hash;   /* meaningful only when has_client */
    int32_t status;         /* or PS_ABSENT */
    int8_t is_error;        /* status >= 400; without a status what the sender said; or PS_ABSENT */
    bool has_client;
    /* What follows from the texts, computed once by ps_event_prepare; read it with the functions
     * below, which also know what to do without. */
    bool prepared, id_is_made;
    uint64_t id_number, id_hash, path_hash, user_agent_hash;
};

enum { PS_EVENT_SCRATCH_BYTES = PS_PATH_MAX + PS_USER_AGENT_MAX + PS_ID_MAX };

/* A ps_raw_event with everything absent. */
void ps_raw_event_init(struct ps_raw_event *raw);

/* Has the event what it cannot do without: a time that can be, a path, and an id that is none of
 * ours to make up? Cheap, and first: only an event that passes is worth a hash or a random number.
 * PS_REJECT_NONE, or why not. */
enum ps_reject ps_event_check(const struct ps_raw_event *raw, int64_t now_ms);

/* Who sent the request. */
struct ps_sender {
    bool present, is_hash;
    uint64_t hash; /* as given, when is_hash */
    struct ps_str
        text; /* else what has to be hashed: an address in canonical text, where it is one */
};

/* clientIpHash when it is a hash; any other text there is an address as far as we know (I7); else
 * clientIp. ret->text is a view into raw's memory or in `to`. */
void ps_event_sender(const struct ps_raw_event *raw, char to[PS_ADDRESS_MAX],
                     struct ps_sender *ret);

/* What making an event needs from outside the core. */
struct ps_normal {
    int64_t now_ms;
    bool has_client; /* the keyed hash of the client, where there is one */
    uint64_t client_hash;
    uint64_t fresh;               /* for an event with neither id nor requestId: 64 random bits */
    struct ps_warnings *warnings; /* fields that could not be used; may be NULL */
    bool percent_as_is;           /* paths keep their percent-encoding; see percent.h */
};

/* True when the event needs `fresh`. */
bool ps_event_needs_fresh(const struct ps_raw_event *raw);
/* Of an event that passed the check: cuts the path, leaves out what cannot be used, makes the id.
 * `scratch` (PS_EVENT_SCRATCH_BYTES) holds the strings that had to be rewritten; `ret` points into
 * it and into raw's memory. Made id: "<timestamp ms>-<16 hex>" with the XXH64 of the
 * length-prefixed client hash, method, path and requestId; or with raw->id_hash; or with fresh. */
void ps_event_make(const struct ps_raw_event *raw, const struct ps_normal *with, char *scratch,
                   struct ps_event *ret);
/* ps_event_check and ps_event_make in one. On a rejection `ret` is untouched. */
enum ps_reject ps_event_normalise(const struct ps_raw_event *raw, const struct ps_normal *with,
                                  char *scratch, struct ps_event *ret);

/* Exactly 16 hex digits, as a client's hash may be given. */
bool ps_client_hash_parse(struct ps_str text, uint64_t *ret);
/* Exactly as ps_format_hex64 writes it: no capitals. */
bool ps_hex64_parse(struct ps_str text, uint64_t *ret);

/* True when the id is "<timestamp_ms>-..." : unique for good, so compared within its day alone. */
bool ps_event_id_is_dated(const struct ps_event *event);
/* True when the id is "<timestamp_ms>-<16 hex>", as normalising makes it: the timestamp and
 * *ret_number, the hex digits' value, say it all. */
bool ps_event_id_is_made(const struct ps_event *event, uint64_t *ret_number);
/* The leading 13-digit "<ms>-" of any id, or PS_ABSENT. */
int64_t ps_id_leading_ms(struct ps_str id);

/* Where the paths beyond an hour's limit are counted; no event has this path. */
#define PS_OTHER_PATH PS_STR("(other)")

/* Cuts query and fragment, escapes invalid UTF-8 (with `mend` it becomes U+FFFD) and control bytes
 * as %XX, cuts to PS_PATH_MAX at a character; PS_OTHER_PATH becomes "%28other%29". `to` has
 * PS_PATH_MAX bytes; the result points into `path` where nothing had to change. */
struct ps_str ps_path_cut(struct ps_str path, char *to, bool mend);

/* Computes what is asked for again and again, while the texts are in the cache. */
void ps_event_prepare(struct ps_event *event);
/* ps_hash64 of the texts. */
uint64_t ps_event_id_hash(const struct ps_event *event);
uint64_t ps_event_path_hash(const struct ps_event *event);
uint64_t ps_event_user_agent_hash(const struct ps_event *event);

/* The queue's form of an event, at most PS_EVENT_ENCODED_MAX bytes; returns the length. Byte 0 is a
 * format version. Part of the file format. */
size_t ps_event_encode(const struct ps_event *event, uint8_t *to);
/* Views into `bytes`; 0, or PS_ECORRUPT. */
int ps_event_decode(const uint8_t *bytes, size_t len, struct ps_event *ret);

#endif
