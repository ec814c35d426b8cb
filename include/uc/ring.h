/*
 * uc_ring: the two roads to the kernel and back.
 *
 * Road 1, submit: functions on attached descriptors (uc/fd.h) and one-shot operations (uc/op.h) put
 * what is asked for into the ring's queues; they do not enter the kernel. Road 2, complete: once
 * per turn uc_ring_wait() submits everything queued and waits, in one kernel entry, and fills an
 * array of records (uc/event.h).
 *
 * One thread runs a ring: the one that called uc_ring_enable(), or else the first that submits or
 * waits. Every other thread is answered -EPERM, except by uc_ring_wake(), which any thread and any
 * signal handler may call.
 */
#ifndef UC_RING_H
#define UC_RING_H

#include <stdint.h>
#include <uc/event.h>
#include <uc/export.h>
#include <uc/feature.h>
#include <uc/pool.h>

UC_BEGIN_DECLS

/** uc_ring - an opaque handle, made by uc_ring_new() */
typedef struct uc_ring uc_ring;

/* Values of uc_ring_options.sqpoll. A kernel thread then submits in our place: it saves the entry
 * where a ring is busy all the time, and costs a CPU. It keeps the credentials that the process had
 * when the ring was made: after setuid() it still opens and connects as before. Give privileges up
 * first, then make the ring; without SQPOLL operations have the credentials of the thread that
 * runs the ring, as they are when it submits. */
enum uc_sqpoll {
    UC_SQPOLL_OFF = 0,
    UC_SQPOLL_TRY = 1,    /* where it is refused, submit in batches and say so */
    UC_SQPOLL_REQUIRE = 2 /* where it is refused, fail */
};

/* Values of uc_ring_options.restriction: what the ring can be made to do, by whomever. The kernel
 * holds to it, also against who gets hold of the ring without libuc; it cannot be taken back. */
enum uc_restriction {
    UC_RESTRICT_NONE = 0,
    /* Attached descriptors (uc/fd.h), uc_op_nop(), uc_op_timeout(), uc_op_cancel() and
     * uc_op_set_deadline(). All other operations of uc/op.h and uc/file.h answer -EACCES: files need
     * a ring of their own. */
    UC_RESTRICT_NETWORK = 1,
};

/* Values of uc_ring_options.backend and uc_ring_info.backend. */
enum uc_backend {
    UC_BACKEND_AUTO = 0,  /* as the environment says (uc/probe.h), else io_uring where it works */
    UC_BACKEND_URING = 1, /* io_uring */
    UC_BACKEND_EPOLL = 2, /* readiness and calls that do not block; the same to see from outside */
};

struct uc_ring_options {
    uint32_t size;           /* sizeof(struct uc_ring_options) */
    uint32_t sq_entries;     /* submission queue: 1 to 32768; 0 means 128 */
    uint32_t cq_entries;     /* completion queue: sq_entries to 65536; 0 means 4096 */
    uint32_t sqpoll;         /* UC_SQPOLL_* */
    uint32_t sqpoll_idle_ms; /* after which the kernel thread sleeps; 0 means 1000 */
    uint32_t backend;        /* UC_BACKEND_* */
    uint64_t features_off;   /* UC_FEATURE_* not to use although the kernel has them */
    uc_pool *pool;           /* to receive into; NULL: the ring makes one with the defaults */
    uint32_t sqpoll_cpu;     /* 1 + the CPU that the kernel thread stays on; 0: any. Where it is
                                refused UC_SQPOLL_TRY goes without and says so */
    uint32_t restriction;    /* UC_RESTRICT_* */
    uint32_t busy_poll_us;   /* how long a wait looks for completions before it sleeps: 0 (not at
                                all) to 1000; see below */
    uint32_t reserved;       /* 0 */
};

/* Busy polling. Being woken costs more than a short wait: where answers come within microseconds
 * (one connection and a quick peer), looking for them is faster and takes less CPU time. It is
 * adaptive: waits that find nothing soon stop looking and try only now and then. It is off unless
 * asked for, because it takes a CPU from others for up to busy_poll_us at a time. Only io_uring has
 * it; on epoll the option changes nothing. A signal handler that runs meanwhile does not end the
 * wait: as ever, let it call uc_ring_wake(). */

struct uc_ring_info {
    uint32_t size;              /* sizeof(struct uc_ring_info), set by the caller */
    uint32_t backend;           /* UC_BACKEND_* */
    uint64_t features;          /* UC_FEATURE_* in use */
    uint64_t features_stripped; /* UC_FEATURE_* that the kernel refused or lacks */
    uint32_t sq_entries;        /* as the kernel gave them */
    uint32_t cq_entries;
    uint32_t halvings;    /* how often sq_entries was halved because memory was refused */
    uint32_t retries;     /* how often memory was waited for */
    char reason[256];     /* one sentence: why something asked for is not in use; or empty */
    uint32_t sqpoll_cpu;  /* 1 + the CPU that the kernel thread stays on; 0: any, or none */
    uint32_t restriction; /* UC_RESTRICT_* */
};

/* At any time submissions is completions plus in_flight: the ring's own wake-up is never counted. */
struct uc_ring_stats {
    uint32_t size; /* sizeof(struct uc_ring_stats), set by the caller */
    uint32_t reserved;
    uint64_t kernel_entries;   /* system calls made to submit or wait */
    uint64_t submissions;      /* operations handed to the kernel */
    uint64_t completions;      /* that came back */
    uint64_t events;           /* records given to the caller */
    uint64_t in_flight;        /* operations in the kernel now */
    uint64_t stale;            /* completions of an earlier life; must stay 0 */
    uint64_t overflows;        /* how often the completion queue was too small; nothing was lost */
    uint64_t no_buffers;       /* receives that ended because the pool had no buffer */
    uint64_t wakeups;          /* uc_ring_wake() calls that interrupted a wait */
    uint64_t attached;         /* descriptors attached now */
    uint64_t rehomed;          /* moves to another thread with operations in flight */
    uint64_t busy_polls;       /* waits that looked for completions first */
    uint64_t busy_poll_hits;   /* and found some */
    uint64_t zero_copy_sends;  /* that took something; see uc/fd.h */
    uint64_t zero_copy_copied; /* of which the kernel reported that it copied all the same */
};

/**
 * uc_ring_new - make a ring
 * @options:  NULL means the defaults
 * @ret_ring: the new ring, not yet bound to a thread
 *
 * Return: 0, or
 *   -EINVAL  a wrong size, an unknown value, a number out of its range, sqpoll_cpu without sqpoll,
 *            or with UC_SQPOLL_REQUIRE a CPU that the kernel refuses; or a word in the environment
 *            that is not known (uc/probe.h)
 *   -E2BIG   @options has a non-zero tail that this version does not know
 *   -EBUSY   options->pool serves another ring
 *   -ECHILD  options->pool belongs to another process
 *   -EPERM   io_uring is refused by seccomp, kernel.io_uring_disabled or a security module
 *   -ENOSYS  the kernel has no io_uring
 *   -ENOMEM  no memory, or RLIMIT_MEMLOCK is too low even for the smallest ring of io_uring
 *   -EMFILE, -ENFILE  too many open descriptors
 *   -EOPNOTSUPP  UC_SQPOLL_REQUIRE or a restriction, and the kernel or the backend refuses it
 * For any of them uc_probe() has a sentence that says which knob to turn. With UC_BACKEND_AUTO a
 * refusal of io_uring is no error: the ring is made on epoll, and uc_ring_info.reason says why;
 * but for -EMFILE and -ENFILE, and for what only io_uring can fulfil (UC_SQPOLL_REQUIRE, a pool with
 * UC_POOL_REGISTER_REQUIRED).
 *
 * Since: 0.1
 */
UC_EXPORT int uc_ring_new(const struct uc_ring_options *options, uc_ring **ret_ring);

/**
 * uc_ring_free - end everything in flight, then give up a ring
 * @ring: a ring, or NULL
 *
 * Cancels all operations and waits until the kernel has let go of every buffer, for a second at
 * most; what has not ended by then keeps its memory. A connection whose peer has not acknowledged
 * zero-copy sends by then is reset. May be called by any thread while no other
 * uses the ring. Attached descriptors stay open; their uc_fd handles answer -ESTALE and remain to
 * be freed. In a forked child see uc/fork.h.
 *
 * Return: NULL.
 *
 * Since: 0.1
 */
UC_EXPORT uc_ring *uc_ring_free(uc_ring *ring);

/**
 * uc_ring_enable - bind a ring to the calling thread
 * @ring: a ring
 *
 * May be called again by another thread once the first no longer uses the ring: it moves, also with
 * operations in flight. Receives, accepts, polls and sends go on where they were, no byte is lost or
 * sent twice; connects and one-shot operations end with -ECANCELED, and so does a send of which an
 * older kernel does not tell how far it got. A ring does not move while zero-copy sends are in
 * flight.
 *
 * Return: 0, or
 *   -EINVAL  @ring is NULL
 *   -ECHILD  the ring belongs to another process
 *   -EBUSY   the completion queue has overflowed, more is in flight than it holds, or a zero-copy
 *            send is: take completions on the old thread first; or the kernel did not let go of the
 *            old ring in time
 *   any error of uc_ring_new(): the ring could not be made anew for this thread
 *
 * Since: 0.1
 */
UC_EXPORT int uc_ring_enable(uc_ring *ring);

/**
 * uc_ring_wait - one turn: submit everything, wait, take what has completed
 * @ring:       a ring
 * @events:     room for @max records
 * @max:        1 to 65536
 * @timeout_ns: how long to wait for the first record: 0 not at all, negative for ever
 *
 * Takes back the payloads of the records of the call before, unless they were kept
 * (uc_pool_keep()), and does not wait when a record is there already. Returns without a record when
 * the time is over or uc_ring_wake() was called.
 *
 * Return: the number of records, 0 to @max, or
 *   -EINVAL  a NULL argument or @max out of its range
 *   -EINTR   a signal came first
 *   -ECHILD  the ring belongs to another process
 *   -EPERM   another thread runs the ring
 *   -ENOMEM  records could not be stored; call again
 *   -EACCES or any other: the kernel refuses to go on (for example a seccomp filter set up since);
 *   from now on that is the answer to everything, and the ring can only be freed
 *
 * Since: 0.1
 */
UC_EXPORT int uc_ring_wait(uc_ring *ring, struct uc_event *events, uint32_t max,
                           int64_t timeout_ns);

/**
 * uc_ring_last_count - how many records the last uc_ring_wait() filled in
 * @ring: a ring
 *
 * For callers that can lose a return value, as an interpreter does that raises an exception from a
 * signal handler.
 *
 * Return: the number of records (0 after an error), or -EINVAL, -ECHILD, -EPERM as uc_ring_wait().
 *
 * Since: 0.1
 */
UC_EXPORT int uc_ring_last_count(uc_ring *ring);

/**
 * uc_ring_flush - submit everything queued without waiting
 * @ring: a ring
 *
 * For what must leave at once although no turn is near. Costs a kernel entry when something is
 * queued; with SQPOLL it waits until the kernel thread has taken everything, which costs an entry
 * only when that thread sleeps.
 *
 * When it has returned 0 the kernel holds the files of all operations submitted before, but for
 * those that uc/op.h says look theirs up later. uc_ring_wait() does not promise that with SQPOLL.
 *
 * Return: 0, or
 *   -EAGAIN  the kernel has not taken everything; what is left goes with the next turn
 *   -EINVAL, -ECHILD, -EPERM and the kernel's refusals as uc_ring_wait()
 *
 * Since: 0.1
 */
UC_EXPORT int uc_ring_flush(uc_ring *ring);

/**
 * uc_ring_wake - make the current or next uc_ring_wait() return
 * @ring: a ring
 *
 * May be called by any thread and from a signal handler, but not while the ring is being freed.
 * Several calls before the ring wakes count as one.
 *
 * Return: 0, -EINVAL or -ECHILD.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_ring_wake(uc_ring *ring);

/**
 * uc_ring_event_fd - a descriptor for embedding the ring in another loop
 * @ring: a ring
 *
 * It becomes readable when there is something to take: read its 8 bytes, then call uc_ring_wait()
 * with a timeout of 0 until it returns 0 records. Do that too before the other loop sleeps whenever
 * something was submitted. Over io_uring it is an eventfd; over epoll it is an epoll(7) descriptor,
 * of which nothing can be read: take read(2)'s -EINVAL as an answer. Made at the first call; it
 * stays the ring's. Some kernels do not tell of deferred completions: there the first call makes the
 * ring anew without UC_FEATURE_DEFER_TASKRUN, as if it moved to another thread, and uc_ring_get_info()
 * says so.
 *
 * Return: the descriptor, or
 *   -EBUSY  the ring would have to be made anew, and too much is in flight; take what there is first
 *   -EINVAL, -ECHILD, -EPERM, -EMFILE, -ENFILE, -ENOMEM
 *
 * Since: 0.1
 */
UC_EXPORT int uc_ring_event_fd(uc_ring *ring);

/**
 * uc_ring_poll_fd - the ring's own descriptor, for poll(2) and epoll(7)
 * @ring: a ring
 *
 * Tells whether there is something to take, and there is nothing to read: it stays readable until
 * uc_ring_wait() has taken everything. To ask, not to sleep on: with UC_FEATURE_DEFER_TASKRUN the
 * kernel wakes nobody who sleeps on it; uc_ring_event_fd() does. It changes when the ring moves to
 * another thread. Only poll it.
 *
 * Return: the descriptor, or -EINVAL, -ECHILD, -EMFILE, -ENFILE, -ENOMEM.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_ring_poll_fd(uc_ring *ring);

/**
 * uc_ring_pool - the pool that the ring receives into
 * @ring: a ring
 *
 * Return: a pool that lives as long as the ring, not to be freed by the caller unless the caller
 * made it; NULL if @ring is NULL.
 *
 * Since: 0.1
 */
UC_EXPORT uc_pool *uc_ring_pool(uc_ring *ring);

/**
 * uc_ring_get_info - what was asked of the kernel and what it gave
 * @ring:     a ring
 * @ret_info: size must be set; the rest is filled in
 *
 * Return: 0, or
 *   -EINVAL  a NULL argument or a wrong size
 *   -ECHILD  the ring belongs to another process
 *
 * Since: 0.1
 */
UC_EXPORT int uc_ring_get_info(uc_ring *ring, struct uc_ring_info *ret_info);

/**
 * uc_ring_get_stats - the ring's counters
 * @ring:      a ring
 * @ret_stats: size must be set; the rest is filled in
 *
 * Return: 0, or
 *   -EINVAL  an argument is NULL
 *   -ECHILD  the ring belongs to another process
 *
 * Since: 0.1
 */
UC_EXPORT int uc_ring_get_stats(uc_ring *ring, struct uc_ring_stats *ret_stats);

UC_END_DECLS

#endif
