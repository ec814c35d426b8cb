/*
 * What this kernel's io_uring has no operation for: calls on workers, which look like operations.
 *
 * A call is queued by submit(), starts with the next entry, and its completion comes out of reap()
 * among the others. Workers tell by a bell that the ring itself polls, so that whatever waits for
 * the ring (an entry, its descriptor, its eventfd) is told as of any completion. The poll's own
 * completion is never handed on. While some of what has finished finds no room in reap(), it stays
 * in the ring, which therefore goes on being readable.
 *
 * The bell is a pipe and not an eventfd: within a write to one eventfd the kernel tells no other,
 * and the one of uc_ring_event_fd() would hear nothing. One that is full has been heard by nobody
 * yet, and nothing is lost.
 *
 * A cancellation that finds its target here goes to the kernel as an operation that does nothing,
 * for the sake of its completion. Work that has started runs to its end.
 *
 * Workers and bell are made for the first call.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/blocking.h"
#include "base/list.h"
#include "uring/uring.h"
#include "work/workers.h"

struct call {
    struct uci_operation operation;
    struct uci_link link; /* queued, working or done */
    struct uci_work work;
    int32_t result;
};

struct uci_uring_calls {
    struct uci_workers *workers;
    int bell[2];
    bool listening; /* a poll of the bell is in the ring's queue, in the kernel, or completed */
    bool heard;     /* and its completion stays in the ring until all of them are taken */
    struct uci_link queued, working, done;
};

static void run(struct uci_work *work)
{
    struct call *call = UCI_CONTAINER(work, struct call, work);

    call->result = uci_blocking_call(&call->operation);
}

static void abandon(struct uci_work *work)
{
    struct call *call = UCI_CONTAINER(work, struct call, work);

    uci_blocking_undo(&call->operation, call->result);
    free(call);
}

static void close_bell(struct uci_uring_calls *calls)
{
    close(calls->bell[0]);
    close(calls->bell[1]);
}

static int open_calls(struct uci_uring *uring)
{
    struct uci_uring_calls *calls = calloc(1, sizeof(*calls));
    int r;

    if (!calls)
        return -ENOMEM;
    if (pipe2(calls->bell, O_CLOEXEC | O_NONBLOCK) < 0) {
        r = -errno;
        free(calls);
        return r;
    }
    r = uci_workers_new(calls->bell[1], &calls->workers);
    if (r < 0) {
        close_bell(calls);
        free(calls);
        return r;
    }
    uci_list_init(&calls->queued);
    uci_list_init(&calls->working);
    uci_list_init(&calls->done);
    uring->calls = calls;
    uring->base.completions_max--; /* the bell's */
    return 0;
}

/* Whether the bell will be heard. Without room in the queue it is asked for again. */
static bool listen_to_bell(struct uci_uring *uring)
{
    struct uci_uring_calls *calls = uring->calls;
    struct io_uring_sqe *sqe;

    if (calls->listening || uring->stopped)
        return true;
    if (uci_list_is_empty(&calls->queued) && uci_list_is_empty(&calls->working))
        return true;
    sqe = io_uring_get_sqe(&uring->ring);
    if (!sqe)
        return false;
    io_uring_prep_poll_add(sqe, calls->bell[0], POLLIN);
    sqe->user_data = UCI_URING_BELL;
    uring->base.queued++;
    return calls->listening = true;
}

int uci_uring_submit_call(struct uci_uring *uring, const struct uci_operation *operation)
{
    int r = uring->calls ? 0 : open_calls(uring);
    struct call *call;

    if (r < 0)
        return r;
    call = calloc(1, sizeof(*call));
    if (!call)
        return -ENOMEM;
    call->operation = *operation;
    call->work = (struct uci_work){.run = run, .abandon = abandon};
    uci_list_append(&uring->calls->queued, &call->link);
    uring->base.queued++;
    (void)listen_to_bell(uring);
    return 0;
}

bool uci_uring_start_calls(struct uci_uring *uring)
{
    struct uci_uring_calls *calls = uring->calls;

    while (!uci_list_is_empty(&calls->queued)) {
        struct call *call = UCI_CONTAINER(calls->queued.next, struct call, link);

        uci_list_remove(&call->link);
        uci_list_append(&calls->working, &call->link);
        uci_workers_add(calls->workers, &call->work);
    }
    return listen_to_bell(uring);
}

static struct call *find(struct uci_link *list, uint64_t user_data)
{
    for (struct uci_link *link = list->next; link != list; link = link->next) {
        struct call *call = UCI_CONTAINER(link, struct call, link);

        if (call->operation.user_data == user_data)
            return call;
    }
    return NULL;
}

static void end(struct uci_uring_calls *calls, struct call *call, int32_t result)
{
    call->result = result;
    uci_list_remove(&call->link);
    uci_list_append(&calls->done, &call->link);
}

bool uci_uring_cancel_call(struct uci_uring *uring, uint64_t user_data)
{
    struct uci_uring_calls *calls = uring->calls;
    struct call *call = find(&calls->queued, user_data);

    if (call) {
        end(calls, call, -ECANCELED);
        return true;
    }
    call = find(&calls->working, user_data);
    if (call && uci_workers_call_off(calls->workers, &call->work))
        end(calls, call, -ECANCELED);
    return call || find(&calls->done, user_data);
}

static void take_finished(struct uci_uring_calls *calls)
{
    struct uci_work *finished = uci_workers_take_finished(calls->workers), *next;

    for (; finished; finished = next) {
        struct call *call = UCI_CONTAINER(finished, struct call, work);

        next = finished->next;
        end(calls, call, call->result);
    }
}

bool uci_uring_has_called(const struct uci_uring *uring)
{
    return !uci_list_is_empty(&uring->calls->done);
}

uint32_t uci_uring_reap_called(struct uci_uring *uring, struct uci_completion *completions,
                               uint32_t max)
{
    struct uci_uring_calls *calls = uring->calls;
    uint32_t n = 0;

    if (uring->stopped)
        take_finished(calls);
    for (; n < max && !uci_list_is_empty(&calls->done); n++) {
        struct call *call = UCI_CONTAINER(calls->done.next, struct call, link);

        completions[n] = (struct uci_completion){
            .user_data = call->operation.user_data,
            .result = call->result,
        };
        uci_list_remove(&call->link);
        free(call);
    }
    return n;
}

uint32_t uci_uring_hear_bell(struct uci_uring *uring, struct uci_completion *completions,
                             uint32_t max)
{
    struct uci_uring_calls *calls = uring->calls;
    char rings[64];
    uint32_t n;

    if (!calls->heard && !uring->stopped) {
        while (read(calls->bell[0], rings, sizeof(rings)) == sizeof(rings))
            ;
        take_finished(calls);
    }
    n = uci_uring_reap_called(uring, completions, max);
    calls->heard = uci_uring_has_called(uring);
    if (!calls->heard) {
        calls->listening = false;
        (void)listen_to_bell(uring);
    }
    return n;
}

void uci_uring_stop_calls(struct uci_uring *uring)
{
    struct uci_uring_calls *calls = uring->calls;
    struct uci_link *link, *next;

    while (!uci_list_is_empty(&calls->queued))
        end(calls, UCI_CONTAINER(calls->queued.next, struct call, link), -ECANCELED);
    for (link = calls->working.next; link != &calls->working; link = next) {
        struct call *call = UCI_CONTAINER(link, struct call, link);

        next = link->next;
        if (uci_workers_call_off(calls->workers, &call->work))
            end(calls, call, -ECANCELED);
    }
}

bool uci_uring_calls_have_ended(struct uci_uring *uring, int64_t timeout_ns)
{
    return uci_workers_are_idle(uring->calls->workers, timeout_ns);
}

static void free_list(struct uci_link *list)
{
    struct uci_link *link, *next;

    for (link = list->next; link != list; link = next) {
        next = link->next;
        free(UCI_CONTAINER(link, struct call, link));
    }
}

/* What still runs is freed by who runs it; in a child nobody does. */
void uci_uring_free_calls(struct uci_uring *uring, bool in_child)
{
    struct uci_uring_calls *calls = uring->calls;

    if (!calls)
        return;
    if (!in_child)
        uci_uring_stop_calls(uring);
    uci_workers_free(calls->workers, in_child);
    close_bell(calls);
    free_list(&calls->queued);
    free_list(&calls->done);
    if (in_child)
        free_list(&calls->working);
    free(calls);
    uring->calls = NULL;
}
