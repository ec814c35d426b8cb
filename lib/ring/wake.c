/*
 * Waking the ring from any thread: an eventfd, of which the ring always reads.
 *
 * The eventfd is blocking on purpose: io_uring answers -EAGAIN at once for a non-blocking one. A
 * writer never blocks, because it writes only when no wake-up is pending.
 *
 * A restricted ring may not read: who got hold of it could read files. It polls the eventfd, and
 * what is in it is read by a system call of ours, which must not block should the kernel have been
 * mistaken.
 */
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backend/restriction.h"
#include "ring/ring.h"
#include "user_data/kind.h"

static bool may_read(const uc_ring *ring)
{
    return uci_restriction_allows(ring->options.restriction, UCI_OP_READ);
}

int uci_wake_init(uc_ring *ring)
{
    ring->wake.event_fd = eventfd(0, EFD_CLOEXEC | (may_read(ring) ? 0 : EFD_NONBLOCK));
    return ring->wake.event_fd < 0 ? -errno : 0;
}

void uci_wake_finish(uc_ring *ring)
{
    if (ring->wake.event_fd >= 0)
        close(ring->wake.event_fd);
    ring->wake.event_fd = -1;
}

int uci_wake_arm(uc_ring *ring)
{
    struct uci_operation operation = {
        .op = UCI_OP_POLL,
        .shape = UCI_OPERATION_KEPT,
        .fd = ring->wake.event_fd,
        .flags = POLLIN,
        .user_data = uci_user_data(UCI_KIND_WAKE, ring->wake.generation + 1, 0),
    };
    int r;

    if (ring->wake.user_data)
        return 0;
    if (may_read(ring)) {
        operation.op = UCI_OP_READ;
        operation.flags = 0;
        operation.address = (uint64_t)(uintptr_t)&ring->wake.value;
        operation.length = sizeof(ring->wake.value);
    }
    r = uci_ring_submit(ring, &operation);
    if (r < 0)
        return r;
    ring->wake.user_data = operation.user_data;
    ring->wake.generation++;
    return 0;
}

void uci_wake_complete(uc_ring *ring, const struct uci_completion *completion)
{
    ssize_t bytes = completion->result;

    ring->wake.user_data = 0;
    if (bytes > 0 && !may_read(ring))
        bytes = read(ring->wake.event_fd, &ring->wake.value, sizeof(ring->wake.value));
    ring->stats.wakeups += bytes == sizeof(ring->wake.value);
    /* Also a read that was cut off may have taken a wake-up with it. */
    ring->wake.woken = true;
    atomic_store(&ring->wake.pending, false);
}

/* The kernel passes a write to one eventfd on to another only the first time: whoever sleeps on
 * uc_ring_event_fd() is told by us. */
static void tell_the_other_loop(uc_ring *ring)
{
    const uint64_t one = 1;
    int fd = atomic_load(&ring->embed_fd);

    while (fd >= 0 && write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

UC_EXPORT int uc_ring_wake(uc_ring *ring)
{
    const uint64_t one = 1;

    CHECK_ARG(ring);
    CHECK_PROCESS(ring);
    if (atomic_exchange(&ring->wake.pending, true))
        return 0;
    while (write(ring->wake.event_fd, &one, sizeof(one)) < 0)
        if (errno != EINTR)
            return -errno;
    tell_the_other_loop(ring);
    return 0;
}
