/* Deadlines in a heap: each is earlier than the two below it. */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "epoll/epoll.h"

static void place(struct uci_epoll *epoll, uint32_t at, struct uci_epoll_op *op)
{
    epoll->timers[at] = op;
    op->timer = at + 1;
}

static void rise(struct uci_epoll *epoll, uint32_t at, struct uci_epoll_op *op)
{
    while (at > 0 && op->deadline < epoll->timers[(at - 1) / 2]->deadline) {
        place(epoll, at, epoll->timers[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(epoll, at, op);
}

static void sink(struct uci_epoll *epoll, uint32_t at, struct uci_epoll_op *op)
{
    uint32_t below;

    while ((below = 2 * at + 1) < epoll->timer_count) {
        if (below + 1 < epoll->timer_count &&
            epoll->timers[below + 1]->deadline < epoll->timers[below]->deadline)
            below++;
        if (op->deadline <= epoll->timers[below]->deadline)
            break;
        place(epoll, at, epoll->timers[below]);
        at = below;
    }
    place(epoll, at, op);
}

int uci_epoll_timer_add(struct uci_epoll_op *op, uint64_t deadline)
{
    struct uci_epoll *epoll = op->epoll;
    uint32_t capacity = epoll->timer_capacity ? epoll->timer_capacity * 2 : 16;
    struct uci_epoll_op **timers;

    if (epoll->timer_count == epoll->timer_capacity) {
        timers = realloc(epoll->timers, capacity * sizeof(struct uci_epoll_op *));
        if (!timers)
            return -ENOMEM;
        epoll->timers = timers;
        epoll->timer_capacity = capacity;
    }
    op->deadline = deadline;
    rise(epoll, epoll->timer_count++, op);
    return 0;
}

void uci_epoll_timer_remove(struct uci_epoll_op *op)
{
    struct uci_epoll *epoll = op->epoll;
    uint32_t at = op->timer - 1;
    struct uci_epoll_op *last;

    if (!op->timer)
        return;
    op->timer = 0;
    last = epoll->timers[--epoll->timer_count];
    if (last == op)
        return;
    if (last->deadline < op->deadline)
        rise(epoll, at, last);
    else
        sink(epoll, at, last);
}

int64_t uci_epoll_timers_left(const struct uci_epoll *epoll)
{
    uint64_t now;

    if (!epoll->timer_count)
        return -1;
    now = uci_clock_now_ns();
    return epoll->timers[0]->deadline > now ? (int64_t)(epoll->timers[0]->deadline - now) : 0;
}

void uci_epoll_timers_expire(struct uci_epoll *epoll)
{
    uint64_t now;

    if (!epoll->timer_count)
        return;
    now = uci_clock_now_ns();
    while (epoll->timer_count && epoll->timers[0]->deadline <= now) {
        struct uci_epoll_op *op = epoll->timers[0];

        uci_epoll_timer_remove(op);
        (void)uci_epoll_resume(op, 0);
    }
}
