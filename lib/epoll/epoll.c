/*
 * The epoll backend: operations by readiness and calls that do not block, for where io_uring is
 * refused.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backend/plain.h"
#include "epoll/epoll.h"
#include "pool/pool.h"

#define TABLE_FIRST 64

static void epoll_stop(struct uci_backend *backend)
{
    struct uci_epoll *epoll = uci_epoll_of(backend);

    if (epoll->stopped)
        return;
    epoll->stopped = true;
    uci_epoll_end_all(epoll);
}

static bool epoll_is_stopped(struct uci_backend *backend, int64_t timeout_ns)
{
    struct uci_epoll *epoll = uci_epoll_of(backend);

    return !epoll->workers || uci_workers_are_idle(epoll->workers, timeout_ns);
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void epoll_free(struct uci_backend *backend, bool in_child)
{
    struct uci_epoll *epoll = uci_epoll_of(backend);

    if (!in_child)
        epoll_stop(backend);
    uci_epoll_free_ops(epoll, in_child);
    if (epoll->workers)
        uci_workers_free(epoll->workers, in_child);
    close_one(&epoll->set);
    close_one(&epoll->bell);
    close_one(&epoll->alarm);
    close_one(&epoll->fronts[UCI_EPOLL_OWN_FRONT]);
    for (uint32_t i = 0; i < epoll->node_count; i++)
        free(epoll->nodes[i]);
    free(epoll->nodes);
    free(epoll->table);
    free(epoll->timers);
    free(epoll->provided);
    free(epoll->completions);
    free(epoll->queue);
    free(epoll);
}

/* What the code above may ask for; none of it is io_uring's, so none is told. */
static uint64_t abilities(const struct uci_backend_options *options)
{
    uint64_t abilities =
        (UC_FEATURE_BUFFER_RING | UC_FEATURE_MULTISHOT_ACCEPT | UC_FEATURE_MULTISHOT_RECV) &
        ~options->features_off;

    if (!(abilities & UC_FEATURE_BUFFER_RING))
        abilities &= ~(uint64_t)UC_FEATURE_MULTISHOT_RECV;
    return abilities;
}

/* Some wishes only io_uring can fulfil. */
static int refuse(const struct uci_backend_options *options, struct uc_ring_info *info)
{
    const uint32_t registered = UC_POOL_REGISTER | UC_POOL_REGISTER_REQUIRED;

    options->pool->registered_bytes = 0;
    if (options->sqpoll != UC_SQPOLL_OFF)
        snprintf(info->reason, sizeof(info->reason), "SQPOLL is io_uring's; this is epoll");
    else if (options->pool->flags & registered)
        snprintf(
            info->reason, sizeof(info->reason),
            "the pool is not registered as fixed buffers, which are io_uring's; this is epoll");
    if (options->sqpoll == UC_SQPOLL_REQUIRE || (options->pool->flags & UC_POOL_REGISTER_REQUIRED))
        return -EOPNOTSUPP;
    return 0;
}

static int open_parts(struct uci_epoll *epoll, const struct uci_backend_options *options)
{
    epoll->queue_capacity = options->sq_entries;
    epoll->queue = calloc(epoll->queue_capacity, sizeof(*epoll->queue));
    epoll->provided = calloc(options->pool->max, sizeof(*epoll->provided));
    epoll->table = calloc(TABLE_FIRST, sizeof(struct uci_epoll_op *));
    epoll->table_size = TABLE_FIRST;
    if (!epoll->queue || !epoll->provided || !epoll->table)
        return -ENOMEM;
    epoll->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (epoll->bell < 0)
        return -errno;
    return uci_epoll_set_open(epoll);
}

static int epoll_open(const struct uci_backend_options *options, struct uc_ring_info *info,
                      struct uci_backend **ret_backend)
{
    struct uci_epoll *epoll;
    int r;

    info->backend = UC_BACKEND_EPOLL;
    r = refuse(options, info);
    if (r < 0)
        return r;
    epoll = calloc(1, sizeof(*epoll));
    if (!epoll)
        return -ENOMEM;
    epoll->base.table = &uci_backend_epoll;
    epoll->base.features = abilities(options);
    epoll->base.completions_max = UINT32_MAX;
    epoll->pool = options->pool;
    epoll->set = epoll->bell = epoll->alarm = -1;
    epoll->fronts[UCI_EPOLL_OWN_FRONT] = epoll->fronts[UCI_EPOLL_GIVEN_FRONT] = -1;
    r = open_parts(epoll, options);
    if (r < 0) {
        epoll_free(&epoll->base, false);
        return r;
    }
    info->sq_entries = options->sq_entries;
    info->cq_entries = options->cq_entries;
    *ret_backend = &epoll->base;
    return 0;
}

static int epoll_enable(struct uci_backend *backend)
{
    return 0;
}

static int epoll_poll_fd(struct uci_backend *backend)
{
    struct uci_epoll *epoll = uci_epoll_of(backend);
    int fd = epoll->fronts[UCI_EPOLL_OWN_FRONT], r;

    if (epoll->stopped)
        return -EBADF;
    if (fd >= 0)
        return fd;
    fd = uci_epoll_new_front(-1);
    if (fd < 0)
        return fd;
    r = uci_epoll_front(epoll, UCI_EPOLL_OWN_FRONT, fd);
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

static int epoll_set_event_fd(struct uci_backend *backend, int event_fd)
{
    return uci_epoll_front(uci_epoll_of(backend), UCI_EPOLL_GIVEN_FRONT, event_fd);
}

const struct uci_backend_table uci_backend_epoll = {
    .id = UC_BACKEND_EPOLL,
    .open = epoll_open,
    .enable = epoll_enable,
    .submit = uci_epoll_submit,
    .enter = uci_epoll_enter,
    .reap = uci_epoll_reap,
    .provide = uci_epoll_provide,
    .forget = uci_epoll_forget,
    .poll_fd = epoll_poll_fd,
    .new_event_fd = uci_epoll_new_front,
    .set_event_fd = epoll_set_event_fd,
    .stop = epoll_stop,
    .is_stopped = epoll_is_stopped,
    .free = epoll_free,
    .shutdown = uci_plain_shutdown,
    .close = uci_plain_close,
    .reset = uci_plain_reset,
    .accept = uci_plain_accept,
};
