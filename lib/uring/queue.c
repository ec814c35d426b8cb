/*
 * Operations into the submission ring, completions out of the completion ring, and the one system
 * call between them.
 *
 * liburing prepares entries and finds completions; the rings' tails and io_uring_enter() are
 * handled here, because liburing 2.3 knows no IORING_ENTER_NO_IOWAIT. The submission ring's index
 * array is the identity, filled once.
 */
#include "uring/uring.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <uc/op.h>

#include "pool/pool.h"

#define SUBMIT_TRIES 64

uint32_t uci_uring_pending(const struct uci_uring *uring)
{
    return uring->ring.sq.sqe_tail - io_uring_smp_load_acquire(uring->ring.sq.khead);
}

static uint32_t flush(struct uci_uring *uring)
{
    struct io_uring_sq *sq = &uring->ring.sq;

    if (sq->sqe_head != sq->sqe_tail) {
        sq->sqe_head = sq->sqe_tail;
        io_uring_smp_store_release(sq->ktail, sq->sqe_tail);
    }
    return uci_uring_pending(uring);
}

static bool has_overflown(const struct uci_uring *uring)
{
    return IO_URING_READ_ONCE(*uring->ring.sq.kflags) & IORING_SQ_CQ_OVERFLOW;
}

/* Whether the kernel has anything for us that only an entry brings: deferred task work, or
 * completions that found no room. */
static bool kernel_has_news(const struct uci_uring *uring)
{
    if (!(uring->setup_flags & IORING_SETUP_TASKRUN_FLAG))
        return true;
    return IO_URING_READ_ONCE(*uring->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

static int enter(struct uci_uring *uring, bool wait, int64_t timeout_ns)
{
    struct uci_backend *backend = &uring->base;
    uint32_t pending = flush(uring), flags = uring->enter_flags;
    struct __kernel_timespec time;
    struct io_uring_getevents_arg argument = {.sigmask_sz = _NSIG / 8};
    int r;

    backend->queued = pending;
    if (uring->setup_flags & IORING_SETUP_SQPOLL) {
        if (pending && uci_uring_thread_sleeps(uring))
            flags |= IORING_ENTER_SQ_WAKEUP;
        else if (!wait && !has_overflown(uring))
            return 0;
        pending = 0;
    }
    if (!wait && !pending && !(flags & IORING_ENTER_SQ_WAKEUP) && !kernel_has_news(uring))
        return 0;
    if (wait && timeout_ns >= 0) {
        time.tv_sec = timeout_ns / 1000000000;
        time.tv_nsec = timeout_ns % 1000000000;
        argument.ts = (uint64_t)(uintptr_t)&time;
    }
    backend->kernel_entries++;
    r = io_uring_enter2((unsigned)uring->ring.ring_fd, pending, wait,
                        flags | IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, (void *)&argument,
                        sizeof(argument));
    backend->queued = uci_uring_pending(uring);
    /* ETIME: the time is over. EBUSY, EAGAIN: completions have to be taken first, which the caller
     * does next. */
    if (r >= 0 || r == -ETIME || r == -EBUSY || r == -EAGAIN)
        return 0;
    return r;
}

int uci_uring_enter(struct uci_backend *backend, bool wait, int64_t timeout_ns)
{
    struct uci_uring *uring = uci_uring_of(backend);
    int r;

    if (uring->calls && !uci_uring_start_calls(uring)) {
        r = enter(uring, false, 0);
        if (r < 0)
            return r;
        wait = uci_uring_start_calls(uring) && wait;
    }
    return enter(uring, wait, timeout_ns);
}

bool uci_uring_has_news(const struct uci_backend *backend)
{
    const struct uci_uring *uring = (const struct uci_uring *)backend;
    const struct io_uring_cq *cq = &uring->ring.cq;

    if (*cq->khead != io_uring_smp_load_acquire(cq->ktail))
        return true;
    if (uring->calls && uci_uring_has_called(uring))
        return true;
    /* Without that flag nothing tells of deferred work, and kernel_has_news() has to assume it. */
    return uring->setup_flags & IORING_SETUP_TASKRUN_FLAG ? kernel_has_news(uring)
                                                          : has_overflown(uring);
}

static void prepare_recv(struct uci_uring *uring, struct io_uring_sqe *sqe,
                         const struct uci_operation *o)
{
    void *address = (void *)(uintptr_t)o->address;
    bool bundle = (uring->base.features & UC_FEATURE_RECV_BUNDLE) != 0;
    int flags = o->shape & UCI_OPERATION_NOW ? MSG_DONTWAIT : 0;

    if (o->op == UCI_OP_RECVMSG)
        io_uring_prep_recvmsg(sqe, o->fd, address, (unsigned)flags);
    else
        io_uring_prep_recv(sqe, o->fd, address, o->length, flags);
    if (o->shape & UCI_OPERATION_PROVIDED) {
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = UCI_URING_BUFFER_GROUP;
    }
    if (o->shape & UCI_OPERATION_MULTISHOT) {
        sqe->ioprio |= IORING_RECV_MULTISHOT;
        if (bundle && o->op == UCI_OP_RECV)
            sqe->ioprio |= IORING_RECVSEND_BUNDLE;
    }
}

static void prepare_file(struct io_uring_sqe *sqe, const struct uci_operation *o)
{
    void *address = (void *)(uintptr_t)o->address;

    if (o->op == UCI_OP_READ && (o->shape & UCI_OPERATION_FIXED))
        io_uring_prep_read_fixed(sqe, o->fd, address, o->length, o->offset, 0);
    else if (o->op == UCI_OP_READ)
        io_uring_prep_read(sqe, o->fd, address, o->length, o->offset);
    else if (o->shape & UCI_OPERATION_FIXED)
        io_uring_prep_write_fixed(sqe, o->fd, address, o->length, o->offset, 0);
    else
        io_uring_prep_write(sqe, o->fd, address, o->length, o->offset);
}

static void prepare_splice(struct io_uring_sqe *sqe, const struct uci_operation *o)
{
    unsigned flags = 0;

    if (o->flags & UC_SPLICE_NONBLOCK)
        flags |= SPLICE_F_NONBLOCK;
    if (o->flags & UC_SPLICE_MORE)
        flags |= SPLICE_F_MORE;
    io_uring_prep_splice(sqe, o->fd_in, (int64_t)o->address, o->fd, (int64_t)o->offset, o->length,
                         flags);
}

static void prepare_name(struct io_uring_sqe *sqe, const struct uci_operation *o)
{
    const char *path = (const char *)(uintptr_t)o->address;
    const char *other = (const char *)(uintptr_t)o->offset;

    if (o->op == UCI_OP_RENAMEAT)
        io_uring_prep_renameat(sqe, o->fd_in, path, o->fd, other, o->flags);
    else if (o->op == UCI_OP_UNLINKAT)
        io_uring_prep_unlinkat(sqe, o->fd, path, (int)o->flags);
    else if (o->op == UCI_OP_MKDIRAT)
        io_uring_prep_mkdirat(sqe, o->fd, path, (mode_t)o->length);
    else if (o->op == UCI_OP_SYMLINKAT)
        io_uring_prep_symlinkat(sqe, path, o->fd, other);
    else
        io_uring_prep_linkat(sqe, o->fd_in, path, o->fd, other, (int)o->flags);
}

static void prepare_send(struct uci_uring *uring, struct io_uring_sqe *sqe,
                         const struct uci_operation *o)
{
    void *address = (void *)(uintptr_t)o->address;
    int flags = MSG_NOSIGNAL | (o->shape & UCI_OPERATION_WHOLE ? MSG_WAITALL : 0);
    unsigned zero_copy = uring->zero_copy_flags;

    if (!(o->shape & UCI_OPERATION_ZERO_COPY)) {
        if (o->op == UCI_OP_SEND)
            io_uring_prep_send(sqe, o->fd, address, o->length, flags);
        else
            io_uring_prep_sendmsg(sqe, o->fd, address, (unsigned)flags);
    } else if (o->op == UCI_OP_SENDMSG) {
        io_uring_prep_sendmsg_zc(sqe, o->fd, address, (unsigned)flags);
        sqe->ioprio |= (uint16_t)zero_copy;
    } else if (o->shape & UCI_OPERATION_FIXED) {
        io_uring_prep_send_zc_fixed(sqe, o->fd, address, o->length, flags, zero_copy, 0);
    } else {
        io_uring_prep_send_zc(sqe, o->fd, address, o->length, flags, zero_copy);
    }
}

static void prepare(struct uci_uring *uring, struct io_uring_sqe *sqe,
                    const struct uci_operation *o)
{
    void *address = (void *)(uintptr_t)o->address;

    switch ((enum uci_op)o->op) {
    case UCI_OP_RECV:
    case UCI_OP_RECVMSG:
        prepare_recv(uring, sqe, o);
        break;
    case UCI_OP_SEND:
    case UCI_OP_SENDMSG:
        prepare_send(uring, sqe, o);
        break;
    case UCI_OP_ACCEPT:
        io_uring_prep_accept(sqe, o->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (o->shape & UCI_OPERATION_MULTISHOT)
            sqe->ioprio |= IORING_ACCEPT_MULTISHOT;
        break;
    case UCI_OP_CONNECT:
        io_uring_prep_connect(sqe, o->fd, address, (socklen_t)o->length);
        break;
    case UCI_OP_POLL:
        if (o->shape & UCI_OPERATION_MULTISHOT)
            io_uring_prep_poll_multishot(sqe, o->fd, o->flags);
        else
            io_uring_prep_poll_add(sqe, o->fd, o->flags);
        break;
    case UCI_OP_READ:
    case UCI_OP_WRITE:
        prepare_file(sqe, o);
        break;
    case UCI_OP_FSYNC:
        io_uring_prep_fsync(sqe, o->fd, o->flags & UC_FSYNC_DATA ? IORING_FSYNC_DATASYNC : 0);
        break;
    case UCI_OP_OPENAT:
        io_uring_prep_openat(sqe, o->fd, address, (int)o->flags | O_CLOEXEC, (mode_t)o->length);
        break;
    case UCI_OP_CLOSE:
        io_uring_prep_close(sqe, o->fd);
        break;
    case UCI_OP_STATX:
        io_uring_prep_statx(sqe, o->fd, address, (int)o->flags, o->length,
                            (struct statx *)(uintptr_t)o->offset);
        break;
    case UCI_OP_TIMEOUT:
        io_uring_prep_timeout(sqe, address, 0, 0);
        break;
    case UCI_OP_SPLICE:
        prepare_splice(sqe, o);
        break;
    case UCI_OP_TRUNCATE:
        io_uring_prep_rw(UCI_IORING_OP_FTRUNCATE, sqe, o->fd, NULL, 0, o->offset);
        break;
    case UCI_OP_FALLOCATE:
        io_uring_prep_fallocate(sqe, o->fd, (int)o->flags, (off_t)o->offset, (off_t)o->address);
        break;
    case UCI_OP_RENAMEAT:
    case UCI_OP_UNLINKAT:
    case UCI_OP_MKDIRAT:
    case UCI_OP_SYMLINKAT:
    case UCI_OP_LINKAT:
        prepare_name(sqe, o);
        break;
    case UCI_OP_CANCEL:
        if (uring->calls && uci_uring_cancel_call(uring, o->offset))
            io_uring_prep_nop(sqe);
        else
            io_uring_prep_cancel64(sqe, o->offset, 0);
        break;
    case UCI_OP_READLINKAT: /* calls */
    case UCI_OP_STATVFS:
    case UCI_OP_LIST:
    case UCI_OP_COPY_RANGE:
    case UCI_OP_NOP:
    case UCI_OP_COUNT:
        io_uring_prep_nop(sqe);
        break;
    }
    sqe->user_data = o->user_data;
}

uint8_t uci_uring_opcode(uint8_t op, uint8_t shape)
{
    struct uci_uring none = {0};
    struct uci_operation operation = {.op = op, .shape = shape};
    struct io_uring_sqe sqe = {0};

    prepare(&none, &sqe, &operation);
    return sqe.opcode;
}

/* The queue is full: have the kernel take from it. */
static int make_room(struct uci_uring *uring)
{
    int r;

    if (!(uring->setup_flags & IORING_SETUP_SQPOLL))
        return uci_uring_enter(&uring->base, false, 0);
    flush(uring);
    uring->base.kernel_entries++;
    r = io_uring_enter2((unsigned)uring->ring.ring_fd, 0, 0,
                        IORING_ENTER_SQ_WAKEUP | IORING_ENTER_SQ_WAIT, NULL, 0);
    return r < 0 ? r : 0;
}

int uci_uring_submit(struct uci_backend *backend, const struct uci_operation *operation)
{
    struct uci_uring *uring = uci_uring_of(backend);
    struct io_uring_sqe *sqe;

    if (uring->called & UINT64_C(1) << operation->op)
        return uci_uring_submit_call(uring, operation);
    sqe = io_uring_get_sqe(&uring->ring);
    for (int tries = 0; !sqe && tries < SUBMIT_TRIES; tries++) {
        int r = make_room(uring);

        if (r < 0 && r != -EINTR)
            return r;
        sqe = io_uring_get_sqe(&uring->ring);
    }
    if (!sqe)
        return -EAGAIN;
    prepare(uring, sqe, operation);
    backend->queued++;
    return 0;
}

/* The pieces of a bundle as completions of their own. Return: how many were made. */
static uint32_t unbundle(struct uci_uring *uring, const struct io_uring_cqe *cqe,
                         struct uci_completion *completions, uint32_t max)
{
    uint32_t mask = uring->buffer_entries - 1, piece_bytes = uring->pool->buffer_bytes;
    bool more = cqe->flags & IORING_CQE_F_MORE;
    uint32_t n = 0;

    if (!uring->bundle_left) {
        uring->bundle_left = (uint32_t)cqe->res;
        uring->bundle_buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    }
    while (uring->bundle_left && n < max) {
        uint32_t piece = uring->bundle_left < piece_bytes ? uring->bundle_left : piece_bytes;

        uring->bundle_left -= piece;
        completions[n++] = (struct uci_completion){
            .user_data = cqe->user_data,
            .result = (int32_t)piece,
            .flags = UCI_COMPLETION_BUFFER | (more || uring->bundle_left ? UCI_COMPLETION_MORE : 0),
            .buffer = uring->bundle_buffer,
        };
        uring->bundle_buffer =
            uring->buffer_order[(uring->buffer_position[uring->bundle_buffer] + 1) & mask];
    }
    return n;
}

/* The result of a notice is no result, but a report, or nothing. */
static void read_notice(const struct io_uring_cqe *cqe, struct uci_completion *completion)
{
    completion->result = 0;
    if ((uint32_t)cqe->res & IORING_NOTIF_USAGE_ZC_COPIED)
        completion->flags |= UCI_COMPLETION_COPIED;
}

/* A read of a file that waited for the disk when the ring was let go would have gone on in a thread
 * that is no longer there, and the kernel says of this that the memory is. */
static int32_t result_of(const struct uci_uring *uring, int32_t result)
{
    return uring->stopped && result == -EFAULT ? -ECANCELED : result;
}

uint32_t uci_uring_reap(struct uci_backend *backend, struct uci_completion *completions,
                        uint32_t max)
{
    struct uci_uring *uring = uci_uring_of(backend);
    struct io_uring_cq *cq = &uring->ring.cq;
    uint32_t n = uring->calls ? uci_uring_reap_called(uring, completions, max) : 0;
    uint32_t head, tail;

    if (!cq->khead)
        return n;
    head = *cq->khead;
    tail = io_uring_smp_load_acquire(cq->ktail);
    for (; head != tail && n < max; head++) {
        const struct io_uring_cqe *cqe = &cq->cqes[head & cq->ring_mask];
        bool has_buffer = cqe->flags & IORING_CQE_F_BUFFER;

        if (has_buffer && cqe->res > (int32_t)uring->pool->buffer_bytes) {
            n += unbundle(uring, cqe, completions + n, max - n);
            if (uring->bundle_left)
                break;
            continue;
        }
        if (cqe->user_data == UCI_URING_BELL) {
            n += uci_uring_hear_bell(uring, completions + n, max - n);
            if (uci_uring_has_called(uring))
                break;
            continue;
        }
        completions[n] = (struct uci_completion){
            .user_data = cqe->user_data,
            .result = result_of(uring, cqe->res),
            .flags = (has_buffer ? UCI_COMPLETION_BUFFER : 0) |
                     (cqe->flags & IORING_CQE_F_MORE ? UCI_COMPLETION_MORE : 0),
            .buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT,
        };
        if (cqe->flags & IORING_CQE_F_NOTIF)
            read_notice(cqe, &completions[n]);
        n++;
    }
    io_uring_smp_store_release(cq->khead, head);
    if (uring->gone && n < max)
        n += uci_uring_reap_untaken(uring, completions + n, max - n);
    if (!uring->stopped)
        backend->overflowing = IO_URING_READ_ONCE(*uring->ring.sq.kflags) & IORING_SQ_CQ_OVERFLOW;
    backend->overflows += backend->overflowing;
    return n;
}
