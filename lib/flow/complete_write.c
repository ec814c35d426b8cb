/*
 * Road 2 for the write side and polls.
 *
 * A short send is continued, whatever flags it had: a cancelled or reset send may answer with a
 * positive count. What the kernel took is taken off the queue; the rest is armed again. What it
 * goes on reading after that (zero_copy.c) is told as sent only when it does not any more; so is
 * what was sent behind it, and a failure, which gives everything back.
 */
#include <poll.h>

#include "flow/flow.h"

void uci_flow_shutdown_if_drained(uc_fd *fd)
{
    int r;

    if (!fd->shutdown_asked || fd->shutdown_done || !uci_send_queue_is_empty(&fd->queue) ||
        fd->connect_bytes)
        return;
    fd->shutdown_done = true;
    r = fd->ring->backend->table->shutdown(fd->fd);
    uci_flow_record(fd, UC_EVENT_SHUTDOWN, r);
}

/* Tell the caller what is its own again, and that it may go on writing. */
static void report_progress(uc_fd *fd, uint32_t references)
{
    uint32_t flags = 0;

    if (fd->low_water_owed && fd->queue.bytes <= fd->low_water) {
        fd->low_water_owed = false;
        flags = UC_EVENT_LOW_WATER;
    }
    if (references || flags)
        uci_flow_record(fd, UC_EVENT_SENT, (int32_t)references)->flags = flags;
}

static void report_failure(uc_fd *fd)
{
    uci_send_queue_drop(&fd->queue, &fd->ring->send_cache);
    uci_flow_record(fd, UC_EVENT_SEND_FAILED, fd->send_error);
    if (fd->shutdown_asked && !fd->shutdown_done) {
        fd->shutdown_done = true;
        uci_flow_record(fd, UC_EVENT_SHUTDOWN, fd->send_error);
    }
}

static void stream_failed(uc_fd *fd, int32_t error)
{
    fd->send_error = error;
    fd->low_water_owed = false;
    if (fd->life == UC_FD_DRAINING)
        uci_flow_life(fd, UCI_LIFE_DRAINED);
    else if (!fd->zero_copy.outstanding)
        report_failure(fd);
}

void uci_flow_unpin(uc_fd *fd)
{
    uint64_t pin = uci_zero_copy_ended(&fd->zero_copy);

    if (!fd->send_error)
        report_progress(fd, uci_send_queue_unpin(&fd->queue, &fd->ring->send_cache, pin));
    else if (!fd->zero_copy.outstanding)
        report_failure(fd);
}

/* A datagram that found no room at the receiver, again and again, may end in the kernel with 0. */
static bool has_taken_nothing(const uc_fd *fd, const struct uci_completion *completion)
{
    if (completion->flags & UCI_COMPLETION_LOST)
        return false;
    return uci_flow_is_interruption(completion->result) ||
           (completion->result == 0 && uci_send_queue_has_datagram(&fd->queue));
}

void uci_flow_complete_send(uc_fd *fd, const struct uci_completion *completion)
{
    bool is_datagram = fd->flags & UC_FD_DATAGRAM;
    struct uci_send_cache *cache = &fd->ring->send_cache;
    bool zero_copy = fd->zero_copy.in_lane;
    uint64_t pin = zero_copy ? uci_flow_end_zero_copy(fd, completion) : 0;
    int32_t result = completion->result;
    uint32_t references = 0;

    if (fd->life == UC_FD_CLOSING)
        return;
    if (has_taken_nothing(fd, completion) || (zero_copy && uci_flow_must_copy(fd, result))) {
        uci_send_queue_retry(&fd->queue, cache);
        return;
    }
    if (result < 0 && !is_datagram) {
        stream_failed(fd, result);
        return;
    }
    if (result < 0)
        uci_flow_record(fd, UC_EVENT_SEND_FAILED, result);
    if (pin)
        uci_send_queue_pin(&fd->queue, (uint64_t)result, pin);
    references = uci_send_queue_sent(&fd->queue, cache, result < 0 ? 0 : (uint64_t)result);
    report_progress(fd, references);
    if (!uci_send_queue_is_empty(&fd->queue))
        return;
    uci_flow_shutdown_if_drained(fd);
    uci_flow_life(fd, UCI_LIFE_DRAINED);
}

void uci_flow_complete_connect(uc_fd *fd, const struct uci_completion *completion)
{
    fd->connect_bytes = 0;
    if (fd->life > UC_FD_HALF_CLOSED)
        return;
    uci_flow_record(fd, UC_EVENT_CONNECT, completion->result);
    uci_flow_shutdown_if_drained(fd);
}

void uci_flow_complete_poll(uc_fd *fd, const struct uci_completion *completion)
{
    const int32_t always = POLLERR | POLLHUP | POLLNVAL;
    int32_t result = completion->result;

    if (fd->life > UC_FD_HALF_CLOSED || !fd->poll_events || uci_flow_is_interruption(result))
        return;
    /* Ready for what was asked before, not for what is asked now: armed again. */
    if (result >= 0 && !(result & ((int32_t)fd->poll_events | always)))
        return;
    fd->poll_events = 0;
    uci_flow_record(fd, UC_EVENT_POLL, result);
}
