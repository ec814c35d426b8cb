/*
 * Restrictions: the kernel's own list of what a ring may be made to do.
 *
 * It can only be set while the ring is not enabled yet, which every ring of ours is at first, and
 * it holds from then on, for operations (which is what a stranger with the ring's descriptor or
 * memory would want), for the flags on them, and for the calls of io_uring_register(). What is not
 * on it is answered -EACCES by the kernel.
 *
 * Flags: only the one that lets the kernel choose a buffer. No links, no registered files: the one
 * registered file is the tombstone. Registrations: only the eventfd of uc_ring_event_fd(), which
 * may be asked for at any time; buffers, the pool and the tombstone are registered before.
 */
#include "uring/uring.h"

#include <errno.h>

#include "backend/restriction.h"

#define FIXED_ENTRIES 2
#define ZERO_COPY_ENTRIES 2

/* Not every kernel knows these, and one that does not would refuse the list. */
static unsigned allow_zero_copy(struct io_uring_restriction *list)
{
    const uint8_t ops[] = {UCI_OP_SEND, UCI_OP_SENDMSG};

    for (unsigned i = 0; i < ZERO_COPY_ENTRIES; i++) {
        list[i].opcode = IORING_RESTRICTION_SQE_OP;
        list[i].sqe_op = uci_uring_opcode(ops[i], UCI_OPERATION_ZERO_COPY);
    }
    return ZERO_COPY_ENTRIES;
}

int uci_uring_restrict(struct uci_uring *uring, uint32_t restriction, uint64_t features)
{
    struct io_uring_restriction list[UCI_OP_COUNT + FIXED_ENTRIES + ZERO_COPY_ENTRIES] = {
        {.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_BUFFER_SELECT},
        {.opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_REGISTER_EVENTFD},
    };
    unsigned n = FIXED_ENTRIES;
    int r;

    if (restriction == UC_RESTRICT_NONE)
        return 0;
    for (uint8_t op = 0; op < UCI_OP_COUNT; op++) {
        if (!uci_restriction_allows(restriction, op))
            continue;
        list[n].opcode = IORING_RESTRICTION_SQE_OP;
        list[n++].sqe_op = uci_uring_opcode(op, 0);
    }
    if (features & UC_FEATURE_SEND_ZERO_COPY)
        n += allow_zero_copy(list + n);
    r = io_uring_register_restrictions(&uring->ring, list, n);
    /* It was asked for to be safe: without it there is no ring. */
    return r < 0 && r != -ENOMEM ? -EOPNOTSUPP : r;
}
