/*
 * What no readiness tells of: files and names, as plain blocking calls on a worker; but what is
 * cached is read at once, where the file system can say that it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <uc/op.h>

#include "backend/blocking.h"
#include "epoll/epoll.h"

bool uci_epoll_is_file(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 &&
           (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode) || S_ISDIR(status.st_mode));
}

static ssize_t read_now(const struct uci_operation *o, uint32_t done)
{
    struct iovec part = {
        .iov_base = (uint8_t *)(uintptr_t)o->address + done,
        .iov_len = o->length - done,
    };

    return preadv2(o->fd, &part, 1, (off_t)(o->offset + done), RWF_NOWAIT);
}

/* All that was asked for, or all up to the end of the file; a part of it is read again by a worker,
 * which a position that has moved would not allow. O_DIRECT waits for the disk, whatever the flag. */
int32_t uci_epoll_read_cached(const struct uci_operation *o)
{
    ssize_t bytes;

    if (o->op != UCI_OP_READ || o->offset == UC_OFFSET_CURRENT ||
        (fcntl(o->fd, F_GETFL) & O_DIRECT))
        return -EAGAIN;
    bytes = read_now(o, 0);
    if (bytes > 0 && bytes < o->length && read_now(o, (uint32_t)bytes) != 0)
        return -EAGAIN;
    return bytes < 0 ? -EAGAIN : (int32_t)bytes;
}

void uci_epoll_run(struct uci_work *work)
{
    struct uci_epoll_op *op = UCI_CONTAINER(work, struct uci_epoll_op, work);

    if (op->operation.op != UCI_OP_SPLICE)
        op->result = uci_blocking_call(&op->operation);
    else
        do {
            op->result = uci_epoll_splice(&op->operation);
        } while (op->result == -EINTR);
}

void uci_epoll_abandon(struct uci_work *work)
{
    struct uci_epoll_op *op = UCI_CONTAINER(work, struct uci_epoll_op, work);

    uci_blocking_undo(&op->operation, op->result);
    free(op);
}
