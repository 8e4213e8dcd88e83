/* admin.c - what an administrator asks: the dead letters.
 *
 * On a reader's thread. The list is cut at PS_API_DEAD_LETTERS_MAX, `total` says how many there
 * are.
 *
 * SPDX-License-Identifier: MIT
 */
#include "api/respond.h"

#include "base/time.h"

struct listing {
    struct ps_json *w;
    size_t count;
};

static void write_event(struct ps_json *w, const struct ps_dead_letter *letter)
{
    struct ps_event event;
    ps_json_key(w, "event"); /* enough to find it again; null when the bytes are not an event */
    if (ps_event_decode(letter->bytes, letter->len, &event) < 0) {
        ps_json_null(w);
        return;
    }
    ps_json_open(w, '{');
    ps_json_key(w, "idempotentId");
    ps_json_str(w, event.id);
    ps_json_key(w, "timestamp");
    ps_json_int(w, event.timestamp_ms);
    ps_json_key(w, "method");
    ps_json_str(w, event.method);
    ps_json_key(w, "path");
    ps_json_str(w, event.path);
    ps_json_close(w, '}');
}

static int write_letter(void *ctx, const struct ps_dead_letter *letter)
{
    struct listing *list = ctx;
    struct ps_json *w = list->w;
    char time[PS_ISO_LEN + 1];
    if (list->count == PS_API_DEAD_LETTERS_MAX)
        return PS_ESTOP;
    list->count++;
    ps_time_format_iso(time, letter->time_ms);
    ps_json_open(w, '{');
    ps_json_key(w, "position");
    ps_json_uint(w, letter->position);
    ps_json_key(w, "time");
    ps_json_text(w, time);
    ps_json_key(w, "reason");
    ps_json_text(w, ps_reject_name(letter->why));
    ps_json_key(w, "message");
    ps_json_text(w, ps_reject_text(letter->why));
    ps_json_key(w, "detail");
    ps_json_str(w, letter->text);
    write_event(w, letter);
    ps_json_close(w, '}');
    return 0;
}

void ps_handle_dead_letters(struct ps_request *rq)
{
    struct ps_api *api = rq->api;
    struct ps_queue_info info;
    struct ps_err e = {0};
    struct ps_json w = ps_respond_writer(rq);
    struct listing list = {.w = &w};
    ps_json_open(&w, '{');
    ps_json_key(&w, "deadLetters");
    ps_json_open(&w, '[');
    int r = ps_queue_dead(api->config.queue, write_letter, &list, &e);
    if (r == 0 || r == PS_ESTOP)
        r = ps_queue_info(api->config.queue, &info, &e);
    if (r < 0) {
        ps_respond_failure(rq, r, e.text);
        return;
    }
    ps_json_close(&w, ']');
    ps_json_key(&w, "total");
    ps_json_uint(&w, info.dead_letters);
    ps_json_close(&w, '}');
    ps_respond_json(rq, MHD_HTTP_OK);
}
