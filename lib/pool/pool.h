/*
 * The inside of the pool: what the two roads do with buffers. States and their changes:
 *
 *   uci_pool_take       free       -> in flight   (grows the pool when none is free)
 *   uci_pool_complete   in flight  -> completed   (again, for a payload that waited in a stash)
 *   uci_pool_recycle    in flight, completed -> free   (a kept buffer is left alone)
 *   uc_pool_keep        completed  -> leased
 *   uc_pool_lease       free       -> leased
 *   uc_pool_release     leased     -> quarantine, or free where quarantine is 0
 *   uci_pool_expire     quarantine -> free
 *
 * Buffers are named by index here, by token (generation 32 | pool 8 | index 24) at the border.
 */
#pragma once

#include <stdbool.h>
#include <uc/pool.h>

#include "pool/account.h"

#define UCI_BUFFER_NONE UINT32_MAX

#define UCI_POOL_COUNT_DEFAULT 64u  /* buffers, */
#define UCI_POOL_GROWTH_DEFAULT 16u /* and how many times as many there may be */

enum uci_buffer_state {
    UCI_BUFFER_FREE,
    UCI_BUFFER_IN_FLIGHT,
    UCI_BUFFER_COMPLETED,
    UCI_BUFFER_LEASED,
    UCI_BUFFER_QUARANTINE,
    UCI_BUFFER_STATES /* how many */
};

struct uci_buffer {
    uint32_t next;       /* in whichever list the buffer is: free, quarantine, a stash, a batch */
    uint32_t generation; /* rises each time the buffer leaves its holder's hands */
    uint32_t start;      /* of the payload, from the buffer's first byte */
    uint32_t length;     /* of the payload */
    uint32_t state;      /* enum uci_buffer_state */
    uint32_t detail;     /* what the completion said beside the payload; flow's */
    uint64_t free_at_ns; /* end of quarantine */
    struct uci_account *account; /* of a completed or leased one: whose it is, or NULL */
};

/* Nobody's: neither the kernel nor a caller has it. */
static inline bool uci_buffer_is_idle(uint32_t state)
{
    return state == UCI_BUFFER_FREE || state == UCI_BUFFER_QUARANTINE;
}

struct uc_pool {
    uint64_t origin;
    uint32_t references; /* the handle's, the ring's, and one for each lease */
    uint32_t id;         /* 1 to 255, part of every token */
    uint32_t generation;
    uint32_t first_generation; /* of a new buffer; differs between pools that share an id */
    bool handle_freed;
    bool bound; /* serves a ring */
    uint8_t *base;
    uint64_t reserved_bytes;
    uint32_t buffer_bytes;
    bool fenced;     /* UC_FENCE=1 */
    uint64_t stride; /* from one buffer to the next */
    uint32_t count;
    uint32_t max;
    uint32_t flags;
    uint64_t quarantine_ns;
    uint64_t (*now_ns)(void);   /* injectable, for tests */
    struct uci_buffer *buffers; /* max of them */
    uint32_t free_first;        /* last in, first out: the warmest memory is used again first */
    uint32_t quarantine_first, quarantine_last;
    uint32_t by_state[UCI_BUFFER_STATES];
    struct uci_link returned;  /* accounts to which leases have come back */
    struct uci_link unsettled; /* accounts that were left in this turn */
    uint64_t grown, exhausted, refused, locked_bytes, registered_bytes;
};

/* A ring begins to use the pool, and holds a reference: -EBUSY, -ECHILD. */
int uci_pool_bind(uc_pool *pool);

/* The kernel has let go of everything: buffers in flight and completed become free. Drops the
 * reference. In a forked child only that. */
void uci_pool_unbind(uc_pool *pool);

/* Drop a reference. With the last one everything goes; in a forked child the leases do not count,
 * because they were the parent's. */
void uci_pool_drop(uc_pool *pool);

/* Have @count buffers, at most max. -ENOMEM, -EPERM: they had to be locked and cannot be. */
int uci_pool_grow(uc_pool *pool, uint32_t count);

int uci_pool_take(uc_pool *pool, uint32_t *ret_index); /* -ENOBUFS */

static inline bool uci_pool_can_take(const uc_pool *pool)
{
    return pool->by_state[UCI_BUFFER_FREE] || pool->count < pool->max ||
           pool->by_state[UCI_BUFFER_QUARANTINE];
}

void uci_pool_complete(uc_pool *pool, uint32_t index, uint32_t start, uint32_t length);

/* On whose account a completed buffer is leased if its record is kept. */
static inline void uci_pool_charge_to(uc_pool *pool, uint32_t index, struct uci_account *account)
{
    pool->buffers[index].account = account;
}

void uci_pool_recycle(uc_pool *pool, uint32_t index);

/* As recycle, if the buffer is still in the life that the token names. For records given out: their
 * buffer may have been kept, released and taken again since, and be the kernel's now. */
void uci_pool_recycle_token(uc_pool *pool, uint64_t token);

/* Quarantines that are over end. Return: nanoseconds until the next one does, -1 if none rests. */
int64_t uci_pool_expire(uc_pool *pool);

uint64_t uci_pool_token(const uc_pool *pool, uint32_t index);

static inline uint64_t uci_pool_offset(const uc_pool *pool, uint32_t index)
{
    return index * pool->stride;
}

/* In a forked child: the pool becomes the child's, with the same handle and ring as before; every
 * buffer is free, old leases are refused. Locked memory is locked anew, as far as that works. */
void uci_pool_reinit(uc_pool *pool);
