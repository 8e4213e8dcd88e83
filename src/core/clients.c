/* clients.c - see clients.h.
 *
 * Full, the set no longer knows whether there are more; (k - 1) / h_k, with h_k the largest hash
 * held as a fraction of the hash space, is the unbiased estimate of Bar-Yossef et al. 2002.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/clients.h"

#include "base/check.h"
#include "base/err.h"

enum { FIRST_HASHES = 4 };

int ps_clients_reserve(struct ps_clients *c, size_t more, const struct ps_alloc *alloc)
{
    size_t want = c->len + more;
    if (want > PS_CLIENTS_MAX)
        want = PS_CLIENTS_MAX;
    if (want <= c->cap)
        return 0;
    size_t cap = c->cap == 0 ? FIRST_HASHES : c->cap;
    while (cap < want)
        cap *= 2;
    if (cap > PS_CLIENTS_MAX)
        cap = PS_CLIENTS_MAX;
    void *hashes =
        alloc->resize(alloc->ctx, c->hashes, c->cap * sizeof *c->hashes, cap * sizeof *c->hashes);
    if (hashes == NULL)
        return PS_ENOMEM;
    c->hashes = hashes;
    c->cap = (uint32_t)cap;
    return 0;
}

void ps_clients_put(struct ps_clients *c, uint64_t hash)
{
    size_t low = 0, high = c->len;
    if (c->len == PS_CLIENTS_MAX && hash >= c->hashes[PS_CLIENTS_MAX - 1])
        return;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c->hashes[middle] < hash)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < c->len && c->hashes[low] == hash)
        return;
    if (c->len == PS_CLIENTS_MAX)
        c->len--; /* the largest goes */
    PS_ASSERT(c->len < c->cap);
    __builtin_memmove(c->hashes + low + 1, c->hashes + low, (c->len - low) * sizeof *c->hashes);
    c->hashes[low] = hash;
    c->len++;
}

/* floor(numerator * 2^64 / divisor) for numerator < divisor, a bit at a time: needs no 128-bit
 * division, which WebAssembly lacks. */
static uint64_t divide_shifted(uint64_t numerator, uint64_t divisor)
{
    uint64_t quotient = 0, rest = numerator;
    for (int i = 0; i < 64; i++) {
        bool carry = rest >> 63;
        rest <<= 1;
        quotient <<= 1;
        if (carry || rest >= divisor) {
            rest -= divisor;
            quotient |= 1;
        }
    }
    return quotient;
}

uint64_t ps_clients_estimate(const struct ps_clients *c, bool *ret_exact)
{
    bool exact = c->len < PS_CLIENTS_MAX;
    if (ret_exact != NULL)
        *ret_exact = exact;
    if (exact)
        return c->len;
    uint64_t largest = c->hashes[PS_CLIENTS_MAX - 1];
    uint64_t estimate = divide_shifted(PS_CLIENTS_MAX - 1, largest);
    return estimate < c->len ? c->len : estimate;
}
