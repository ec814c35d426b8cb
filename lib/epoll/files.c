/* What no readiness tells of: files and names, as plain blocking calls on a worker. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "backend/blocking.h"
#include "epoll/epoll.h"

bool uci_epoll_is_file(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 &&
           (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode) || S_ISDIR(status.st_mode));
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
