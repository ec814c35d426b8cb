/*
 * uc_pool: the memory that the kernel receives into.
 *
 * One reserved stretch of address space, cut into buffers of one size. A buffer is always in one of
 * these states:
 *
 *        free ----> in flight ----> completed ----> free
 *         |       (the kernel's)  (in a record)      ^
 *         |                           | keep         |
 *         +--------- lease -----> leased ------> quarantine
 *
 * A buffer in flight belongs to the kernel. A completed one belongs to the caller until the next
 * uc_ring_wait(), which takes back whatever was not kept. A lease belongs to its holder until
 * uc_pool_release(); then the buffer rests in quarantine, because a foreign view of it may still
 * exist, before it can be used again.
 *
 * Every lease carries the pool's identity and the generation of its buffer: a lease of another
 * pool, of an earlier life of the buffer, or released twice, is refused and nothing changes.
 *
 * With UC_FENCE=1 in the environment of uc_pool_new() a buffer that nobody holds (free, or in
 * quarantine) is without access, buffers stand a page apart, and what changed in one all the same
 * is found at its next use, which then aborts the program and says what it knows. To hunt writes
 * that come too late; every change of state costs a system call.
 *
 * A pool serves one ring at a time. Its functions are called by the thread that runs the ring.
 */
#ifndef UC_POOL_H
#define UC_POOL_H

#include <stdint.h>
#include <uc/export.h>

UC_BEGIN_DECLS

/** uc_pool - an opaque handle, made by uc_pool_new() */
typedef struct uc_pool uc_pool;

/* Bits of uc_pool_options.flags. */
enum uc_pool_flag {
    UC_POOL_MLOCK = 1,            /* lock the memory if the limit allows it; see locked_bytes */
    UC_POOL_MLOCK_REQUIRED = 2,   /* lock the memory or fail */
    UC_POOL_REGISTER = 4,         /* register it with the ring as fixed buffers, likewise */
    UC_POOL_REGISTER_REQUIRED = 8 /* register it or let uc_ring_new() fail */
};

#define UC_QUARANTINE_DEFAULT UINT64_MAX

struct uc_pool_options {
    uint32_t size;          /* sizeof(struct uc_pool_options) */
    uint32_t flags;         /* UC_POOL_* */
    uint32_t buffer_bytes;  /* of one buffer: 4 KiB to 16 MiB, whole pages; 0 means 68 KiB, which is
                               room for every UDP datagram */
    uint32_t buffer_count;  /* at the start: 1 to 32768; 0 means 64 */
    uint32_t buffer_max;    /* after growing: buffer_count to 32768; 0 means 16 x buffer_count */
    uint32_t reserved;      /* 0 */
    uint64_t quarantine_ns; /* rest of a released lease; UC_QUARANTINE_DEFAULT means 5 ms */
};

struct uc_pool_stats {
    uint32_t size; /* sizeof(struct uc_pool_stats), set by the caller */
    uint32_t reserved;
    uint64_t buffer_bytes;     /* of one buffer */
    uint64_t buffers;          /* all there are now */
    uint64_t buffers_max;      /* up to which the pool may grow */
    uint64_t free;             /* by state: these five add up to buffers */
    uint64_t in_flight;        /* the kernel's */
    uint64_t completed;        /* in a record, or waiting for a paused receiver */
    uint64_t leased;           /* kept or leased by the caller */
    uint64_t quarantine;       /* released, resting */
    uint64_t generation;       /* of the pool: rises in a forked child and at re-initialisation */
    uint64_t grown;            /* how often the pool has grown */
    uint64_t exhausted;        /* how often no buffer was to be had */
    uint64_t refused;          /* leases refused: stale, foreign or released twice */
    uint64_t locked_bytes;     /* 0 where none was asked for or the limit forbids it */
    uint64_t registered_bytes; /* of memory registered with the ring as fixed buffers */
};

/* A buffer in the caller's hands. */
struct uc_lease {
    uint64_t token;    /* names the lease to uc_pool_release(); never 0 */
    uint64_t offset;   /* of the buffer's first byte, from uc_pool_base() */
    uint64_t capacity; /* of the buffer, in bytes */
};

/**
 * uc_pool_new - reserve memory for receiving
 * @options:  NULL means the defaults
 * @ret_pool: the new pool
 *
 * Return: 0, or
 *   -EINVAL  a wrong size, unknown flags, or a number out of its range; or UC_FENCE is neither 0
 *            nor 1
 *   -E2BIG   @options has a non-zero tail that this version does not know
 *   -ENOMEM  no memory; or UC_POOL_MLOCK_REQUIRED and the limit (RLIMIT_MEMLOCK) is too low
 *   -EPERM   UC_POOL_MLOCK_REQUIRED and locking is not allowed at all
 *
 * Since: 0.1
 */
UC_EXPORT int uc_pool_new(const struct uc_pool_options *options, uc_pool **ret_pool);

/**
 * uc_pool_free - give up a pool
 * @pool: a pool, or NULL
 *
 * The memory lives on while a ring uses it or a lease is out, and goes with the last of them. In a
 * forked child only the child's mapping is released.
 *
 * Return: NULL.
 *
 * Since: 0.1
 */
UC_EXPORT uc_pool *uc_pool_free(uc_pool *pool);

/**
 * uc_pool_base - where the pool's memory begins
 * @pool: a pool
 *
 * The address never changes, also when the pool grows: uc_event.offset and uc_lease.offset count
 * from here.
 *
 * Return: the address, or NULL if @pool is NULL.
 *
 * Since: 0.1
 */
UC_EXPORT void *uc_pool_base(uc_pool *pool);

/**
 * uc_pool_reserved - how much address space the pool spans
 * @pool: a pool
 *
 * Return: bytes from uc_pool_base() to the end of the largest pool this can grow to; 0 if @pool is
 * NULL.
 *
 * Since: 0.1
 */
UC_EXPORT uint64_t uc_pool_reserved(uc_pool *pool);

/**
 * uc_pool_lease - take a free buffer
 * @pool:      a pool
 * @ret_lease: the lease
 *
 * Return: 0, or
 *   -EINVAL   @pool or @ret_lease is NULL
 *   -ENOBUFS  every buffer is in use and the pool may not grow
 *   -ECHILD   the pool belongs to another process
 *
 * Since: 0.1
 */
UC_EXPORT int uc_pool_lease(uc_pool *pool, struct uc_lease *ret_lease);

/**
 * uc_pool_keep - keep the payload of a record beyond the next uc_ring_wait()
 * @pool:      the pool of the ring that gave the record
 * @buffer:    uc_event.buffer of a record with UC_EVENT_PAYLOAD
 * @ret_lease: the lease of the whole buffer; the payload stands where uc_event.offset says, and the
 *             token is @buffer
 *
 * Return: 0, or
 *   -EINVAL  a NULL argument, or @buffer is of another pool
 *   -ESTALE  the buffer has been taken back already, or is kept already
 *   -ECHILD  the pool belongs to another process
 *
 * Since: 0.1
 */
UC_EXPORT int uc_pool_keep(uc_pool *pool, uint64_t buffer, struct uc_lease *ret_lease);

/**
 * uc_pool_release - end a lease
 * @pool:  the pool that gave it
 * @token: uc_lease.token
 *
 * The buffer rests in quarantine and is then used again.
 *
 * Return: 0, or
 *   -EINVAL  @pool is NULL, or @token is of another pool
 *   -ESTALE  the lease has ended already
 *   -ECHILD  the pool belongs to another process
 *
 * Since: 0.1
 */
UC_EXPORT int uc_pool_release(uc_pool *pool, uint64_t token);

/**
 * uc_pool_get_stats - how the pool is used
 * @pool:      a pool
 * @ret_stats: size must be set; the rest is filled in
 *
 * Return: 0, or
 *   -EINVAL  an argument is NULL
 *   -ECHILD  the pool belongs to another process
 *
 * Since: 0.1
 */
UC_EXPORT int uc_pool_get_stats(uc_pool *pool, struct uc_pool_stats *ret_stats);

UC_END_DECLS

#endif
