/*
 * How many buffers the kernel can choose from.
 *
 * Many: a receive that finds none ends, and has to be armed again. Few: the kernel goes through
 * them in turn, so all of them are touched, also by idle connections that say a word now and then;
 * and what a burst goes through should fit the cache.
 *
 * So they are few, until they run out in a turn whose buffers were mostly empty (of small messages
 * a cache holds many), or for more than four receives in vain for each buffer; and few again once
 * buffers are filled and do not run out. Nothing is lost either way: the bytes wait in their
 * sockets.
 */
#include "flow/flow.h"

#define DESCRIPTORS_MAX 56 /* so many have a buffer each, ... */
#define SPARE 8            /* ... and these are for all */
#define MOSTLY_EMPTY 4     /* one part in so many is filled */
#define FAR_MORE 4         /* receives in vain for each buffer */

/* Learn from the last turn how many more than at first are needed. */
static void adapt(uc_ring *ring, uint32_t provided, uint32_t max)
{
    bool mostly_empty = ring->mean_payload * MOSTLY_EMPTY < ring->pool->buffer_bytes;

    if (!ring->ran_out && !mostly_empty)
        ring->more_provided -= (ring->more_provided + SPARE - 1) / SPARE;
    else if (ring->ran_out && ring->more_provided < max &&
             (mostly_empty || ring->ran_out > FAR_MORE * provided))
        ring->more_provided = ring->more_provided * 2 + SPARE;
    ring->ran_out = 0;
}

static uint32_t wanted(uc_ring *ring)
{
    uint32_t max = ring->pool->max - ring->pool->by_state[UCI_BUFFER_LEASED];
    uint32_t n = ring->attached_count;

    /* Not all: some operations and leases choose a buffer themselves. */
    if (max > 1)
        max -= (max + 3) / 4;
    n = (n < DESCRIPTORS_MAX ? n : DESCRIPTORS_MAX) + SPARE;
    adapt(ring, n + ring->more_provided, max);
    n += ring->more_provided;
    return n < max ? n : max;
}

bool uci_flow_may_provide(const uc_ring *ring)
{
    return (ring->backend->features & UC_FEATURE_BUFFER_RING) && ring->pool->max > 1;
}

void uci_flow_provide(uc_ring *ring)
{
    uint32_t most, buffer;

    if (!uci_flow_may_provide(ring))
        return;
    most = wanted(ring);
    while (ring->provided < most && uci_pool_can_take(ring->pool) &&
           uci_pool_take(ring->pool, &buffer) == 0) {
        ring->backend->table->provide(ring->backend, buffer);
        ring->provided++;
    }
}
