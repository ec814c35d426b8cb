/*
 * SQPOLL: a kernel thread takes operations from the queue, so that submitting needs no system call.
 *
 * What is odd about it, and what follows:
 *
 *   - It looks a descriptor up when it takes the operation, not when we queue it. A number that was
 *     closed and given to another file in between is that other file: of 20,000 writes, each
 *     followed by close() and a new file of the same number, all 20,000 went into the wrong file.
 *     Attached descriptors are closed behind their last completion and cannot be hit. For the
 *     caller's own there is uc_ring_flush(): it returns when the thread has taken everything. The
 *     thread moves the queue's head only after it has begun all that it took, with their files.
 *   - IORING_ENTER_SQ_WAIT waits for room, not for that: hence a loop. It is short while the thread
 *     runs on another CPU, and gives ours away where it does not.
 *   - The thread sleeps after sqpoll_idle_ms without work, and says so by a flag. Between our
 *     writing the queue's tail and reading the flag there must be a full barrier: it sets the flag
 *     and looks at the tail once more in the opposite order.
 *   - A ring that is let go of takes nothing more. What was queued and not taken has done nothing;
 *     that is known exactly once the kernel is gone, because the queue is in our memory.
 *   - Completions that found no room are brought by an entry alone, as ever: there is one flag for
 *     that too, and nobody else looks at it.
 *   - It has the credentials of the moment when the ring was made (docs/design/sqpoll.md).
 */
#include "uring/uring.h"

#include <errno.h>
#include <sched.h>

#include "base/clock.h"

#define SPINS 256
#define HAND_OVER_NS UINT64_C(1000000000)

bool uci_uring_thread_sleeps(struct uci_uring *uring)
{
    io_uring_smp_mb();
    return IO_URING_READ_ONCE(*uring->ring.sq.kflags) & IORING_SQ_NEED_WAKEUP;
}

/* Look for a moment whether the thread takes everything. */
static bool is_taken_soon(const struct uci_uring *uring)
{
    int spins = SPINS;

    while (uci_uring_pending(uring) && --spins)
        ;
    return spins != 0;
}

/* An entry takes everything, but for what stands behind an operation that the kernel refuses where
 * UC_FEATURE_SUBMIT_ALL is not in use. */
static int enter_until_taken(struct uci_uring *uring)
{
    uint32_t before;
    int r;

    do {
        before = uci_uring_pending(uring);
        r = uci_uring_enter(&uring->base, false, 0);
    } while (r == 0 && uring->base.queued && uring->base.queued < before);
    return r;
}

int uci_uring_hand_over(struct uci_backend *backend)
{
    struct uci_uring *uring = uci_uring_of(backend);
    uint64_t deadline = 0;
    int r;

    if (!(uring->setup_flags & IORING_SETUP_SQPOLL))
        return enter_until_taken(uring);
    for (;;) {
        r = uci_uring_enter(backend, false, 0); /* wakes the thread if it sleeps */
        if (r < 0 && r != -EINTR)
            return r;
        if (is_taken_soon(uring))
            break;
        if (!deadline)
            deadline = uci_clock_now_ns() + HAND_OVER_NS;
        if (uci_clock_now_ns() > deadline)
            return -EAGAIN;
        sched_yield();
    }
    backend->queued = 0;
    return 0;
}

/* Of a ring that is gone: what nobody has taken from the queue ends here. */
uint32_t uci_uring_reap_untaken(struct uci_uring *uring, struct uci_completion *completions,
                                uint32_t max)
{
    struct io_uring_sq *sq = &uring->ring.sq;
    uint32_t n = 0;

    while (n < max && uci_uring_pending(uring)) {
        const struct io_uring_sqe *sqe = &sq->sqes[*sq->khead & sq->ring_mask];

        if (sqe->user_data != UCI_URING_BELL)
            completions[n++] = (struct uci_completion){
                .user_data = sqe->user_data,
                .result = -ECANCELED,
            };
        ++*sq->khead;
    }
    return n;
}
