/*
 * Descriptors in the set, and waiting for it.
 *
 * What is odd in epoll, and what follows:
 *
 *   - The set knows files, not numbers. A file that was closed under its number and lives on under
 *     another, or in a child process, stays in the set and is reported under the old number, and
 *     cannot be taken out any more. Each number has a life, which reports carry: one of an earlier
 *     life shows that the set has to be made anew.
 *   - Reports are level-triggered, so nothing has to be remembered between two looks. But an error
 *     that no call takes away, or a wake-up that another process has served, would be reported for
 *     ever: after some fruitless reports in a row the descriptor is watched for edges only, until
 *     something moves again.
 *   - Errors and hang-ups are reported unasked. A descriptor that nobody waits for is taken out.
 *
 * A registration for receiving may outlive the operation (UCI_OPERATION_KEPT): the next one is
 * likely, and then costs nothing. It goes when it is reported in vain, or with forget().
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "epoll/epoll.h"

#define EVENTS_AT_ONCE 128
#define FRUITLESS_EDGES 8
#define BELL UINT64_MAX

#ifndef __NR_epoll_pwait2
#define __NR_epoll_pwait2 441
#endif

static struct uci_epoll_node *node_at(const struct uci_epoll *epoll, int fd)
{
    return (uint32_t)fd < epoll->node_count ? epoll->nodes[fd] : NULL;
}

static struct uci_epoll_node *make_node(struct uci_epoll *epoll, int fd)
{
    uint32_t count = epoll->node_count ? epoll->node_count : 64;
    struct uci_epoll_node **nodes, *node = node_at(epoll, fd);

    if (node)
        return node;
    while (count <= (uint32_t)fd)
        count *= 2;
    if (count > epoll->node_count) {
        nodes = realloc(epoll->nodes, count * sizeof(struct uci_epoll_node *));
        if (!nodes)
            return NULL;
        for (uint32_t i = epoll->node_count; i < count; i++)
            nodes[i] = NULL;
        epoll->nodes = nodes;
        epoll->node_count = count;
    }
    node = calloc(1, sizeof(*node));
    if (node)
        uci_list_init(&node->waiting);
    return epoll->nodes[fd] = node;
}

static int control(struct uci_epoll *epoll, int change, int fd, const struct uci_epoll_node *node,
                   uint32_t mask)
{
    struct epoll_event event = {
        .events = mask,
        .data.u64 = (uint64_t)node->life << 32 | (uint32_t)fd,
    };

    return epoll_ctl(epoll->set, change, fd, &event) < 0 ? -errno : 0;
}

/* Have the set report @mask of a descriptor; 0 takes it out. Negative: it is not in the set. */
static int watch(struct uci_epoll *epoll, int fd, struct uci_epoll_node *node, uint32_t mask)
{
    int r;

    if (mask == node->mask)
        return 0;
    if (node->mask) {
        r = control(epoll, mask ? EPOLL_CTL_MOD : EPOLL_CTL_DEL, fd, node, mask);
        node->mask = r < 0 ? 0 : mask;
        if (r == 0)
            return 0;
        /* The number was closed. What was registered is gone, or goes on in an earlier life. */
        node->life++;
    }
    if (!mask)
        return 0;
    r = control(epoll, EPOLL_CTL_ADD, fd, node, mask);
    /* It has its old number back. */
    if (r == -EEXIST)
        r = control(epoll, EPOLL_CTL_MOD, fd, node, mask);
    if (r == 0)
        node->mask = mask;
    return r;
}

static uint32_t wanted_of(const struct uci_epoll_node *node)
{
    uint32_t wanted = 0;

    for (struct uci_link *link = node->waiting.next; link != &node->waiting; link = link->next)
        wanted |= UCI_CONTAINER(link, struct uci_epoll_op, waiting)->wants;
    return wanted;
}

int uci_epoll_wait_for(struct uci_epoll_op *op, int fd, uint32_t wants)
{
    struct uci_epoll_node *node;
    int r;

    /* What is known of numbers is a table: no room is made for one that is none. */
    if (fd < 0 || (!node_at(op->epoll, fd) && fcntl(fd, F_GETFD) < 0))
        return -EBADF;
    node = make_node(op->epoll, fd);
    if (!node)
        return -ENOMEM;
    r = wants & ~node->mask ? watch(op->epoll, fd, node, node->mask | wants) : 0;
    if (r < 0)
        return r;
    node->kept |= (op->operation.shape & UCI_OPERATION_KEPT) != 0;
    op->waits_on = fd;
    op->wants = wants;
    uci_list_append(&node->waiting, &op->waiting);
    return 0;
}

/* Whether its registration outlives operations. */
bool uci_epoll_is_kept(const struct uci_epoll *epoll, int fd)
{
    const struct uci_epoll_node *node = node_at(epoll, fd);

    return node && node->kept;
}

void uci_epoll_wait_no_more(struct uci_epoll_op *op)
{
    struct uci_epoll_node *node;
    uint32_t wanted;

    if (op->waits_on < 0)
        return;
    node = node_at(op->epoll, op->waits_on);
    uci_list_remove(&op->waiting);
    wanted = wanted_of(node);
    if (node->kept)
        wanted |= node->mask & EPOLLIN;
    if (node->mask & ~wanted & ~(uint32_t)EPOLLET)
        (void)watch(op->epoll, op->waits_on, node, wanted);
    op->waits_on = -1;
}

static void end_waiting(struct uci_epoll_node *node, int32_t result)
{
    while (!uci_list_is_empty(&node->waiting))
        uci_epoll_end(UCI_CONTAINER(node->waiting.next, struct uci_epoll_op, waiting), result);
}

void uci_epoll_forget(struct uci_backend *backend, int fd)
{
    struct uci_epoll *epoll = uci_epoll_of(backend);
    struct uci_epoll_node *node = node_at(epoll, fd);

    if (!node)
        return;
    end_waiting(node, -ECANCELED);
    (void)watch(epoll, fd, node, 0);
    node->life++;
    node->kept = false;
    node->fruitless = 0;
}

/* As watch(); what waits for a descriptor that is no longer there ends. */
static void watch_again(struct uci_epoll *epoll, int fd, struct uci_epoll_node *node, uint32_t mask)
{
    int r = watch(epoll, fd, node, mask);

    if (r < 0)
        end_waiting(node, r);
}

/* What comes of a report that moved something, or did not. */
static void judge(struct uci_epoll *epoll, int fd, struct uci_epoll_node *node, uint32_t ready,
                  bool moved)
{
    uint32_t wanted = wanted_of(node);

    node->fruitless = moved ? 0 : node->fruitless + 1;
    if (moved && node->kept)
        wanted |= node->mask & EPOLLIN;
    if (!wanted || (ready & ~wanted & (EPOLLIN | EPOLLPRI | EPOLLOUT)))
        watch_again(epoll, fd, node, wanted);
    else if (moved && (node->mask & EPOLLET))
        watch_again(epoll, fd, node, node->mask & ~(uint32_t)EPOLLET);
    else if (node->fruitless >= FRUITLESS_EDGES)
        watch_again(epoll, fd, node, node->mask | EPOLLET);
}

static void report(struct uci_epoll *epoll, const struct epoll_event *event)
{
    int fd = (int)(uint32_t)event->data.u64;
    struct uci_epoll_node *node = node_at(epoll, fd);
    struct uci_link *link, *next;
    uint32_t ready = event->events;
    bool moved = false;

    if (!node || node->life != event->data.u64 >> 32) {
        epoll->renew = true;
        return;
    }
    for (link = node->waiting.next; link != &node->waiting; link = next) {
        struct uci_epoll_op *op = UCI_CONTAINER(link, struct uci_epoll_op, waiting);

        next = link->next;
        if (ready & (op->wants | EPOLLERR | EPOLLHUP))
            moved |= uci_epoll_resume(op, ready);
    }
    judge(epoll, fd, node, ready, moved);
}

static void hear_bell(struct uci_epoll *epoll)
{
    uint64_t value;

    while (read(epoll->bell, &value, sizeof(value)) < 0 && errno == EINTR)
        ;
    uci_epoll_take_finished(epoll);
}

int uci_epoll_set_open(struct uci_epoll *epoll)
{
    int set = epoll_create1(EPOLL_CLOEXEC), r;

    if (set < 0)
        return -errno;
    r = uci_epoll_add_to_set(set, epoll->bell, BELL);
    if (r == 0)
        r = uci_epoll_show_set(epoll, set);
    if (r < 0) {
        close(set);
        return r;
    }
    if (epoll->set >= 0)
        close(epoll->set);
    epoll->set = set;
    return 0;
}

/* Without a descriptor for a new set the old one has to do, and is tried again. */
static void renew(struct uci_epoll *epoll)
{
    if (uci_epoll_set_open(epoll) < 0)
        return;
    epoll->renew = false;
    for (uint32_t i = 0; i < epoll->node_count; i++) {
        struct uci_epoll_node *node = epoll->nodes[i];
        uint32_t mask = node ? node->mask : 0;

        if (!mask)
            continue;
        node->mask = 0;
        watch_again(epoll, (int)i, node, wanted_of(node));
    }
}

static int wait_for_events(struct uci_epoll *epoll, struct epoll_event *events, int64_t timeout_ns)
{
    struct timespec time = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    int64_t ms = timeout_ns < 0 ? -1 : timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
    long n;

    epoll->base.kernel_entries++;
    if (timeout_ns > 0 && !epoll->coarse) {
        n = syscall(__NR_epoll_pwait2, epoll->set, events, EVENTS_AT_ONCE, &time, NULL, 0);
        if (n >= 0 || errno == EINTR)
            return n < 0 ? -EINTR : (int)n;
        epoll->coarse = true;
    }
    n = epoll_wait(epoll->set, events, EVENTS_AT_ONCE, ms > INT32_MAX ? INT32_MAX : (int)ms);
    return n < 0 ? -errno : (int)n;
}

static int64_t sooner(int64_t a, int64_t b)
{
    if (a < 0 || b < 0)
        return a < 0 ? b : a;
    return a < b ? a : b;
}

/* Look at the set once. 0 or negative. */
static int look(struct uci_epoll *epoll, int64_t timeout_ns)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int n = wait_for_events(epoll, events, timeout_ns);

    for (int i = 0; i < n; i++)
        if (events[i].data.u64 == BELL)
            hear_bell(epoll);
        else if (events[i].data.u64 != UCI_EPOLL_ALARM)
            report(epoll, &events[i]);
    if (epoll->renew)
        renew(epoll);
    uci_epoll_timers_expire(epoll);
    return n < 0 ? n : 0;
}

static int enter(struct uci_epoll *epoll, bool wait, int64_t timeout_ns)
{
    uint64_t until = wait && timeout_ns > 0 ? uci_clock_now_ns() + (uint64_t)timeout_ns : 0;
    int64_t left = timeout_ns;
    int r;

    uci_epoll_start_queued(epoll);
    /* What has ended already is taken first, but not twice in a row: others would starve. */
    if (wait && epoll->completion_count && !epoll->skipped) {
        epoll->skipped = true;
        return 0;
    }
    epoll->skipped = false;
    for (;;) {
        bool at_once = !wait || epoll->completion_count;

        r = look(epoll, at_once ? 0 : sooner(left, uci_epoll_timers_left(epoll)));
        if (epoll->completion_count || !wait)
            break;
        if (r < 0)
            return r;
        if (timeout_ns >= 0) {
            uint64_t now = timeout_ns ? uci_clock_now_ns() : 0;

            if (now >= until)
                return 0;
            left = (int64_t)(until - now);
        }
    }
    if (!wait && epoll->completion_count)
        uci_epoll_show_completions(epoll);
    return 0;
}

int uci_epoll_enter(struct uci_backend *backend, bool wait, int64_t timeout_ns)
{
    struct uci_epoll *epoll = uci_epoll_of(backend);
    int r = enter(epoll, wait, timeout_ns);

    uci_epoll_show_next_time(epoll);
    return r;
}
