/*
 * Operations into a queue, completions out of one.
 *
 * Every operation is promised a terminal completion: its room is made when the operation is
 * submitted, so ending one never fails. Room for what comes before the last is made when there is
 * need; if there is no memory the bytes stay in the socket.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "epoll/epoll.h"

static int reserve(struct uci_epoll *epoll, uint32_t more)
{
    uint32_t needed = epoll->completion_count + epoll->owed + more;
    uint32_t capacity = epoll->completion_capacity ? epoll->completion_capacity : 64;
    struct uci_completion *completions;

    if (needed <= epoll->completion_capacity)
        return 0;
    while (capacity < needed)
        capacity *= 2;
    completions = realloc(epoll->completions, capacity * sizeof(*completions));
    if (!completions)
        return -ENOMEM;
    epoll->completions = completions;
    epoll->completion_capacity = capacity;
    return 0;
}

bool uci_epoll_has_room(struct uci_epoll *epoll)
{
    return reserve(epoll, 1) == 0;
}

void uci_epoll_complete(struct uci_epoll *epoll, const struct uci_completion *completion)
{
    if (epoll->completion_first + epoll->completion_count == epoll->completion_capacity) {
        memmove(epoll->completions, epoll->completions + epoll->completion_first,
                epoll->completion_count * sizeof(*completion));
        epoll->completion_first = 0;
    }
    epoll->completions[epoll->completion_first + epoll->completion_count++] = *completion;
    if (!(completion->flags & UCI_COMPLETION_MORE))
        epoll->owed--;
}

void uci_epoll_start_queued(struct uci_epoll *epoll)
{
    uint32_t queued = epoll->base.queued;

    for (uint32_t i = 0; i < queued; i++)
        uci_epoll_start(epoll, &epoll->queue[i]);
    epoll->base.queued = 0;
}

int uci_epoll_submit(struct uci_backend *backend, const struct uci_operation *operation)
{
    struct uci_epoll *epoll = uci_epoll_of(backend);
    int r;

    if (epoll->stopped)
        return -EBADF;
    r = reserve(epoll, 1);
    if (r < 0)
        return r;
    if (backend->queued == epoll->queue_capacity)
        uci_epoll_start_queued(epoll);
    epoll->queue[backend->queued++] = *operation;
    epoll->owed++;
    return 0;
}

uint32_t uci_epoll_reap(struct uci_backend *backend, struct uci_completion *completions,
                        uint32_t max)
{
    struct uci_epoll *epoll = uci_epoll_of(backend);
    uint32_t n;

    if (epoll->stopped)
        uci_epoll_take_finished(epoll);
    n = epoll->completion_count < max ? epoll->completion_count : max;
    if (!n)
        return 0;
    memcpy(completions, epoll->completions + epoll->completion_first, n * sizeof(*completions));
    epoll->completion_count -= n;
    epoll->completion_first = epoll->completion_count ? epoll->completion_first + n : 0;
    if (epoll->completion_count)
        uci_epoll_show_completions(epoll);
    return n;
}
