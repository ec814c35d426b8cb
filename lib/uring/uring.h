/* The io_uring backend, seen by its own files only. */
#pragma once

#include "backend/backend.h"
#include "choice/features.h"
#include "uring/compat.h"

#define UCI_URING_BUFFER_GROUP 0

/* user_data of the poll that tells of finished calls; nobody else's can be that. */
#define UCI_URING_BELL UINT64_MAX

struct uci_uring_calls;

struct uci_uring {
    struct uci_backend base;
    struct io_uring ring;
    uint32_t setup_flags;     /* IORING_SETUP_* in force */
    uint32_t kernel_features; /* IORING_FEAT_* */
    uint32_t enter_flags;     /* IORING_ENTER_*, at every entry */
    uint16_t zero_copy_flags; /* IORING_SEND_ZC_*, at every zero-copy send */
    uc_pool *pool;

    uint64_t called;               /* bits of UCI_OP_*: what the kernel's io_uring lacks */
    struct uci_uring_calls *calls; /* NULL until there is one of these */

    void *memory; /* of the rings, when it is ours (NO_MMAP); else NULL */
    size_t memory_bytes;

    struct io_uring_buf_ring *buffers; /* NULL without UC_FEATURE_BUFFER_RING */
    uint32_t buffer_entries;           /* power of two */
    uint16_t *buffer_order;            /* buffer at each position, to follow a bundle */
    uint16_t *buffer_position;         /* position of each buffer */
    uint16_t buffer_tail;
    uint32_t bundle_buffer; /* next piece of a bundle that did not fit into the last reap() */
    uint32_t bundle_left;   /* bytes of it; 0: none */

    int tombstone; /* hangs up when the kernel has freed the ring; -1 where that cannot be had */
    bool stopped;  /* the kernel was told to let go */
    bool gone;     /* and has done so */
};

static inline struct uci_uring *uci_uring_of(struct uci_backend *backend)
{
    return (struct uci_uring *)backend;
}

/* rings.c: the two rings in memory. */
int uci_uring_rings_open(struct uci_uring *uring, struct uci_backend_options *options,
                         struct uc_ring_info *info); /* halves the entries of @options if need be */
bool uci_uring_halve(struct uci_backend_options *options, struct uc_ring_info *info);
void uci_uring_rings_close(struct uci_uring *uring);
void uci_uring_rings_free(struct uci_uring *uring, bool in_child);

/* buffers.c: the ring of provided buffers. */
int uci_uring_buffers_open(struct uci_uring *uring);
void uci_uring_buffers_free(struct uci_uring *uring, bool in_child);
void uci_uring_provide(struct uci_backend *backend, uint32_t buffer);

/* event_fd.c: telling another loop. */
int uci_uring_new_event_fd(int wake_fd);
int uci_uring_set_event_fd(struct uci_backend *backend, int event_fd);

/* restrict.c: the list of what the ring may be made to do. */
int uci_uring_restrict(struct uci_uring *uring, uint32_t restriction, uint64_t features);

/* sqpoll.c: the kernel thread that submits in our place. */
bool uci_uring_thread_sleeps(struct uci_uring *uring);
int uci_uring_hand_over(struct uci_backend *backend);
uint32_t uci_uring_reap_untaken(struct uci_uring *uring, struct uci_completion *completions,
                                uint32_t max);

/* calls.c: what the kernel's io_uring lacks, as calls on workers. Only submit_call() may be asked
 * before there are any. */
int uci_uring_submit_call(struct uci_uring *uring, const struct uci_operation *operation);
bool uci_uring_start_calls(struct uci_uring *uring); /* false: enter without waiting, try again */
bool uci_uring_cancel_call(struct uci_uring *uring, uint64_t user_data); /* whether it is one */
bool uci_uring_has_called(const struct uci_uring *uring); /* a completion that reap can take */
uint32_t uci_uring_reap_called(struct uci_uring *uring, struct uci_completion *completions,
                               uint32_t max);
/* The bell's completion has come, and stays while uci_uring_has_called(). Return: as reap. */
uint32_t uci_uring_hear_bell(struct uci_uring *uring, struct uci_completion *completions,
                             uint32_t max);
void uci_uring_stop_calls(struct uci_uring *uring);
bool uci_uring_calls_have_ended(struct uci_uring *uring, int64_t timeout_ns);
void uci_uring_free_calls(struct uci_uring *uring, bool in_child);

/* queue.c: operations in, completions out. */
uint32_t uci_uring_pending(const struct uci_uring *uring); /* entries that nobody has taken */
uint8_t uci_uring_opcode(uint8_t op, uint8_t shape);       /* IORING_OP_* of a UCI_OP_* */
int uci_uring_submit(struct uci_backend *backend, const struct uci_operation *operation);
int uci_uring_enter(struct uci_backend *backend, bool wait, int64_t timeout_ns);
bool uci_uring_has_news(const struct uci_backend *backend);
uint32_t uci_uring_reap(struct uci_backend *backend, struct uci_completion *completions,
                        uint32_t max);
