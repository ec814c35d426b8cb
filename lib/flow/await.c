/*
 * Waiting for data without a buffer, before a receive whose buffer we choose.
 *
 * A receive that waits keeps its buffer from others, perhaps for ever. So the descriptor is polled,
 * and the receive that follows does not wait. It also tells why a wait has failed.
 *
 * What is odd in the kernel: a poll tells also of errors, and of those in a socket's error queue
 * (IP_RECVERR) until somebody reads that queue, which no receive does. Such a wait would end at
 * once, again and again. Then a poll is taken that tells of changes (multishot; epoll's edges). Its
 * first look tells of the old error once more and cannot be told from a change that came between
 * the receive and the poll: so whether there is an error that a receive would take is asked of the
 * socket itself, and if so, that takes the place of what is received next.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "flow/flow.h"

void uci_flow_prepare_wait(uc_fd *fd, struct uci_operation *operation)
{
    operation->op = UCI_OP_POLL;
    operation->flags = POLLIN;
    operation->shape = fd->misled ? UCI_OPERATION_MULTISHOT : 0;
    fd->awaits_data = true;
}

static bool is_error_alone(int32_t polled)
{
    return polled > 0 && !(polled & POLLIN);
}

static int32_t take_error(const uc_fd *fd)
{
    int error = 0;
    socklen_t bytes = sizeof(error);

    return getsockopt(fd->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0 ? -errno : -error;
}

bool uci_flow_goes_on_waiting(uc_fd *fd, const struct uci_completion *completion)
{
    if (!fd->awaits_data || !(completion->flags & UCI_COMPLETION_MORE))
        return false;
    if (fd->change_seen)
        return true;
    if (is_error_alone(completion->result))
        fd->awaited_error = take_error(fd);
    fd->change_seen = fd->awaited_error || !is_error_alone(completion->result);
    if (fd->change_seen)
        uci_flow_cancel_lane(fd, UCI_LANE_READ);
    return true;
}

bool uci_flow_has_awaited_error(uc_fd *fd, struct uci_completion *completion)
{
    if (!fd->awaited_error)
        return false;
    completion->result = fd->awaited_error;
    fd->awaited_error = 0;
    fd->awaits_data = false;
    return true;
}

void uci_flow_end_wait(uc_fd *fd, int32_t result)
{
    bool interrupted = uci_flow_is_interruption(result) && !fd->change_seen;

    if (fd->awaits_data)
        fd->misled = is_error_alone(result);
    else if (result != -EAGAIN)
        fd->misled = false;
    fd->dry = !fd->awaits_data || interrupted;
    fd->awaits_data = fd->change_seen = false;
}
