/* The public handle: making it, asking it, giving it up. */
#include "ring/ring.h"

#include <stdlib.h>
#include <uc/fork.h>
#include <unistd.h>

#include "base/versioned.h"
#include "flow/flow.h"

#define SQ_ENTRIES_MAX 32768
#define CQ_ENTRIES_MAX 65536
#define SQPOLL_IDLE_DEFAULT_MS 1000
#define BUSY_POLL_US_MAX 1000

static int read_options(const struct uc_ring_options *given, struct uc_ring_options *options)
{
    int r;

    *options = (struct uc_ring_options){0};
    if (given) {
        r = uci_struct_in(options, sizeof(*options), sizeof(*options), given);
        if (r < 0)
            return r;
    }
    CHECK_ARG(options->sq_entries <= SQ_ENTRIES_MAX && options->cq_entries <= CQ_ENTRIES_MAX);
    CHECK_ARG(options->sqpoll <= UC_SQPOLL_REQUIRE && options->backend <= UC_BACKEND_EPOLL);
    if (options->sq_entries == 0)
        options->sq_entries = UCI_SQ_ENTRIES_DEFAULT;
    if (options->cq_entries == 0)
        options->cq_entries = UCI_CQ_ENTRIES_DEFAULT > options->sq_entries
                                  ? UCI_CQ_ENTRIES_DEFAULT
                                  : 2 * options->sq_entries;
    CHECK_ARG(options->cq_entries >= options->sq_entries);
    CHECK_ARG(options->sqpoll || !options->sqpoll_cpu);
    CHECK_ARG(options->restriction <= UC_RESTRICT_NETWORK);
    CHECK_ARG(options->busy_poll_us <= BUSY_POLL_US_MAX && !options->reserved);
    if (options->sqpoll_idle_ms == 0)
        options->sqpoll_idle_ms = SQPOLL_IDLE_DEFAULT_MS;
    return 0;
}

/* The caller's pool, or one of our own. */
static int open_pool(uc_ring *ring, uc_pool *given)
{
    int r;

    ring->pool_is_own = !given;
    if (!given) {
        r = uc_pool_new(NULL, &given);
        if (r < 0)
            return r;
    }
    r = uci_pool_bind(given);
    if (r < 0) {
        if (ring->pool_is_own)
            uc_pool_free(given);
        return r;
    }
    ring->pool = given;
    return 0;
}

static void close_pool(uc_ring *ring)
{
    if (!ring->pool)
        return;
    if (ring->pool_is_own)
        uc_pool_free(ring->pool);
    uci_pool_unbind(ring->pool);
    ring->pool = NULL;
}

static int open_backend(uc_ring *ring)
{
    int r = uci_at_fork_hold();

    if (r < 0)
        return r;
    r = uci_ring_open_backend(ring);
    if (r == 0)
        uci_at_fork_add(ring);
    uci_at_fork_release();
    return r;
}

static void close_backend(uc_ring *ring, bool in_child)
{
    if (!ring->backend)
        return;
    (void)uci_at_fork_hold();
    uci_at_fork_remove(ring);
    ring->backend->table->free(ring->backend, in_child);
    ring->backend = NULL;
    uci_at_fork_release();
}

static int open_parts(uc_ring *ring, const struct uc_ring_options *options)
{
    int r;

    ring->asked_backend = options->backend;
    ring->options = (struct uci_backend_options){
        .sq_entries = options->sq_entries,
        .cq_entries = options->cq_entries,
        .sqpoll = options->sqpoll,
        .sqpoll_idle_ms = options->sqpoll_idle_ms,
        .sqpoll_cpu = options->sqpoll_cpu,
        .restriction = options->restriction,
        .features_off = options->features_off,
        .pool = ring->pool,
    };
    ring->busy_poll.budget_ns = options->busy_poll_us * UINT64_C(1000);
    ring->batch = calloc(ring->pool->max, sizeof(*ring->batch));
    r = ring->batch ? uci_wake_init(ring) : -ENOMEM;
    return r < 0 ? r : open_backend(ring);
}

/* What only memory holds; nothing may be in flight. */
static void free_memory(uc_ring *ring)
{
    uci_fd_table_finish(&ring->fds);
    uci_slot_table_finish(&ring->slots);
    uci_send_cache_finish(&ring->send_cache);
    uci_events_finish(&ring->events);
    free(ring->batch);
    free(ring->parked);
    free(ring);
}

static void init(uc_ring *ring)
{
    uci_slot_table_init(&ring->slots);
    uci_list_init(&ring->attached);
    uci_list_init(&ring->waiting);
    uci_list_init(&ring->held);
    uci_list_init(&ring->every);
    ring->wake.event_fd = ring->embed_fd = -1;
}

UC_EXPORT int uc_ring_new(const struct uc_ring_options *options, uc_ring **ret_ring)
{
    struct uc_ring_options checked;
    uc_ring *ring;
    int r;

    CHECK_ARG(ret_ring);
    r = read_options(options, &checked);
    if (r < 0)
        return r;
    ring = calloc(1, sizeof(*ring));
    if (!ring)
        return -ENOMEM;
    init(ring);
    ring->origin = uci_origin();
    r = ring->origin ? open_pool(ring, checked.pool) : -ENOMEM;
    if (r == 0)
        r = open_parts(ring, &checked);
    if (r < 0) {
        uci_wake_finish(ring);
        close_pool(ring);
        free_memory(ring);
        return r;
    }
    *ret_ring = ring;
    return 0;
}

/* Descriptors whose operations did not end keep the memory that the kernel may still use. */
static void forget_descriptors(uc_ring *ring, bool leaked)
{
    while (!uci_list_is_empty(&ring->attached)) {
        uc_fd *fd = UCI_CONTAINER(ring->attached.next, uc_fd, attached);

        fd->leaked = leaked;
        uci_flow_detach(fd);
    }
}

static void close_descriptors(uc_ring *ring)
{
    uci_wake_finish(ring);
    if (ring->embed_fd >= 0)
        close(ring->embed_fd);
    ring->embed_fd = -1;
}

static void free_in_child(uc_ring *ring)
{
    close_backend(ring, true);
    close_descriptors(ring);
    forget_descriptors(ring, false);
    close_pool(ring);
    free_memory(ring);
}

UC_EXPORT uc_ring *uc_ring_free(uc_ring *ring)
{
    bool leaked;

    if (!ring)
        return NULL;
    if (!uci_origin_is_mine(ring->origin)) {
        free_in_child(ring);
        return NULL;
    }
    uci_ring_drain(ring);
    leaked = ring->outstanding != 0;
    forget_descriptors(ring, leaked);
    close_backend(ring, false);
    close_descriptors(ring);
    if (leaked)
        return NULL;
    close_pool(ring);
    free_memory(ring);
    return NULL;
}

/* Forget all that was the parent's. */
static void reset(uc_ring *ring, uint64_t origin)
{
    close_backend(ring, true);
    close_descriptors(ring);
    for (struct uci_link *link = ring->attached.next; link != &ring->attached; link = link->next)
        UCI_CONTAINER(link, uc_fd, attached)->origin = origin;
    forget_descriptors(ring, false);
    uci_fd_table_finish(&ring->fds);
    uci_slot_table_finish(&ring->slots);
    uci_events_finish(&ring->events);
    ring->batch_count = ring->parked_count = ring->attached_count = 0;
    ring->outstanding = ring->last_count = ring->zero_copy_in_flight = 0;
    ring->more_provided = ring->ran_out = 0;
    ring->mean_payload = 0;
    ring->busy_poll = (struct uci_busy_poll){.budget_ns = ring->busy_poll.budget_ns};
    ring->owner = 0;
    ring->fatal = 0;
    ring->stats = (struct uc_ring_stats){0};
    ring->info = (struct uc_ring_info){0};
    ring->wake = (struct uci_wake){0};
    init(ring);
    uci_pool_reinit(ring->pool);
}

UC_EXPORT int uc_ring_reinit(uc_ring *ring)
{
    uint64_t origin;
    int r;

    CHECK_ARG(ring);
    if (uci_origin_is_mine(ring->origin))
        return -EALREADY;
    origin = uci_origin();
    if (!origin)
        return -ENOMEM;
    reset(ring, origin);
    r = uci_wake_init(ring);
    if (r == 0)
        r = open_backend(ring);
    if (r == 0)
        r = uci_ring_adopt(ring);
    if (r < 0) {
        close_backend(ring, false);
        close_descriptors(ring);
        return r;
    }
    ring->origin = origin;
    return 0;
}

/* Where the kernel forgets to tell of deferred work, the ring is made anew and does not defer. */
static int show_to_another_loop(uc_ring *ring, int fd)
{
    int r;

    (void)uci_at_fork_hold();
    r = ring->backend->table->set_event_fd(ring->backend, fd);
    uci_at_fork_release();
    if (r != -EOPNOTSUPP)
        return r;
    ring->options.features_off |= UC_FEATURE_DEFER_TASKRUN;
    ring->options.tells_another_loop = true;
    r = uci_ring_rehome(ring);
    return r < 0 ? r : ring->backend->table->set_event_fd(ring->backend, fd);
}

UC_EXPORT int uc_ring_event_fd(uc_ring *ring)
{
    int fd, r;

    CHECK_RING(ring);
    if (ring->embed_fd >= 0)
        return ring->embed_fd;
    r = uci_ring_adopt(ring);
    if (r < 0)
        return r;
    fd = ring->backend->table->new_event_fd(ring->wake.event_fd);
    if (fd < 0)
        return fd;
    r = show_to_another_loop(ring, fd);
    if (r < 0) {
        close(fd);
        return r;
    }
    ring->embed_fd = fd;
    return fd;
}

UC_EXPORT int uc_ring_poll_fd(uc_ring *ring)
{
    CHECK_ARG(ring);
    CHECK_PROCESS(ring);
    return ring->backend->table->poll_fd(ring->backend);
}

UC_EXPORT uc_pool *uc_ring_pool(uc_ring *ring)
{
    return ring ? ring->pool : NULL;
}

UC_EXPORT int uc_ring_get_info(uc_ring *ring, struct uc_ring_info *ret_info)
{
    CHECK_ARG(ring && ret_info);
    CHECK_PROCESS(ring);
    return uci_struct_out(ret_info, &ring->info, sizeof(ring->info), sizeof(ring->info));
}

UC_EXPORT int uc_ring_get_stats(uc_ring *ring, struct uc_ring_stats *ret_stats)
{
    struct uc_ring_stats stats;
    uint32_t armed;

    CHECK_ARG(ring && ret_stats);
    CHECK_PROCESS(ring);
    armed = ring->wake.user_data != 0;
    stats = ring->stats;
    stats.submissions -= ring->wake.generation;
    stats.completions -= ring->wake.generation - armed;
    stats.kernel_entries += ring->backend->kernel_entries;
    stats.overflows += ring->backend->overflows;
    stats.in_flight = ring->outstanding - armed;
    stats.attached = ring->attached_count;
    return uci_struct_out(ret_stats, &stats, sizeof(stats), sizeof(stats));
}
