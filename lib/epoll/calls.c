/*
 * One operation as one system call that does not block.
 *
 * Sockets are asked not to block call by call. accept, connect, read and write know no such flag,
 * and a descriptor may be blocking: readiness that was reported is no promise when others use the
 * same file. Then the file is made non-blocking for the moment of the call.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <uc/op.h>
#include <unistd.h>

#include "backend/blocking.h"
#include "epoll/epoll.h"

static int32_t result_of(ssize_t r)
{
    return r < 0 ? -errno : (int32_t)r;
}

static void *address_of(const struct uci_operation *operation)
{
    return (void *)(uintptr_t)operation->address;
}

bool uci_epoll_is_non_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && (flags & O_NONBLOCK);
}

/* Return: the flags to go back to, or -1 when there is nothing to undo. */
static int stop_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || (flags & O_NONBLOCK))
        return -1;
    (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    return flags;
}

static void block_again(int fd, int flags)
{
    int error = errno;

    if (flags >= 0)
        (void)fcntl(fd, F_SETFL, flags);
    errno = error;
}

static int32_t call_transfer(const struct uci_operation *o)
{
    int32_t result;
    int flags;

    /* One that is ours alone is as ready as it was reported. */
    if (o->shape & UCI_OPERATION_KEPT)
        return uci_blocking_call(o);
    flags = stop_blocking(o->fd);
    result = uci_blocking_call(o);
    block_again(o->fd, flags);
    return result;
}

int32_t uci_epoll_splice(const struct uci_operation *o)
{
    loff_t in = (loff_t)o->address, out = (loff_t)o->offset;
    unsigned more = o->flags & UC_SPLICE_MORE ? SPLICE_F_MORE : 0;
    int flags_in = stop_blocking(o->fd_in), flags_out = stop_blocking(o->fd);
    int32_t result = result_of(splice(o->fd_in, o->address == UC_OFFSET_CURRENT ? NULL : &in, o->fd,
                                      o->offset == UC_OFFSET_CURRENT ? NULL : &out, o->length,
                                      SPLICE_F_NONBLOCK | more));

    block_again(o->fd, flags_out);
    block_again(o->fd_in, flags_in);
    return result;
}

static int32_t call_accept(const struct uci_operation *o)
{
    int flags = stop_blocking(o->fd);
    int32_t result = result_of(accept4(o->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));

    block_again(o->fd, flags);
    return result;
}

static int32_t call_connect(struct uci_epoll_op *op)
{
    const struct uci_operation *o = &op->operation;
    socklen_t bytes = sizeof(int);
    int error = 0, flags;
    int32_t result;

    if (op->connecting)
        return getsockopt(o->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0 ? -errno : -error;
    flags = stop_blocking(o->fd);
    result = result_of(connect(o->fd, address_of(o), (socklen_t)o->length));
    block_again(o->fd, flags);
    if (result != -EINPROGRESS && result != -EINTR)
        return result;
    op->connecting = true;
    return -EAGAIN;
}

/* What is asked for and there; files that cannot be watched are asked. */
static int32_t call_poll(const struct uci_operation *o, uint32_t ready)
{
    struct pollfd asked = {.fd = o->fd, .events = (short)o->flags};

    if (!ready && poll(&asked, 1, 0) > 0)
        ready = (uint32_t)asked.revents;
    ready &= o->flags | POLLERR | POLLHUP | POLLNVAL;
    return ready ? (int32_t)ready : -EAGAIN;
}

static int32_t call(struct uci_epoll_op *op, uint32_t ready)
{
    const struct uci_operation *o = &op->operation;

    switch ((enum uci_op)o->op) {
    case UCI_OP_RECV:
        return result_of(recv(o->fd, address_of(o), o->length, MSG_DONTWAIT));
    case UCI_OP_RECVMSG:
        return result_of(recvmsg(o->fd, address_of(o), MSG_DONTWAIT));
    case UCI_OP_SEND:
        return result_of(send(o->fd, address_of(o), o->length, MSG_DONTWAIT | MSG_NOSIGNAL));
    case UCI_OP_SENDMSG:
        return result_of(sendmsg(o->fd, address_of(o), MSG_DONTWAIT | MSG_NOSIGNAL));
    case UCI_OP_ACCEPT:
        return call_accept(o);
    case UCI_OP_CONNECT:
        return call_connect(op);
    case UCI_OP_POLL:
        return call_poll(o, ready);
    case UCI_OP_READ:
    case UCI_OP_WRITE:
        return call_transfer(o);
    default:
        return -EINVAL;
    }
}

int32_t uci_epoll_call(struct uci_epoll_op *op, uint32_t ready)
{
    int32_t result;

    do {
        result = call(op, ready);
    } while (result == -EINTR);
    return result;
}
