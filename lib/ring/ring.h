/* The ring's inside: what the two roads share. */
#pragma once

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>
#include <uc/ring.h>

#include "backend/backend.h"
#include "base/check.h"
#include "base/list.h"
#include "fd/fd.h"
#include "fork/fork.h"
#include "pool/pool.h"
#include "ring/busy_poll.h"
#include "ring/events.h"
#include "slot/slot.h"

#define UCI_REAP_BATCH 64

#define UCI_SQ_ENTRIES_DEFAULT 128
#define UCI_CQ_ENTRIES_DEFAULT 4096

/* One completion makes at most this many records (the end of a send: SENT, SHUTDOWN, CLOSED). */
#define UCI_RECORDS_PER_COMPLETION 3

/* And outside of completions at most this many for one descriptor (SHUTDOWN, CLOSED). */
#define UCI_RECORDS_PER_FD 2

struct uci_wake {
    int event_fd;
    uint64_t value;      /* the eventfd is read into it */
    uint64_t user_data;  /* of the read or poll; 0: not armed */
    uint32_t generation; /* how often it was armed */
    atomic_bool pending; /* uc_ring_wake() was called since the last read */
    bool woken;          /* this turn */
};

struct uc_ring {
    uint64_t origin;
    pid_t owner;   /* thread that runs the ring; 0: none yet */
    int32_t fatal; /* the kernel refused to go on: answer to everything; 0: fine */
    struct uci_backend *backend;
    struct uci_backend_options options;
    uint32_t asked_backend; /* UC_BACKEND_* */
    struct uc_ring_info info;
    uc_pool *pool;
    bool pool_is_own;
    struct uci_link every; /* in the process's list of rings, for fork */
    bool ending;           /* being freed: records go to nobody */
    bool dying;            /* being torn down: nothing is submitted any more */

    struct uci_fd_table fds;
    struct uci_slot_table slots;
    struct uci_send_cache send_cache;
    struct uci_link attached, waiting, held;
    uint32_t attached_count;

    struct uci_events events;
    uint64_t turn;
    uint32_t last_count;
    uint64_t *batch; /* tokens of buffers in the records of this turn, taken back at the next */
    uint32_t batch_count;          /* at most the pool's buffers */
    uint64_t batch_bytes;          /* of payload in them */
    uint64_t mean_payload;         /* bytes in one, in the last turn that had any */
    struct uci_completion *parked; /* reaped between turns, carried through at the next */
    uint32_t parked_count, parked_capacity;

    uint32_t provided;      /* buffers that the kernel can choose from */
    uint32_t more_provided; /* how many more than at first it may have, because they ran out */
    uint32_t ran_out;       /* for so many receives since they were last handed over */
    bool starved;           /* a receive could not be armed for want of a buffer */
    bool cancels_owed;      /* a one-shot operation could not be cancelled for want of room */

    struct uci_busy_poll busy_poll;
    struct uci_wake wake;
    atomic_int embed_fd; /* uc_ring_event_fd(); -1: not asked for */

    uint32_t outstanding;         /* operations in the kernel, libuc's own counted */
    uint32_t zero_copy_in_flight; /* sends among them, their notices counted */
    struct uc_ring_stats stats;
};

/* Checks at the entry of public functions. */
int uci_ring_check_owner(uc_ring *ring); /* 0, -EPERM, or what the kernel refused with */
int uci_ring_adopt(uc_ring *ring);       /* bind to this thread if it is bound to none */

#define CHECK_PROCESS(handle)                                                                      \
    do {                                                                                           \
        if (!uci_origin_is_mine((handle)->origin))                                                 \
            return -ECHILD;                                                                        \
    } while (0)

#define CHECK_RING(ring)                                                                           \
    do {                                                                                           \
        int check_result_;                                                                         \
        CHECK_ARG(ring);                                                                           \
        CHECK_PROCESS(ring);                                                                       \
        check_result_ = uci_ring_check_owner(ring);                                                \
        if (check_result_ < 0)                                                                     \
            return check_result_;                                                                  \
    } while (0)

/* A descriptor's handle: the ring must live, and be run by this thread. */
#define CHECK_FD(fd)                                                                               \
    do {                                                                                           \
        int check_result_;                                                                         \
        CHECK_ARG(fd);                                                                             \
        CHECK_PROCESS(fd);                                                                         \
        if (!(fd)->ring)                                                                           \
            return -ESTALE;                                                                        \
        check_result_ = uci_ring_check_owner((fd)->ring);                                          \
        if (check_result_ < 0)                                                                     \
            return check_result_;                                                                  \
    } while (0)

/* Put an operation into the backend's queue and count it. */
int uci_ring_submit(uc_ring *ring, const struct uci_operation *operation);

/* Make room for the records that completions and descriptors may still make. */
int uci_ring_reserve_records(uc_ring *ring, uint32_t completions, uint32_t more_fds);

/* A buffer that a record of this turn points into. */
static inline void uci_ring_take_back_later(uc_ring *ring, uint64_t token)
{
    ring->batch[ring->batch_count++] = token;
}

/* It cannot go on: @error is from now on the answer to everything. EPERM would be taken for the
 * answer to a wrong thread. */
static inline int uci_ring_fail(uc_ring *ring, int error)
{
    ring->fatal = error == -EPERM ? -EACCES : error;
    return ring->fatal;
}

/* One kernel entry: submit what is queued, wait or not. */
int uci_ring_enter(uc_ring *ring, bool wait, int64_t timeout_ns);

/* The same without waiting for completions, but when it returns 0 the kernel has taken everything
 * queued, and holds the files: their numbers may be closed. */
int uci_ring_hand_over(uc_ring *ring);

/* Between turns: take the completions that are there. Those of descriptor @number, and of
 * cancellations, are carried through at once, the others are parked. 0 or -ENOMEM. */
int uci_ring_reap_one(uc_ring *ring, int number);

/* Carry the completions that are there through complete.c, as long as there is room for records
 * (@bounded) or to the last. Return: how many, or -ENOMEM. */
int uci_ring_carry(uc_ring *ring, bool bounded);

/* completions.c: parking; see there. */
int uci_ring_park_all(uc_ring *ring);
int uci_ring_park_lost(uc_ring *ring);
uint32_t uci_ring_parked_terminal(const uc_ring *ring);
bool uci_ring_is_parked(const uc_ring *ring, uint64_t user_data); /* the last of its completions */
uint32_t uci_ring_next_completions(uc_ring *ring, struct uci_completion *out, uint32_t max);

/* wake.c */
int uci_wake_init(uc_ring *ring);
void uci_wake_finish(uc_ring *ring);
int uci_wake_arm(uc_ring *ring);
void uci_wake_complete(uc_ring *ring, const struct uci_completion *completion);

/* backend_bind.c: opening the backend, moving it between threads, tearing it down. */
int uci_ring_open_backend(uc_ring *ring);
int uci_ring_rehome(uc_ring *ring);
void uci_ring_drain(uc_ring *ring);

/* at_fork.c: a forked child closes its copies of the listed rings at once. While it is held no other
 * thread forks: around what makes, replaces or closes a backend, and changes of the list. It can be
 * refused the first time only. */
int uci_at_fork_hold(void); /* 0 or -ENOMEM */
void uci_at_fork_release(void);
void uci_at_fork_add(uc_ring *ring);
void uci_at_fork_remove(uc_ring *ring);

/* thread.c */
pid_t uci_thread_id(void);
void uci_thread_forget(void); /* in a forked child */
