/*
 * The end of a descriptor.
 *
 * The kernel looks up a descriptor when it starts an operation and then holds the file, not the
 * number. close() while something is in flight sends no FIN, cannot be called off by number any
 * more, and frees the number for a stranger. So the order is always: cancel, wait for the terminal
 * completions, close. What sends FIN at once is that a cancelled operation ends in the same kernel
 * entry that cancels it. With SQPOLL the kernel looks the number up later still, when its thread
 * takes the operation; the same order holds there, because an operation counts as in flight from
 * the moment it is queued.
 */
#include "base/clock.h"
#include "flow/flow.h"

#define CLOSE_NOW_NS UINT64_C(100000000)
#define CLOSE_NOW_SLICE_NS INT64_C(1000000)

void uci_flow_detach(uc_fd *fd)
{
    uc_ring *ring = fd->ring;

    uci_list_remove(&fd->attached);
    uci_list_remove(&fd->waiting);
    uci_list_remove(&fd->held);
    ring->fds.entries[fd->fd].fd = NULL;
    ring->attached_count--;
    uci_account_leave(ring->pool, fd->account);
    fd->account = NULL;
    fd->ring = NULL;
    if (fd->handle_freed)
        uci_fd_delete(fd);
}

static void stop_reading(uc_fd *fd)
{
    uci_flow_cancel_lane(fd, UCI_LANE_READ);
    uci_flow_cancel_lane(fd, UCI_LANE_POLL);
    fd->poll_events = 0;
    uci_list_remove(&fd->held);
    uci_flow_drop_kept(fd);
}

static void report(uc_fd *fd)
{
    uci_send_queue_drop(&fd->queue, &fd->ring->send_cache);
    fd->ring->backend->table->forget(fd->ring->backend, fd->fd);
    if (!fd->keep_descriptor)
        fd->ring->backend->table->close(fd->fd);
    if (!fd->silent)
        uci_flow_record(fd, UC_EVENT_CLOSED, fd->send_error);
    uci_flow_detach(fd);
}

void uci_flow_life(uc_fd *fd, enum uci_life_input input)
{
    struct uci_life_step step = uci_life_step(fd->life, input);

    fd->life = step.next;
    switch (step.action) {
    case UCI_LIFE_STOP_READING:
        stop_reading(fd);
        uci_flow_arm_later(fd);
        break;
    case UCI_LIFE_CANCEL_ALL:
        uci_list_remove(&fd->waiting);
        stop_reading(fd);
        uci_flow_cancel_lane(fd, UCI_LANE_WRITE);
        uci_flow_hurry_notices(fd);
        if (uci_fd_is_quiet(fd))
            uci_flow_life(fd, UCI_LIFE_QUIET);
        break;
    case UCI_LIFE_REPORT:
        report(fd);
        break;
    default:
        break;
    }
}

/* Enter the kernel until nothing of the descriptor is in flight; completions of others wait. */
static int wait_until_quiet(uc_ring *ring, int number)
{
    uint64_t deadline = uci_clock_now_ns() + CLOSE_NOW_NS;
    uint32_t index = (uint32_t)number;
    bool wait = false;
    int r;

    for (; uci_fd_table_find(&ring->fds, index) && uci_clock_now_ns() < deadline; wait = true) {
        r = uci_flow_flush(ring); /* also cancellations that found no room */
        if (r == 0)
            r = wait ? uci_ring_enter(ring, true, CLOSE_NOW_SLICE_NS) : uci_ring_hand_over(ring);
        if (r < 0 && r != -EINTR && r != -EAGAIN)
            return r;
        r = uci_ring_reap_one(ring, number);
        if (r < 0)
            return r;
    }
    return uci_fd_table_find(&ring->fds, index) ? -EAGAIN : 0;
}

UC_EXPORT int uc_fd_close(uc_fd *fd, uint32_t flags)
{
    const uint32_t known = UC_CLOSE_ABORT | UC_CLOSE_KEEP | UC_CLOSE_NOW;
    enum uci_life_input input = UCI_LIFE_CLOSE;
    bool hurries;
    uc_ring *ring;
    int number;

    CHECK_FD(fd);
    CHECK_ARG(!(flags & ~known) && !((flags & UC_CLOSE_NOW) && !(flags & UC_CLOSE_ABORT)));
    if ((flags & UC_CLOSE_ABORT) || uci_send_queue_is_empty(&fd->queue) || fd->send_error)
        input = UCI_LIFE_ABORT;
    /* One that only waits for notices can be told not to. */
    hurries = fd->zero_copy.outstanding && (flags & UC_CLOSE_ABORT) && !fd->aborted;
    if (!hurries && uci_life_step(fd->life, input).action == UCI_LIFE_REFUSE)
        return -EALREADY;
    if (fd->life <= UC_FD_HALF_CLOSED)
        fd->keep_descriptor = flags & UC_CLOSE_KEEP;
    ring = fd->ring;
    number = fd->fd;
    fd->aborted = fd->aborted || (flags & UC_CLOSE_ABORT);
    if (fd->life == UC_FD_CLOSING)
        uci_flow_hurry_notices(fd);
    else
        uci_flow_life(fd, input);
    return flags & UC_CLOSE_NOW ? wait_until_quiet(ring, number) : 0;
}
