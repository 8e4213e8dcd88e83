/* table.c - see table.h.  SPDX-License-Identifier: MIT */
#include "cli/table.h"

#include "base/check.h"
#include "cli/cli.h"
#include "cli/term.h"

#include <string.h>

enum { GAP = 2, NARROW_GAP = 1, LOUD = 2, QUIET = 1, CELL_BYTES_MAX = 64 * 1024 };

void ps_table_init(struct ps_table *t, const struct ps_column *columns, size_t count)
{
    PS_ASSERT(count > 0 && count <= PS_TABLE_COLUMNS_MAX);
    *t = (struct ps_table){.columns = columns, .count = count};
    ps_buf_init(&t->cells, PS_OUTPUT_MAX);
    for (size_t i = 0; i < count; i++)
        t->widths[i] = ps_term_width((struct ps_str){columns[i].name, strlen(columns[i].name)});
}

void ps_table_done(struct ps_table *t)
{
    ps_buf_done(&t->cells);
}

/* A NUL ends a cell; one inside a text would be shown as \u0000, and data has none. */
void ps_table_cell(struct ps_table *t, struct ps_str text, bool loud)
{
    PS_ASSERT(t->at < t->count);
    const char mark = loud ? LOUD : QUIET;
    size_t len = text.len < CELL_BYTES_MAX ? text.len : CELL_BYTES_MAX;
    const char *nul = len == 0 ? NULL : memchr(text.ptr, '\0', len);
    text.len = nul == NULL ? len : (size_t)(nul - text.ptr);
    int width = ps_term_width(text);
    t->says[t->at] = t->says[t->at] || !ps_str_equal(text, PS_STR("-"));
    if (width > t->widths[t->at])
        t->widths[t->at] = width;
    t->at++;
    ps_buf_append(&t->cells, &mark, 1);
    ps_buf_append(&t->cells, text.ptr, text.len);
    ps_buf_append(&t->cells, "", 1);
}

void ps_table_text(struct ps_table *t, const char *text)
{
    ps_table_cell(t, (struct ps_str){text, strlen(text)}, false);
}

void ps_table_end_row(struct ps_table *t)
{
    PS_ASSERT(t->at == t->count);
    t->at = 0;
    t->rows++;
}

/* --- what fits --- */

static int sum_widths(const struct ps_table *t, const int *widths, int gap)
{
    int sum = 0;
    for (size_t i = 0; i < t->count; i++)
        sum += widths[i] > 0 ? widths[i] + gap : 0;
    return sum - gap;
}

/* Takes up to `excess` columns from the elastic ones, the widest first. */
static void shrink(const struct ps_table *t, int *widths, int excess, bool below_least)
{
    while (excess > 0) {
        size_t widest = t->count;
        for (size_t i = 0; i < t->count; i++) {
            int least = below_least ? 1 : t->columns[i].least;
            if (t->columns[i].least > 0 && widths[i] > least &&
                (widest == t->count || widths[i] > widths[widest]))
                widest = i;
        }
        if (widest == t->count)
            return;
        widths[widest]--;
        excess--;
    }
}

/* `silent`: one that says nothing, of those that may go. */
static bool drop_one(const struct ps_table *t, int *widths, bool silent)
{
    size_t worst = t->count;
    for (size_t i = 0; i < t->count; i++)
        if (t->columns[i].drop > 0 && widths[i] > 0 && !(silent && t->says[i]) &&
            (worst == t->count || t->columns[i].drop > t->columns[worst].drop))
            worst = i;
    if (worst == t->count)
        return false;
    widths[worst] = 0;
    return true;
}

/* Returns the gap between columns. */
static int choose_widths(const struct ps_table *t, int width, int *ret)
{
    int least[PS_TABLE_COLUMNS_MAX];
    memcpy(ret, t->widths, sizeof t->widths);
    while (t->rows > 0 && sum_widths(t, ret, GAP) > width && drop_one(t, ret, true))
        continue;
    if (sum_widths(t, ret, GAP) <= width)
        return GAP;
    int gap = NARROW_GAP;
    memcpy(least, ret, sizeof least);
    shrink(t, least, sum_widths(t, least, gap), false);
    while (sum_widths(t, least, gap) > width && drop_one(t, least, false))
        continue;
    for (size_t i = 0; i < t->count; i++)
        ret[i] = least[i] == 0 ? 0 : ret[i];
    shrink(t, ret, sum_widths(t, ret, gap) - width, false);
    shrink(t, ret, sum_widths(t, ret, gap) - width, true);
    return gap;
}

/* --- printing --- */

static void put_cell(struct ps_buf *line, const struct ps_column *c, struct ps_str text, int width,
                     bool last)
{
    struct ps_buf shown;
    ps_buf_init(&shown, PS_OUTPUT_MAX);
    int taken = ps_term_fit(&shown, text, width);
    if (c->right)
        ps_buf_format(line, "%*s", width - taken, "");
    ps_buf_append(line, shown.ptr, shown.len);
    if (!c->right && !last)
        ps_buf_format(line, "%*s", width - taken, "");
    if (shown.failed != 0)
        line->failed = shown.failed;
    ps_buf_done(&shown);
}

struct layout {
    int widths[PS_TABLE_COLUMNS_MAX], gap;
    bool color;
};

/* A row from its first cell on; returns where the next begins. `heading`: the names instead. */
static const char *put_row(const struct ps_table *t, struct ps_buf *line, const struct layout *l,
                           const char *at, bool heading)
{
    bool first = true;
    for (size_t i = 0; i < t->count; i++) {
        const char *text = heading ? t->columns[i].name : at + 1;
        struct ps_str cell = {text, strlen(text)};
        bool loud = !heading && l->color && *at == LOUD;
        if (l->widths[i] > 0) {
            if (!first)
                ps_buf_format(line, "%*s", l->gap, "");
            if (loud)
                ps_buf_text(line, "\033[31m");
            put_cell(line, &t->columns[i], cell, l->widths[i], i + 1 == t->count);
            if (loud)
                ps_buf_text(line, "\033[0m");
            first = false;
        }
        at = heading ? at : text + cell.len + 1;
    }
    while (line->len > 0 && line->ptr[line->len - 1] == ' ')
        line->len--;
    return at;
}

int ps_table_print(const struct ps_table *t, FILE *out, int width, bool color)
{
    struct layout l = {.color = color};
    struct ps_buf line;
    const char *at = t->cells.ptr;
    if (t->cells.failed != 0)
        return t->cells.failed;
    l.gap = choose_widths(t, width, l.widths);
    ps_buf_init(&line, PS_OUTPUT_MAX);
    put_row(t, &line, &l, at, true);
    fprintf(out, "%s%.*s%s\n", color ? "\033[1m" : "", (int)line.len, line.ptr,
            color ? "\033[0m" : "");
    for (size_t i = 0; i < t->rows && line.failed == 0; i++) {
        ps_buf_clear(&line);
        at = put_row(t, &line, &l, at, false);
        fprintf(out, "%.*s\n", (int)line.len, line.ptr);
    }
    int failed = line.failed;
    ps_buf_done(&line);
    return failed;
}

/* --- the numbers of a path --- */

void ps_table_numbers(struct ps_table *t, const struct ps_ranked *p)
{
    char requests[32], errors[32], share[32], clients[34];
    bool has = p->count_us > 0, loud = p->errors > 0;
    const uint64_t times[] = {has ? p->sum_us / p->count_us : 0, p->p50_us, p->p95_us, p->p99_us};
    ps_table_text(t, ps_cli_count(requests, p->requests));
    ps_cli_count(errors, p->errors);
    ps_table_cell(t, (struct ps_str){errors, strlen(errors)}, loud);
    snprintf(share, sizeof share, "%.1f",
             p->requests > 0 ? 100.0 * (double)p->errors / (double)p->requests : 0.0);
    ps_table_cell(t, (struct ps_str){share, strlen(share)}, loud);
    for (size_t i = 0; i < PS_COUNT_OF(times); i++) {
        char time[32];
        ps_table_text(t, ps_cli_time(time, has, times[i]));
    }
    clients[0] = '~';
    ps_cli_count(clients + 1, p->clients);
    ps_table_text(t, clients + p->clients_exact);
}
