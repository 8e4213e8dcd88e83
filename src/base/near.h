/* near.h - which of some words a mistyped one was meant to be.
 *
 *     struct ps_near n; ps_near_init(&n, "improt"); ps_near_try(&n, "import"); … n.best
 *
 * The distance is that of Damerau and Levenshtein (optimal string alignment): a letter more, less
 * or other, or two neighbours swapped, is one edit each; `-` and `_` are one letter. Freestanding.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PS_BASE_NEAR_H
#define PS_BASE_NEAR_H

#include <stddef.h>

enum {
    PS_NEAR_WORD_MAX = 48, /* bytes with the NUL; nothing is near a longer one */
    PS_NEAR_EDITS_MAX = 3, /* a hint further away than this would only confuse */
};

struct ps_near {
    const char *word, *best; /* best NULL: nothing is near */
    size_t fewest;
};

void ps_near_init(struct ps_near *n, const char *word);
/* Keeps `candidate` when it is nearer than the best so far, and half of `word` is right. */
void ps_near_try(struct ps_near *n, const char *candidate);

#endif
