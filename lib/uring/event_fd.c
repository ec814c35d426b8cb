/*
 * Telling another loop: the eventfd of uc_ring_event_fd().
 *
 * What is odd in the kernel: a ring that defers its task work writes to the eventfd from within
 * whatever wakes an operation. Some kernels (seen: 6.12.117) put that write off, and one that was
 * put off once is never put off again: from the second time on nobody is told, and who sleeps on
 * the descriptor sleeps on. So the kernel is tried, once in a process, with a byte for a socket that
 * a small ring polls: when send() returns, the eventfd has to be readable. Where it is not, the ring
 * must not defer: one that does not tells from its own thread, always at once.
 *
 * When a ring ends, the kernel interrupts who has entered it: that is a thread that is gone by then.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "uring/uring.h"

#define TRIAL_ENTRIES 4

enum {
    NOT_TRIED,
    TELLS,
    FORGETS
};

static _Atomic int known = NOT_TRIED;

/* Return: TELLS or FORGETS, or NOT_TRIED for want of something. */
static int try_with(struct io_uring *ring, int event_fd, const int pair[2])
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    uint64_t value;

    io_uring_prep_poll_add(sqe, pair[0], POLLIN);
    if (io_uring_register_eventfd(ring, event_fd) < 0 || io_uring_submit(ring) != 1 ||
        send(pair[1], "x", 1, 0) != 1)
        return NOT_TRIED;
    return read(event_fd, &value, sizeof(value)) == sizeof(value) ? TELLS : FORGETS;
}

static void *try_apart(void *ret_result)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
    };
    struct io_uring ring;
    int *result = ret_result;
    int event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), pair[2];

    if (event_fd < 0)
        return NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
        if (io_uring_queue_init_params(TRIAL_ENTRIES, &ring, &params) == 0) {
            *result = try_with(&ring, event_fd, pair);
            io_uring_queue_exit(&ring);
        }
        close(pair[0]);
        close(pair[1]);
    }
    close(event_fd);
    return NULL;
}

static bool deferred_work_is_told(void)
{
    int result = atomic_load(&known);
    sigset_t all, before;
    pthread_t thread;

    if (result != NOT_TRIED)
        return result == TELLS;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, try_apart, &result) == 0)
        pthread_join(thread, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    atomic_store(&known, result);
    return result == TELLS;
}

int uci_uring_new_event_fd(int wake_fd)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    return fd < 0 ? -errno : fd;
}

int uci_uring_set_event_fd(struct uci_backend *backend, int event_fd)
{
    if ((backend->features & UC_FEATURE_DEFER_TASKRUN) && !deferred_work_is_told())
        return -EOPNOTSUPP;
    return io_uring_register_eventfd(&uci_uring_of(backend)->ring, event_fd);
}
