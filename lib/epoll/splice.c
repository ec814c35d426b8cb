/*
 * Splicing: between two sides that both have to be ready.
 *
 * It is tried on a worker, because a file may take its time and because a socket that nobody reads
 * raises SIGPIPE, which the workers block. What could not be moved is waited for on the side that
 * is not ready. As in the kernel, a pipe is waited for unless it or the operation says not to, and
 * a socket unless it is non-blocking; and to a socket that is waited for goes all that is in the
 * pipe.
 */
#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <uc/op.h>

#include "epoll/epoll.h"

static bool is_pipe(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

static bool is_waited_for(const struct uci_operation *o, int fd)
{
    if (uci_epoll_is_non_blocking(fd))
        return false;
    return !(o->flags & UC_SPLICE_NONBLOCK) || !is_pipe(fd);
}

static bool is_ready(int fd, short events)
{
    struct pollfd side = {.fd = fd, .events = events};

    return poll(&side, 1, 0) != 0;
}

/* Nothing more can be moved now. */
static void wait(struct uci_epoll_op *op)
{
    const struct uci_operation *o = &op->operation;
    bool from = !is_ready(o->fd_in, POLLIN);
    int fd = from ? o->fd_in : o->fd;

    if (op->moved && (from || !is_waited_for(o, fd)))
        uci_epoll_end(op, op->moved);
    else if (!is_waited_for(o, fd))
        uci_epoll_end(op, -EAGAIN);
    else
        uci_epoll_wait_or_end(op, fd, from ? EPOLLIN : EPOLLOUT);
}

void uci_epoll_splice_finished(struct uci_epoll_op *op)
{
    const struct uci_operation *o = &op->operation;
    int32_t result = op->result;
    bool all;

    if (result > 0)
        op->moved += result;
    all = result == 0 || (uint32_t)op->moved == o->length || is_pipe(o->fd);
    if (result == -EAGAIN && (op->called_off || op->epoll->stopped))
        result = -ECANCELED;
    if (result == -EAGAIN || (result > 0 && !all && !op->called_off && !op->epoll->stopped))
        wait(op);
    else
        uci_epoll_end(op, op->moved ? op->moved : result);
}
