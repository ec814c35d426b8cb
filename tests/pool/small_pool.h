/* The pool that the tests work on, and what holds of it after every test, whatever the test did. */
#pragma once

#include <sys/mman.h>

#include "pool/pool.h"

#define COUNT 4
#define MAX 16
#define QUARANTINE_NS 1000

/* A clock that stands until the test moves it. */
static uint64_t clock_ns;

static inline uint64_t read_clock(void)
{
    return clock_ns;
}

static inline struct uc_pool_options small(void)
{
    return (struct uc_pool_options){
        .size = sizeof(struct uc_pool_options),
        .buffer_bytes = 4096,
        .buffer_count = COUNT,
        .buffer_max = MAX,
        .quarantine_ns = QUARANTINE_NS,
    };
}

/* Return: how many buffers a list has, or -1 if one of them is not in @state, or it has no end. */
static inline int64_t list_length(const uc_pool *pool, uint32_t first, uint32_t state)
{
    int64_t length = 0;

    for (uint32_t index = first; index != UCI_BUFFER_NONE; index = pool->buffers[index].next)
        if (pool->buffers[index].state != state || ++length > pool->count)
            return -1;
    return length;
}

/* The five counts are those of the buffers, add up to all, and fit the two lists. */
static inline bool adds_up(const uc_pool *pool)
{
    uint32_t counts[UCI_BUFFER_STATES] = {0}, all = 0;

    for (uint32_t index = 0; index < pool->count; index++)
        counts[pool->buffers[index].state]++;
    for (uint32_t state = 0; state < UCI_BUFFER_STATES; state++) {
        all += pool->by_state[state];
        if (counts[state] != pool->by_state[state])
            return false;
    }
    return all == pool->count && pool->count <= pool->max &&
           list_length(pool, pool->free_first, UCI_BUFFER_FREE) == counts[UCI_BUFFER_FREE] &&
           list_length(pool, pool->quarantine_first, UCI_BUFFER_QUARANTINE) ==
               counts[UCI_BUFFER_QUARANTINE] &&
           pool->references == !pool->handle_freed + pool->bound + counts[UCI_BUFFER_LEASED];
}

static int set_up(void **state)
{
    struct uc_pool_options options = small();
    uc_pool *pool;

    if (uc_pool_new(&options, &pool) < 0)
        return -1;
    clock_ns = 1;
    pool->now_ns = read_clock;
    *state = pool;
    return 0;
}

/* A test that frees the pool itself sets its state to NULL. Leases end here. */
static int tear_down(void **state)
{
    uc_pool *pool = *state;
    bool fine = !pool || adds_up(pool);

    for (uint32_t index = 0; pool && index < pool->count; index++)
        if (pool->buffers[index].state == UCI_BUFFER_LEASED)
            uc_pool_release(pool, uci_pool_token(pool, index));
    uc_pool_free(pool);
    return fine ? 0 : -1;
}

static inline bool is_mapped(void *address)
{
    unsigned char resident;

    return mincore(address, 1, &resident) == 0;
}
