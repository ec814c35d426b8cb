/*
 * Operations from their start to their end.
 *
 * What sends is tried at once and waits only if there is no room. What receives waits at once: the
 * set reports at the next look what is there already. Files go to the workers.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/time_types.h>
#include <stdlib.h>

#include "backend/blocking.h"
#include "base/clock.h"
#include "epoll/epoll.h"

/* A Unix socket with a full queue tells nobody but its peer when there is room. */
#define TRY_AGAIN_NS UINT64_C(5000000)

/* What poll(2) can ask for; the bits above are epoll's orders. */
#define POLLED UINT32_C(0xffff)

static struct uci_epoll_op *take_op(struct uci_epoll *epoll, const struct uci_operation *operation)
{
    struct uci_epoll_op *op = epoll->free_ops;

    if (op)
        epoll->free_ops = op->next;
    else
        op = malloc(sizeof(*op));
    if (!op)
        return NULL;
    *op = (struct uci_epoll_op){.operation = *operation, .epoll = epoll, .waits_on = -1};
    uci_list_init(&op->waiting);
    return op;
}

void uci_epoll_drop(struct uci_epoll_op *op)
{
    struct uci_epoll *epoll = op->epoll;

    uci_epoll_wait_no_more(op);
    uci_epoll_timer_remove(op);
    uci_epoll_table_remove(op);
    op->next = epoll->free_ops;
    epoll->free_ops = op;
}

static void complete(struct uci_epoll *epoll, uint64_t user_data, int32_t result)
{
    uci_epoll_complete(epoll, &(struct uci_completion){.user_data = user_data, .result = result});
}

void uci_epoll_end(struct uci_epoll_op *op, int32_t result)
{
    complete(op->epoll, op->operation.user_data, result);
    uci_epoll_drop(op);
}

void uci_epoll_work(struct uci_epoll_op *op)
{
    struct uci_epoll *epoll = op->epoll;
    int r = epoll->workers ? 0 : uci_workers_new(epoll->bell, &epoll->workers);

    if (r < 0) {
        uci_epoll_end(op, r);
        return;
    }
    uci_epoll_table_add(op);
    op->working = true;
    op->work = (struct uci_work){.run = uci_epoll_run, .abandon = uci_epoll_abandon};
    uci_workers_add(epoll->workers, &op->work);
}

/* Have it resumed when @fd is ready. What cannot be watched is a file, or wrong. */
void uci_epoll_wait_or_end(struct uci_epoll_op *op, int fd, uint32_t wants)
{
    bool transfer = op->operation.op == UCI_OP_READ || op->operation.op == UCI_OP_WRITE;
    int r = uci_epoll_wait_for(op, fd, wants);

    if (r == 0)
        uci_epoll_table_add(op);
    else if (r == -EPERM && transfer)
        uci_epoll_work(op);
    else if (r != -EPERM)
        uci_epoll_end(op, r);
    else if (!uci_epoll_resume(op, 0))
        uci_epoll_end(op, op->operation.op == UCI_OP_POLL ? -EINVAL : -EAGAIN);
}

/* One that is non-blocking is not waited for, as in io_uring; one that is not open for it is never
 * ready. */
static bool is_waited_for(const struct uci_operation *o)
{
    int flags = fcntl(o->fd, F_GETFL), never = o->op == UCI_OP_READ ? O_WRONLY : O_RDONLY;

    return flags >= 0 && !(flags & O_NONBLOCK) && (flags & O_ACCMODE) != never;
}

/* What is in memory is read at once, as by io_uring. */
static void start_on_file(struct uci_epoll_op *op)
{
    int32_t result = uci_epoll_read_cached(&op->operation);

    if (result < 0)
        uci_epoll_work(op);
    else
        uci_epoll_end(op, result);
}

static void start_transfer(struct uci_epoll_op *op)
{
    const struct uci_operation *o = &op->operation;
    uint32_t wants = o->op == UCI_OP_READ ? EPOLLIN : EPOLLOUT;

    if (o->shape & UCI_OPERATION_KEPT)
        uci_epoll_wait_or_end(op, o->fd, wants);
    else if (uci_epoll_is_file(o->fd))
        start_on_file(op);
    else if (is_waited_for(o))
        uci_epoll_wait_or_end(op, o->fd, wants);
    else
        uci_epoll_end(op, uci_blocking_call(o));
}

static void start_timeout(struct uci_epoll_op *op)
{
    const struct __kernel_timespec *time = (const void *)(uintptr_t)op->operation.address;
    uint64_t ns = (uint64_t)time->tv_sec * 1000000000 + (uint64_t)time->tv_nsec;
    uint64_t now = uci_clock_now_ns();
    int r = uci_epoll_timer_add(op, ns < UINT64_MAX - now ? now + ns : UINT64_MAX);

    if (r < 0)
        uci_epoll_end(op, r);
    else
        uci_epoll_table_add(op);
}

/* What was moved until then counts. */
static void cancel(struct uci_epoll_op *op)
{
    uci_epoll_end(op, op->moved ? op->moved : -ECANCELED);
}

static void start_cancel(struct uci_epoll_op *op)
{
    struct uci_epoll *epoll = op->epoll;
    struct uci_epoll_op *found = uci_epoll_table_find(epoll, op->operation.offset);
    int32_t result = found ? 0 : -ENOENT;

    if (found && found->working && !uci_workers_call_off(epoll->workers, &found->work)) {
        found->called_off = true;
        result = -EALREADY;
    }
    if (result == 0)
        cancel(found);
    uci_epoll_end(op, result);
}

/* The first time it is tried at once: what is no socket would never be ready. */
static void start_receive(struct uci_epoll_op *op)
{
    const struct uci_operation *o = &op->operation;
    bool first = !uci_epoll_is_kept(op->epoll, o->fd);
    uint64_t user_data = o->user_data;
    struct uci_epoll *epoll = op->epoll;

    if (o->shape & UCI_OPERATION_NOW) {
        uci_epoll_end(op, uci_epoll_call(op, 0));
        return;
    }
    uci_epoll_wait_or_end(op, o->fd, EPOLLIN);
    if (first && uci_epoll_table_find(epoll, user_data) == op)
        (void)uci_epoll_resume(op, 0);
}

static void start(struct uci_epoll_op *op)
{
    const struct uci_operation *o = &op->operation;

    switch ((enum uci_op)o->op) {
    case UCI_OP_NOP:
    case UCI_OP_COUNT:
        uci_epoll_end(op, 0);
        break;
    case UCI_OP_RECV:
    case UCI_OP_RECVMSG:
    case UCI_OP_ACCEPT:
        start_receive(op);
        break;
    case UCI_OP_POLL:
        uci_epoll_wait_or_end(op, o->fd, (o->flags & POLLED) | EPOLLERR);
        break;
    case UCI_OP_SEND:
    case UCI_OP_SENDMSG:
    case UCI_OP_CONNECT:
        (void)uci_epoll_resume(op, 0);
        break;
    case UCI_OP_READ:
    case UCI_OP_WRITE:
        start_transfer(op);
        break;
    case UCI_OP_CLOSE:
        uci_epoll_forget(&op->epoll->base, o->fd);
        uci_epoll_work(op);
        break;
    case UCI_OP_FSYNC:
    case UCI_OP_OPENAT:
    case UCI_OP_STATX:
    case UCI_OP_SPLICE:
    case UCI_OP_TRUNCATE:
    case UCI_OP_FALLOCATE:
    case UCI_OP_RENAMEAT:
    case UCI_OP_UNLINKAT:
    case UCI_OP_MKDIRAT:
    case UCI_OP_SYMLINKAT:
    case UCI_OP_LINKAT:
    case UCI_OP_READLINKAT:
    case UCI_OP_STATVFS:
    case UCI_OP_LIST:
    case UCI_OP_COPY_RANGE:
        uci_epoll_work(op);
        break;
    case UCI_OP_TIMEOUT:
        start_timeout(op);
        break;
    case UCI_OP_CANCEL:
        start_cancel(op);
        break;
    }
}

void uci_epoll_start(struct uci_epoll *epoll, const struct uci_operation *operation)
{
    struct uci_epoll_op *op = take_op(epoll, operation);

    if (op)
        start(op);
    else
        complete(epoll, operation->user_data, -ENOMEM);
}

static bool is_sending(const struct uci_operation *o)
{
    return o->op == UCI_OP_SEND || o->op == UCI_OP_SENDMSG || o->op == UCI_OP_CONNECT;
}

/* Room that is told of and is not there is not the sender's to wait for, but the receiver's. */
static void wait_for_room(struct uci_epoll_op *op, uint32_t ready)
{
    if (!(ready & EPOLLOUT) && (op->operation.op != UCI_OP_CONNECT || op->connecting)) {
        if (op->waits_on < 0)
            uci_epoll_wait_or_end(op, op->operation.fd, EPOLLOUT);
        return;
    }
    uci_epoll_wait_no_more(op);
    if (uci_epoll_timer_add(op, uci_clock_now_ns() + TRY_AGAIN_NS) < 0)
        uci_epoll_end(op, -EAGAIN);
    else
        uci_epoll_table_add(op);
}

bool uci_epoll_resume(struct uci_epoll_op *op, uint32_t ready)
{
    const struct uci_operation *o = &op->operation;
    int32_t result;

    if (o->op == UCI_OP_TIMEOUT) {
        uci_epoll_end(op, -ETIME);
        return true;
    }
    if (o->op == UCI_OP_SPLICE) {
        uci_epoll_wait_no_more(op);
        uci_epoll_work(op);
        return true;
    }
    if (uci_epoll_receives(o))
        return uci_epoll_receive(op);
    result = uci_epoll_call(op, ready);
    if (result != -EAGAIN) {
        uci_epoll_end(op, result);
        return true;
    }
    if (is_sending(o))
        wait_for_room(op, ready);
    return false;
}

void uci_epoll_take_finished(struct uci_epoll *epoll)
{
    struct uci_work *finished, *next;

    if (!epoll->workers)
        return;
    for (finished = uci_workers_take_finished(epoll->workers); finished; finished = next) {
        struct uci_epoll_op *op = UCI_CONTAINER(finished, struct uci_epoll_op, work);

        next = finished->next;
        op->working = false;
        if (op->operation.op == UCI_OP_SPLICE)
            uci_epoll_splice_finished(op);
        else
            uci_epoll_end(op, op->result);
    }
}

/* What runs on a worker ends by itself. */
void uci_epoll_end_all(struct uci_epoll *epoll)
{
    uint32_t queued = epoll->base.queued;
    struct uci_epoll_op *op, *next;

    for (uint32_t i = 0; i < queued; i++)
        complete(epoll, epoll->queue[i].user_data, -ECANCELED);
    epoll->base.queued = 0;
    for (uint32_t i = 0; i < epoll->table_size; i++)
        for (op = epoll->table[i]; op; op = next) {
            next = op->next;
            if (!op->working || uci_workers_call_off(epoll->workers, &op->work))
                cancel(op);
        }
}

/* In a child no worker is left to free what it was at. */
void uci_epoll_free_ops(struct uci_epoll *epoll, bool in_child)
{
    struct uci_epoll_op *op;

    for (uint32_t i = 0; i < epoll->table_size; i++)
        while ((op = epoll->table[i])) {
            epoll->table[i] = op->next;
            if (in_child || !op->working)
                free(op);
        }
    while ((op = epoll->free_ops)) {
        epoll->free_ops = op->next;
        free(op);
    }
}
