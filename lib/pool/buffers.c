/* The life of a buffer: every change of state is here, but for growth and the fresh start in a
 * child. */
#include <assert.h>

#include "base/check.h"
#include "fork/fork.h"
#include "pool/fence.h"
#include "pool/pool.h"

#define INDEX_MASK 0xffffffu
#define ID_MASK 0xffu

uint64_t uci_pool_token(const uc_pool *pool, uint32_t index)
{
    return (uint64_t)pool->buffers[index].generation << 32 | (uint64_t)pool->id << 24 | index;
}

static struct uc_lease lease_of(const uc_pool *pool, uint32_t index)
{
    return (struct uc_lease){
        .token = uci_pool_token(pool, index),
        .offset = uci_pool_offset(pool, index),
        .capacity = pool->buffer_bytes,
    };
}

static void move(uc_pool *pool, uint32_t index, uint32_t state)
{
    struct uci_buffer *buffer = &pool->buffers[index];
    bool was_idle = uci_buffer_is_idle(buffer->state), is_idle = uci_buffer_is_idle(state);

    pool->by_state[buffer->state]--;
    buffer->state = state;
    pool->by_state[state]++;
    if (!pool->fenced || was_idle == is_idle)
        return;
    if (is_idle)
        uci_fence_shut(pool, index);
    else
        uci_fence_open(pool, index);
}

static void move_to_free(uc_pool *pool, uint32_t index)
{
    move(pool, index, UCI_BUFFER_FREE);
    pool->buffers[index].next = pool->free_first;
    pool->free_first = index;
}

static void move_to_quarantine(uc_pool *pool, uint32_t index)
{
    struct uci_buffer *buffer = &pool->buffers[index];
    uint64_t now = pool->now_ns();

    move(pool, index, UCI_BUFFER_QUARANTINE);
    buffer->next = UCI_BUFFER_NONE;
    buffer->free_at_ns =
        pool->quarantine_ns > UINT64_MAX - now ? UINT64_MAX : now + pool->quarantine_ns;
    if (pool->quarantine_first == UCI_BUFFER_NONE)
        pool->quarantine_first = index;
    else
        pool->buffers[pool->quarantine_last].next = index;
    pool->quarantine_last = index;
}

int64_t uci_pool_expire(uc_pool *pool)
{
    uint64_t now;

    if (pool->quarantine_first == UCI_BUFFER_NONE)
        return -1;
    now = pool->now_ns();
    while (pool->quarantine_first != UCI_BUFFER_NONE) {
        uint32_t index = pool->quarantine_first;
        uint64_t free_at = pool->buffers[index].free_at_ns;

        if (free_at > now)
            return free_at - now < INT64_MAX ? (int64_t)(free_at - now) : INT64_MAX;
        pool->quarantine_first = pool->buffers[index].next;
        move_to_free(pool, index);
    }
    return -1;
}

static int grow(uc_pool *pool)
{
    uint32_t count = pool->count < pool->max / 2 ? pool->count * 2 : pool->max;

    if (pool->count == pool->max || uci_pool_grow(pool, count) < 0)
        return -ENOBUFS;
    pool->grown++;
    return 0;
}

/* Take a buffer off the free list, into @state. */
static int take(uc_pool *pool, uint32_t state, uint32_t *ret_index)
{
    uint32_t index;

    if (pool->free_first == UCI_BUFFER_NONE)
        uci_pool_expire(pool);
    if (pool->free_first == UCI_BUFFER_NONE && grow(pool) < 0) {
        pool->exhausted++;
        return -ENOBUFS;
    }
    index = pool->free_first;
    pool->free_first = pool->buffers[index].next;
    pool->buffers[index].next = UCI_BUFFER_NONE;
    move(pool, index, state);
    *ret_index = index;
    return 0;
}

int uci_pool_take(uc_pool *pool, uint32_t *ret_index)
{
    return take(pool, UCI_BUFFER_IN_FLIGHT, ret_index);
}

void uci_pool_complete(uc_pool *pool, uint32_t index, uint32_t start, uint32_t length)
{
    struct uci_buffer *buffer = &pool->buffers[index];

    assert(buffer->state == UCI_BUFFER_IN_FLIGHT || buffer->state == UCI_BUFFER_COMPLETED);
    buffer->start = start;
    buffer->length = length;
    buffer->account = NULL;
    move(pool, index, UCI_BUFFER_COMPLETED);
}

void uci_pool_recycle(uc_pool *pool, uint32_t index)
{
    struct uci_buffer *buffer = &pool->buffers[index];

    if (buffer->state != UCI_BUFFER_IN_FLIGHT && buffer->state != UCI_BUFFER_COMPLETED)
        return;
    buffer->generation++;
    move_to_free(pool, index);
}

/* Find the buffer that a token names, if it is in @state in that life. A refusal is counted. */
static int find(uc_pool *pool, uint64_t token, uint32_t state, uint32_t *ret_index)
{
    uint32_t index = (uint32_t)token & INDEX_MASK;
    const struct uci_buffer *buffer;

    if (((uint32_t)token >> 24 & ID_MASK) != pool->id || index >= pool->count) {
        pool->refused++;
        return -EINVAL;
    }
    buffer = &pool->buffers[index];
    if (buffer->generation != (uint32_t)(token >> 32) || buffer->state != state) {
        pool->refused++;
        return -ESTALE;
    }
    *ret_index = index;
    return 0;
}

void uci_pool_recycle_token(uc_pool *pool, uint64_t token)
{
    uint32_t index = (uint32_t)token & INDEX_MASK;

    if (uci_pool_token(pool, index) == token)
        uci_pool_recycle(pool, index);
}

int uc_pool_lease(uc_pool *pool, struct uc_lease *ret_lease)
{
    uint32_t index;
    int r;

    CHECK_ARG(pool && ret_lease);
    if (!uci_origin_is_mine(pool->origin))
        return -ECHILD;
    r = take(pool, UCI_BUFFER_LEASED, &index);
    if (r < 0)
        return r;
    pool->buffers[index].account = NULL;
    pool->references++;
    *ret_lease = lease_of(pool, index);
    return 0;
}

int uc_pool_keep(uc_pool *pool, uint64_t buffer, struct uc_lease *ret_lease)
{
    uint32_t index;
    int r;

    CHECK_ARG(pool && ret_lease);
    if (!uci_origin_is_mine(pool->origin))
        return -ECHILD;
    r = find(pool, buffer, UCI_BUFFER_COMPLETED, &index);
    if (r < 0)
        return r;
    move(pool, index, UCI_BUFFER_LEASED);
    if (pool->buffers[index].account)
        uci_account_charge(pool->buffers[index].account, pool->buffer_bytes);
    pool->references++;
    *ret_lease = lease_of(pool, index);
    return 0;
}

int uc_pool_release(uc_pool *pool, uint64_t token)
{
    uint32_t index;
    int r;

    CHECK_ARG(pool);
    if (!uci_origin_is_mine(pool->origin))
        return -ECHILD;
    r = find(pool, token, UCI_BUFFER_LEASED, &index);
    if (r < 0)
        return r;
    pool->buffers[index].generation++;
    if (pool->buffers[index].account)
        uci_account_return(pool, pool->buffers[index].account, pool->buffer_bytes);
    if (pool->quarantine_ns)
        move_to_quarantine(pool, index);
    else
        move_to_free(pool, index);
    uci_pool_drop(pool);
    return 0;
}
