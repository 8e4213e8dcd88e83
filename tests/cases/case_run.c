/* case_run.c - see case_run.h: reads the directives, feeds the world, prints.
 *
 * A body is walked twice, because an array that is cut off is refused as a whole.
 *
 * SPDX-License-Identifier: MIT
 */
#include "case_run.h"

#include "case_world.h"
#include "core/decode.h"

struct run {
    struct ps_str text;
    size_t at;
    unsigned line, posts, generated;
    int64_t now_ms;
    struct ps_case_out out;
    struct ps_case_world *world;
};

static bool next_line(struct run *run, struct ps_str *ret)
{
    size_t end = run->at;
    if (run->at == run->text.len)
        return false;
    while (end < run->text.len && run->text.ptr[end] != '\n')
        end++;
    *ret = (struct ps_str){run->text.ptr + run->at, end - run->at};
    run->at = end + (end < run->text.len);
    run->line++;
    return true;
}

/* Cuts off and returns what stands before the first `c`; all of it where there is none. */
static struct ps_str cut(struct ps_str *s, char c)
{
    size_t n = 0;
    while (n < s->len && s->ptr[n] != c)
        n++;
    struct ps_str word = {s->ptr, n};
    n += n < s->len;
    *s = (struct ps_str){s->ptr + n, s->len - n};
    return word;
}

static bool read_u64(struct ps_str s, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(s.ptr[i] - '0');
    }
    if (s.len == 0 || s.len > 19)
        return false;
    *ret = value;
    return true;
}

static void complain(struct run *run, struct ps_str what)
{
    ps_case_put_u64(&run->out, PS_STR("error: line "), run->line);
    ps_case_put(&run->out, PS_STR(": "));
    ps_case_put(&run->out, what);
    ps_case_put(&run->out, PS_STR("\n"));
}

static void put_counts(struct run *run, const struct ps_case_counts *counts)
{
    ps_case_put_u64(&run->out, PS_STR(" accepted="), counts->accepted);
    ps_case_put_u64(&run->out, PS_STR(" new="), counts->fresh);
    ps_case_put_u64(&run->out, PS_STR(" rejected="), counts->rejected);
}

/* --- post --- */

static bool read_body(struct run *run, struct ps_str *ret)
{
    struct ps_str line;
    const char *start = run->text.ptr + run->at;
    while (next_line(run, &line))
        if (ps_str_equal(line, PS_STR(">>>"))) {
            size_t len = (size_t)(line.ptr - start);
            *ret = (struct ps_str){start, len > 0 ? len - 1 : 0}; /* the last newline is ours */
            return true;
        }
    return false;
}

static bool is_fatal(struct ps_str text, char *scratch)
{
    struct ps_body body;
    struct ps_raw_event raw;
    enum ps_reject why;
    ps_body_init(&body, text.ptr, text.len, scratch, NULL);
    while (ps_body_next(&body, &raw, &why) > 0)
        ;
    return body.fatal;
}

static struct ps_str view(const char *text)
{
    size_t len = 0;
    while (text[len] != '\0')
        len++;
    return (struct ps_str){text, len};
}

static void put_rejection(struct run *run, struct ps_body *body, enum ps_reject why)
{
    ps_case_put_u64(&run->out, PS_STR("reject post="), run->posts);
    ps_case_put_u64(&run->out, PS_STR(" index="), body->index);
    ps_case_put_u64(&run->out, PS_STR(" line="), ps_body_line(body));
    ps_case_put(&run->out, PS_STR(" reason="));
    ps_case_put(&run->out, view(ps_reject_name(why)));
    ps_case_put(&run->out, PS_STR("\n"));
}

static void put_warnings(struct run *run, const struct ps_warnings *warnings)
{
    char text[PS_WARNING_TEXT_MAX];
    for (size_t i = 0; i < warnings->count; i++) {
        const struct ps_warning *warning = &warnings->list[i];
        ps_case_put_u64(&run->out, PS_STR("warn post="), run->posts);
        ps_case_put_u64(&run->out, PS_STR(" count="), warning->count);
        ps_case_put(&run->out, PS_STR(" reason="));
        ps_case_put(&run->out, view(ps_reject_name(warning->why)));
        ps_warning_text(warning, text);
        ps_case_put(&run->out, PS_STR(": "));
        ps_case_put(&run->out, view(text));
        ps_case_put(&run->out, PS_STR("\n"));
    }
}

static void walk(struct run *run, struct ps_body *body, bool fatal, struct ps_case_counts *counts)
{
    struct ps_raw_event raw;
    enum ps_reject why;
    while (ps_body_next(body, &raw, &why) > 0) {
        if (why == PS_REJECT_NONE && !fatal)
            why = ps_case_event(run->world, run->now_ms, &raw, body->warnings, counts);
        if (why == PS_REJECT_NONE)
            continue;
        counts->rejected++;
        put_rejection(run, body, why);
    }
}

static void post(struct run *run)
{
    struct ps_str text;
    struct ps_body body;
    struct ps_case_counts counts = {0};
    if (!read_body(run, &text)) {
        complain(run, PS_STR("a body without >>>"));
        return;
    }
    char *scratch = ps_case_take(text.len);
    struct ps_warnings *warnings = ps_case_take(sizeof *warnings);
    bool fatal = is_fatal(text, scratch);
    run->posts++;
    ps_body_init(&body, text.ptr, text.len, scratch, warnings);
    walk(run, &body, fatal, &counts);
    put_warnings(run, warnings);
    ps_case_put_u64(&run->out, PS_STR("post="), run->posts);
    put_counts(run, &counts);
    ps_case_put(&run->out, fatal ? PS_STR(" fatal\n") : PS_STR("\n"));
}

/* --- generate --- */

enum {
    GEN_COUNT,
    GEN_FROM,
    GEN_STEP,
    GEN_SEED,
    GEN_CLIENTS,
    GEN_FIRST,
    GEN_RISE,
    GEN_ERRORS,
    GENS
};

struct plan {
    struct ps_str path, id;
    uint64_t number[GENS];
    bool has_us;
};

static const struct ps_str gen_names[GENS] = {
    [GEN_COUNT] = {"count", 5},     [GEN_FROM] = {"from", 4},
    [GEN_STEP] = {"step_ms", 7},    [GEN_SEED] = {"seed", 4},
    [GEN_CLIENTS] = {"clients", 7}, [GEN_FIRST] = {"us_first", 8},
    [GEN_RISE] = {"us_step", 7},    [GEN_ERRORS] = {"errors_every", 12},
};

static bool read_plan(struct ps_str words, struct plan *plan)
{
    while (words.len > 0) {
        struct ps_str value = cut(&words, ' '), name = cut(&value, '=');
        size_t i = 0;
        while (i < GENS && !ps_str_equal(name, gen_names[i]))
            i++;
        if (ps_str_equal(name, PS_STR("path")))
            plan->path = value;
        else if (ps_str_equal(name, PS_STR("id")))
            plan->id = value;
        else if (i == GENS || !read_u64(value, &plan->number[i]))
            return false;
        plan->has_us |= i == GEN_FIRST || i == GEN_RISE;
    }
    return plan->path.len > 0 && plan->id.len > 0 && plan->id.len < PS_ID_MAX - 21 &&
           plan->number[GEN_COUNT] > 0;
}

/* "<word>-<number>" in `to`, which has 21 bytes more than the word. */
static struct ps_str numbered(struct ps_str word, uint64_t number, char *to)
{
    ps_copy(to, word.ptr, word.len);
    to[word.len] = '-';
    return (struct ps_str){to, word.len + 1 + ps_format_u64(to + word.len + 1, number)};
}

static void generate_one(struct run *run, const struct plan *plan, uint64_t i,
                         struct ps_case_counts *counts)
{
    char id[PS_ID_MAX], client[32];
    const uint64_t *n = plan->number;
    struct ps_raw_event raw;
    ps_raw_event_init(&raw);
    raw.path = plan->path;
    raw.id = numbered(plan->id, i, id);
    raw.timestamp_ms = (int64_t)(n[GEN_FROM] + i * n[GEN_STEP]);
    if (n[GEN_CLIENTS] > 0)
        raw.client_ip = numbered(PS_STR("client"), i % n[GEN_CLIENTS], client);
    if (plan->has_us)
        raw.response_us = (int64_t)(n[GEN_FIRST] + i * n[GEN_RISE]);
    if (n[GEN_ERRORS] > 0)
        raw.status = i % n[GEN_ERRORS] == 0 ? 500 : 200;
    counts->rejected +=
        ps_case_event(run->world, run->now_ms, &raw, NULL, counts) != PS_REJECT_NONE;
}

/* A linear congruence modulo a power of two with a = 1 (mod 4) and odd c meets every number once:
 * an order without an array. */
static void generate(struct run *run, struct ps_str words)
{
    struct plan plan = {0};
    struct ps_case_counts counts = {0};
    if (!read_plan(words, &plan)) {
        complain(run, PS_STR("no such plan"));
        return;
    }
    uint64_t size = 1, seed = plan.number[GEN_SEED], x = 0;
    while (size < plan.number[GEN_COUNT])
        size *= 2;
    for (uint64_t step = 0; step < size; step++) {
        x = seed == 0 ? step : (x * (8 * seed + 5) + 2 * seed + 1) % size;
        if (x < plan.number[GEN_COUNT])
            generate_one(run, &plan, x, &counts);
    }
    ps_case_put_u64(&run->out, PS_STR("generate="), ++run->generated);
    put_counts(run, &counts);
    ps_case_put(&run->out, PS_STR("\n"));
}

/* --- directives --- */

static void obey(struct run *run, struct ps_str line)
{
    struct ps_str rest = line, word = cut(&rest, ' ');
    struct ps_case_out *o = &run->out;
    uint64_t number = 0;
    bool has_number = read_u64(rest, &number);
    if (ps_str_equal(line, PS_STR("post <<<")))
        post(run);
    else if (ps_str_equal(line, PS_STR("rows")))
        ps_case_rows(run->world, o);
    else if (ps_str_equal(word, PS_STR("generate")))
        generate(run, rest);
    else if (ps_str_equal(word, PS_STR("merge")))
        ps_case_merge(run->world, rest, o);
    else if (ps_str_equal(word, PS_STR("now")) && has_number)
        run->now_ms = (int64_t)number;
    else if (ps_str_equal(word, PS_STR("simulate")) && has_number)
        o->len += ps_case_simulate(number, o->text + o->len, o->max - o->len);
    else
        complain(run, PS_STR("no such directive"));
}

size_t ps_case_run(const char *text, size_t len, char *out, size_t out_max)
{
    struct run run = {.text = {text, len}, .out = {out, 0, out_max}};
    struct ps_str line;
    ps_case_arena_rewind(0);
    run.world = ps_case_world();
    while (next_line(&run, &line) && !ps_str_equal(line, PS_STR("expect")))
        if (line.len > 0 && line.ptr[0] != '#')
            obey(&run, line);
    ps_case_arena_rewind(0);
    return run.out.len;
}

size_t ps_case_expected_at(const char *text, size_t len)
{
    struct run run = {.text = {text, len}};
    struct ps_str line;
    while (next_line(&run, &line))
        if (ps_str_equal(line, PS_STR("expect")))
            break;
    return run.at;
}
