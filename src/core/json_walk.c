/* json_walk.c - see json_walk.h.  SPDX-License-Identifier: MIT */
#include "core/json_walk.h"

#include "base/err.h"

void ps_json_walk_init(struct ps_json_walk *w, struct ps_str text, char *scratch)
{
    *w = (struct ps_json_walk){
        .scan = {.at = text.ptr, .end = text.ptr + text.len, .scratch = scratch}};
    ps_json_space(&w->scan);
}

static bool take(struct ps_json_scan *s, char c)
{
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    ps_json_space(s);
    return true;
}

static bool take_name(struct ps_json_scan *s, struct ps_str *ret)
{
    if (s->at == s->end || *s->at != '"' || ps_json_string(s, ret) != PS_REJECT_NONE)
        return false;
    ps_json_space(s);
    return take(s, ':');
}

/* To where the next member begins: 1, or 0 behind the closing bracket. */
static int step(struct ps_json_walk *w)
{
    struct ps_json_scan *s = &w->scan;
    if (w->close == 0) {
        if (s->at == s->end || (*s->at != '{' && *s->at != '['))
            return PS_EINVAL;
        w->close = *s->at == '{' ? '}' : ']';
        s->at++;
        ps_json_space(s);
        return take(s, w->close) ? 0 : 1;
    }
    if (take(s, w->close))
        return 0;
    return take(s, ',') ? 1 : PS_EINVAL;
}

int ps_json_walk_next(struct ps_json_walk *w, struct ps_str *ret_name, enum ps_json_kind *ret_kind,
                      struct ps_str *ret_text)
{
    struct ps_str name = PS_STR_NONE, text = PS_STR_NONE;
    enum ps_json_kind kind;
    int r = step(w);
    if (r <= 0)
        return r;
    if (w->close == '}' && !take_name(&w->scan, &name))
        return PS_EINVAL;
    const char *start = w->scan.at;
    if (ps_json_value(&w->scan, 1, &kind, &text) != PS_REJECT_NONE)
        return PS_EINVAL;
    if (kind == PS_JSON_CONTAINER)
        text = (struct ps_str){start, (size_t)(w->scan.at - start)};
    ps_json_space(&w->scan);
    *ret_name = name;
    *ret_kind = kind;
    *ret_text = text;
    return 1;
}

bool ps_json_walk_is_all(struct ps_json_walk *w)
{
    ps_json_space(&w->scan);
    return w->scan.at == w->scan.end;
}
