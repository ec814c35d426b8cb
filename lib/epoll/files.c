/* What no readiness tells of: files and names, as plain blocking calls on a worker. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <uc/op.h>
#include <unistd.h>

#include "epoll/epoll.h"

bool uci_epoll_is_file(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 &&
           (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode) || S_ISDIR(status.st_mode));
}

static int32_t call(const struct uci_operation *o)
{
    const char *path = (const char *)(uintptr_t)o->address;
    int r = 0;

    switch ((enum uci_op)o->op) {
    case UCI_OP_READ:
    case UCI_OP_WRITE:
        return uci_epoll_transfer(o);
    case UCI_OP_SPLICE:
        return uci_epoll_splice(o);
    case UCI_OP_FSYNC:
        r = o->flags & UC_FSYNC_DATA ? fdatasync(o->fd) : fsync(o->fd);
        break;
    case UCI_OP_OPENAT:
        r = openat(o->fd, path, (int)o->flags | O_CLOEXEC, (mode_t)o->length);
        break;
    case UCI_OP_CLOSE:
        r = close(o->fd);
        break;
    case UCI_OP_STATX:
        r = statx(o->fd, path, (int)o->flags, o->length, (struct statx *)(uintptr_t)o->offset);
        break;
    default:
        return -EINVAL;
    }
    return r < 0 ? -errno : r;
}

void uci_epoll_run(struct uci_work *work)
{
    struct uci_epoll_op *op = UCI_CONTAINER(work, struct uci_epoll_op, work);

    /* A close is not to be tried again, whatever it answers. */
    do {
        op->result = call(&op->operation);
    } while (op->result == -EINTR && op->operation.op != UCI_OP_CLOSE);
}

void uci_epoll_abandon(struct uci_work *work)
{
    struct uci_epoll_op *op = UCI_CONTAINER(work, struct uci_epoll_op, work);

    if (op->operation.op == UCI_OP_OPENAT && op->result >= 0)
        close(op->result);
    free(op);
}
