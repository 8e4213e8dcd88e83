/* near.c - see near.h.  SPDX-License-Identifier: MIT */
#include "base/near.h"

static size_t length(const char *word) /* the core uses this, and has no libc */
{
    size_t n = 0;
    while (word[n] != '\0')
        n++;
    return n;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static char letter(char c)
{
    return c == '-' ? '_' : c;
}

/* Three rows of the table are enough: a swap looks two back. Both are shorter than the maximum. */
static size_t count_edits(const char *a, const char *b)
{
    size_t rows[3][PS_NEAR_WORD_MAX], len = length(b);
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t *oldest = before;
        before = above;
        above = row;
        row = oldest;
        row[0] = i;
        for (size_t j = 1; j <= len; j++) {
            char x = letter(a[i - 1]), y = letter(b[j - 1]);
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == letter(b[j - 2]) && letter(a[i - 2]) == y)
                row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return row[len];
}

void ps_near_init(struct ps_near *n, const char *word)
{
    *n = (struct ps_near){.word = word, .fewest = PS_NEAR_EDITS_MAX + 1};
}

void ps_near_try(struct ps_near *n, const char *candidate)
{
    size_t len = length(n->word);
    if (len >= PS_NEAR_WORD_MAX || length(candidate) >= PS_NEAR_WORD_MAX)
        return;
    size_t edits = count_edits(n->word, candidate);
    if (edits < n->fewest && edits * 2 <= len) {
        n->fewest = edits;
        n->best = candidate;
    }
}
