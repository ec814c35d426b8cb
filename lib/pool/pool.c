/* The public handle: what it is made of, who holds it, what it tells. */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/versioned.h"
#include "fork/fork.h"
#include "pool/arena.h"
#include "pool/fence.h"
#include "pool/pool.h"

#define BUFFER_BYTES_MIN 4096u
#define BUFFER_BYTES_MAX (16u << 20)
#define BUFFER_BYTES_DEFAULT (68u << 10) /* a UDP datagram, head and address, in whole pages */
#define COUNT_MAX 32768u                 /* what a ring of provided buffers can hold */
#define QUARANTINE_DEFAULT_NS 5000000u
#define FLAGS_LOCK (UC_POOL_MLOCK | UC_POOL_MLOCK_REQUIRED)
#define FLAGS (FLAGS_LOCK | UC_POOL_REGISTER | UC_POOL_REGISTER_REQUIRED)

#define IDS 255u                    /* 0 is no pool: no token is 0 */
#define GENERATION_STEP 2654435769u /* 2^32 divided by the golden ratio: multiples lie far apart */

static int check_range(uint32_t value, uint32_t min, uint32_t max)
{
    return value >= min && value <= max ? 0 : -EINVAL;
}

/* Fill in the defaults and refuse what is out of range. */
static int settle(struct uc_pool_options *options)
{
    if (options->flags & ~(uint32_t)FLAGS || options->reserved)
        return -EINVAL;
    if (!options->buffer_bytes)
        options->buffer_bytes = BUFFER_BYTES_DEFAULT;
    if (!options->buffer_count)
        options->buffer_count = UCI_POOL_COUNT_DEFAULT;
    if (check_range(options->buffer_bytes, BUFFER_BYTES_MIN, BUFFER_BYTES_MAX) < 0 ||
        check_range(options->buffer_count, 1, COUNT_MAX) < 0)
        return -EINVAL;
    if (!options->buffer_max)
        options->buffer_max = options->buffer_count < COUNT_MAX / UCI_POOL_GROWTH_DEFAULT
                                  ? options->buffer_count * UCI_POOL_GROWTH_DEFAULT
                                  : COUNT_MAX;
    if (check_range(options->buffer_max, options->buffer_count, COUNT_MAX) < 0)
        return -EINVAL;
    options->buffer_bytes = (uint32_t)uci_arena_round_up(options->buffer_bytes);
    if (options->quarantine_ns == UC_QUARANTINE_DEFAULT)
        options->quarantine_ns = QUARANTINE_DEFAULT_NS;
    return 0;
}

static void name_pool(uc_pool *pool)
{
    static _Atomic uint32_t made;
    uint32_t number = atomic_fetch_add(&made, 1);

    pool->id = number % IDS + 1;
    pool->first_generation = number / IDS * GENERATION_STEP;
    pool->generation = 1;
}

/* Leases that are left are the parent's: their accounts are at an end. */
static void clear_accounts(uc_pool *pool)
{
    for (uint32_t index = 0; index < pool->count; index++) {
        struct uci_buffer *buffer = &pool->buffers[index];

        if (buffer->state == UCI_BUFFER_LEASED && buffer->account)
            uci_account_return(pool, buffer->account, pool->buffer_bytes);
        buffer->account = NULL;
    }
    uci_accounts_settle(pool);
}

static void destroy(uc_pool *pool)
{
    clear_accounts(pool);
    if (pool->base)
        uci_arena_release(pool->base, pool->reserved_bytes);
    free(pool->buffers);
    free(pool);
}

static int fill(uc_pool *pool, const struct uc_pool_options *options)
{
    int r = uci_fence_wanted();

    uci_list_init(&pool->returned);
    uci_list_init(&pool->unsettled);
    if (r < 0)
        return r;
    pool->fenced = r;
    name_pool(pool);
    pool->references = 1;
    pool->buffer_bytes = options->buffer_bytes;
    pool->stride = r ? uci_fence_stride(options->buffer_bytes) : options->buffer_bytes;
    pool->max = options->buffer_max;
    pool->flags = options->flags;
    pool->quarantine_ns = options->quarantine_ns;
    pool->now_ns = uci_clock_now_ns;
    pool->free_first = pool->quarantine_first = pool->quarantine_last = UCI_BUFFER_NONE;
    pool->origin = uci_origin();
    pool->buffers = calloc(pool->max, sizeof *pool->buffers);
    if (!pool->origin || !pool->buffers)
        return -ENOMEM;
    pool->reserved_bytes = uci_pool_offset(pool, pool->max);
    r = uci_arena_reserve(pool->reserved_bytes, &pool->base);
    if (r < 0)
        return r;
    return uci_pool_grow(pool, options->buffer_count);
}

int uc_pool_new(const struct uc_pool_options *given, uc_pool **ret_pool)
{
    struct uc_pool_options options = {.quarantine_ns = UC_QUARANTINE_DEFAULT};
    uc_pool *pool;
    int r;

    CHECK_ARG(ret_pool);
    if (given) {
        r = uci_struct_in(&options, sizeof options, sizeof options, given);
        if (r < 0)
            return r;
    }
    r = settle(&options);
    if (r < 0)
        return r;
    pool = calloc(1, sizeof *pool);
    if (!pool)
        return -ENOMEM;
    r = fill(pool, &options);
    if (r < 0) {
        destroy(pool);
        return r;
    }
    *ret_pool = pool;
    return 0;
}

uc_pool *uc_pool_free(uc_pool *pool)
{
    if (pool && !pool->handle_freed) {
        pool->handle_freed = true;
        uci_pool_drop(pool);
    }
    return NULL;
}

void *uc_pool_base(uc_pool *pool)
{
    return pool ? pool->base : NULL;
}

uint64_t uc_pool_reserved(uc_pool *pool)
{
    return pool ? pool->reserved_bytes : 0;
}

int uc_pool_get_stats(uc_pool *pool, struct uc_pool_stats *ret_stats)
{
    struct uc_pool_stats stats;

    CHECK_ARG(pool && ret_stats);
    if (!uci_origin_is_mine(pool->origin))
        return -ECHILD;
    uci_pool_expire(pool);
    stats = (struct uc_pool_stats){
        .buffer_bytes = pool->buffer_bytes,
        .buffers = pool->count,
        .buffers_max = pool->max,
        .free = pool->by_state[UCI_BUFFER_FREE],
        .in_flight = pool->by_state[UCI_BUFFER_IN_FLIGHT],
        .completed = pool->by_state[UCI_BUFFER_COMPLETED],
        .leased = pool->by_state[UCI_BUFFER_LEASED],
        .quarantine = pool->by_state[UCI_BUFFER_QUARANTINE],
        .generation = pool->generation,
        .grown = pool->grown,
        .exhausted = pool->exhausted,
        .refused = pool->refused,
        .locked_bytes = pool->locked_bytes,
        .registered_bytes = pool->registered_bytes,
    };
    return uci_struct_out(ret_stats, &stats, sizeof(stats), sizeof(stats));
}

int uci_pool_bind(uc_pool *pool)
{
    if (!uci_origin_is_mine(pool->origin))
        return -ECHILD;
    if (pool->bound)
        return -EBUSY;
    pool->bound = true;
    pool->references++;
    return 0;
}

void uci_pool_unbind(uc_pool *pool)
{
    if (uci_origin_is_mine(pool->origin))
        for (uint32_t index = 0; index < pool->count; index++)
            uci_pool_recycle(pool, index);
    uci_accounts_settle(pool);
    pool->registered_bytes = 0;
    pool->bound = false;
    uci_pool_drop(pool);
}

void uci_pool_drop(uc_pool *pool)
{
    uint32_t leases = pool->by_state[UCI_BUFFER_LEASED];

    pool->references--;
    if (pool->references == (uci_origin_is_mine(pool->origin) ? 0 : leases))
        destroy(pool);
}

int uci_pool_grow(uc_pool *pool, uint32_t count)
{
    uint64_t begin = uci_pool_offset(pool, pool->count);
    uint64_t bytes = uci_pool_offset(pool, count) - begin;

    if (pool->flags & FLAGS_LOCK) {
        int r = uci_arena_lock(pool->base + begin, bytes);

        if (r < 0 && pool->flags & UC_POOL_MLOCK_REQUIRED)
            return r;
        if (r == 0)
            pool->locked_bytes += bytes;
    }
    for (uint32_t index = count; index-- > pool->count;) {
        pool->buffers[index].generation = pool->first_generation;
        pool->buffers[index].next = pool->free_first;
        pool->free_first = index;
        if (pool->fenced)
            uci_fence_shut(pool, index);
    }
    pool->by_state[UCI_BUFFER_FREE] += count - pool->count;
    pool->count = count;
    return 0;
}

void uci_pool_reinit(uc_pool *pool)
{
    uint64_t bytes = uci_pool_offset(pool, pool->count);

    clear_accounts(pool);
    pool->references -= pool->by_state[UCI_BUFFER_LEASED];
    pool->origin = uci_origin();
    pool->generation++;
    pool->registered_bytes = 0;
    pool->locked_bytes = 0; /* a child does not inherit locks */
    if (pool->flags & FLAGS_LOCK && uci_arena_lock(pool->base, bytes) == 0)
        pool->locked_bytes = bytes;
    pool->free_first = pool->quarantine_first = pool->quarantine_last = UCI_BUFFER_NONE;
    for (uint32_t state = 0; state < UCI_BUFFER_STATES; state++)
        pool->by_state[state] = 0;
    for (uint32_t index = pool->count; index-- > 0;) {
        pool->buffers[index].generation++;
        if (pool->fenced && !uci_buffer_is_idle(pool->buffers[index].state))
            uci_fence_shut(pool, index);
        pool->buffers[index].state = UCI_BUFFER_FREE;
        pool->buffers[index].next = pool->free_first;
        pool->free_first = index;
    }
    pool->by_state[UCI_BUFFER_FREE] = pool->count;
}
