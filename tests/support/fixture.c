#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

/* Short, so that a test sees the kernel thread both awake and asleep. */
#define SQPOLL_IDLE_MS 10

static int count_entries(const char *path, const char *without)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    char name[512], comm[32] = "";
    int count = 0;

    while (directory && (entry = readdir(directory))) {
        FILE *file;

        if (entry->d_name[0] == '.')
            continue;
        count++;
        if (!without)
            continue;
        snprintf(name, sizeof(name), "%s/%s/comm", path, entry->d_name);
        file = fopen(name, "re");
        /* One that cannot be read has ended since. */
        if (!file || !fgets(comm, sizeof(comm), file) ||
            strncmp(comm, without, strlen(without)) == 0)
            count--;
        if (file)
            fclose(file);
    }
    if (directory)
        closedir(directory);
    return count;
}

int uct_count_fds(void)
{
    return count_entries("/proc/self/fd", NULL) - 1;
}

int uct_count_threads(void)
{
    return count_entries("/proc/self/task", "iou-wrk");
}

bool uct_sqpoll_is_forced(void)
{
    return getenv("UC_TEST_SQPOLL") != NULL;
}

struct uct *uct_open(const struct uct_options *options)
{
    struct uct_options none = {.ring.size = sizeof(none.ring)};
    struct uct *t = calloc(1, sizeof(*t));

    assert_non_null(t);
    if (!options)
        options = &none;
    none = *options;
    none.ring.size = sizeof(none.ring);
    if (uct_sqpoll_is_forced() && none.ring.sqpoll == UC_SQPOLL_OFF) {
        none.ring.sqpoll = UC_SQPOLL_TRY;
        none.ring.sqpoll_idle_ms = SQPOLL_IDLE_MS;
    }
    t->max_events = options->max_events ? options->max_events : UCT_EVENTS;
    t->fds_before = uct_count_fds();
    t->threads_before = uct_count_threads();
    if (options->pool.buffer_count) {
        none.pool.size = sizeof(none.pool);
        assert_int_equal(uc_pool_new(&none.pool, &t->pool), 0);
        t->pool_is_mine = true;
        none.ring.pool = t->pool;
    }
    assert_int_equal(uc_ring_new(&none.ring, &t->ring), 0);
    t->pool = uc_ring_pool(t->ring);
    return t;
}

struct uc_ring_stats uct_stats(struct uct *t)
{
    struct uc_ring_stats stats = {.size = sizeof(stats)};

    assert_int_equal(uc_ring_get_stats(t->ring, &stats), 0);
    return stats;
}

struct uc_ring_info uct_info(uc_ring *ring)
{
    struct uc_ring_info info = {.size = sizeof(info)};

    assert_int_equal(uc_ring_get_info(ring, &info), 0);
    return info;
}

bool uct_is_uring(struct uct *t)
{
    return uct_info(t->ring).backend == UC_BACKEND_URING;
}

/* Only in memory of our own (Linux 6.10) what a send had done outlives the move. */
bool uct_moves_whole(struct uct *t)
{
    struct uc_probe probe = {.size = sizeof(probe)};
    const char *off = getenv("UC_DISABLE");

    if (!uct_is_uring(t))
        return true;
    if (off && (strstr(off, "own-memory") || strstr(off, "all")))
        return false;
    return uc_probe(&probe) == 0 &&
           (probe.kernel_major > 6 || (probe.kernel_major == 6 && probe.kernel_minor >= 10));
}

bool uct_has_cost(struct uct *t, uint64_t entries_before, uint64_t expected)
{
    uint64_t entries = uct_stats(t).kernel_entries - entries_before;

    uint64_t features = uct_info(t->ring).features;
    bool shows_news = features & (UC_FEATURE_DEFER_TASKRUN | UC_FEATURE_COOP_TASKRUN);

    if (uct_sqpoll_is_forced())
        return entries <= expected;
    /* Task work that does not show itself is asked for in vain, or has been done already. */
    return entries == expected || (uct_is_uring(t) && !shows_news);
}

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "tear-down: %s does not hold\n", #condition);                          \
            fine = false;                                                                          \
        }                                                                                          \
    } while (0)

static bool end_everything(struct uct *t)
{
    uint64_t until = uct_now_ms() + uct_deadline_ms();
    bool fine = true;

    for (uint32_t i = 0; i < t->sink_count; i++)
        if (!t->sinks[i]->closed)
            uc_fd_close(t->sinks[i]->fd, UC_CLOSE_ABORT);
    for (uint32_t i = 0; i < t->sink_count; i++)
        while (!t->sinks[i]->closed && uct_now_ms() < until)
            uct_turn(t, 10000000);
    while (uct_stats(t).in_flight && uct_now_ms() < until)
        uct_turn(t, 1000000);
    uct_turn(t, 0); /* takes back the last payloads */
    for (uint32_t i = 0; i < t->sink_count; i++) {
        struct uct_sink *sink = t->sinks[i];

        EXPECT(sink->closed == 1);
        EXPECT(sink->after_closed == 0);
        EXPECT(sink->mismatches == 0);
        EXPECT(sink->unasked == 0);
        uc_fd_free(sink->fd);
    }
    return fine;
}

static bool check_ring(struct uct *t)
{
    struct uc_ring_stats stats = uct_stats(t);
    struct uc_pool_stats pool = {.size = sizeof(pool)};
    bool fine = true;

    EXPECT(stats.in_flight == 0);
    EXPECT(stats.stale == 0);
    EXPECT(stats.attached == 0);
    EXPECT(stats.submissions == stats.completions);
    EXPECT(uc_pool_get_stats(t->pool, &pool) == 0);
    EXPECT(pool.free + pool.in_flight + pool.completed + pool.leased + pool.quarantine ==
           pool.buffers);
    EXPECT(pool.completed == 0);
    EXPECT(pool.leased == 0);
    return fine;
}

/* With a reset, where it is a stream: thousands of connections in TIME_WAIT slow down bind(). */
static void close_without_trace(int fd)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd);
}

bool uct_close(struct uct *t)
{
    uint64_t until = uct_now_ms() + 2000;
    bool fine = true, threads_gone;

    if (t->ring) {
        fine = end_everything(t);
        fine &= check_ring(t);
        uc_ring_free(t->ring);
    }
    for (uint32_t i = 0; i < t->sink_count; i++)
        free(t->sinks[i]);
    if (t->pool_is_mine) {
        struct uc_pool_stats pool = {.size = sizeof(pool)};

        EXPECT(uc_pool_get_stats(t->pool, &pool) == 0);
        EXPECT(pool.free + pool.quarantine == pool.buffers);
        uc_pool_free(t->pool);
    }
    for (uint32_t i = 0; i < t->peer_count; i++)
        close_without_trace(t->peers[i]);
    for (uint32_t i = 0; i < t->accepted_count; i++)
        close_without_trace(t->accepted[i]);
    EXPECT(uct_count_fds() == t->fds_before);
    /* Seen gone once is gone: a worker that the kernel starts in place of another bears our name
     * for a moment, and is counted. */
    while (!(threads_gone = uct_count_threads() <= t->threads_before) && uct_now_ms() < until)
        ;
    EXPECT(threads_gone);
    free(t);
    return fine;
}

int uct_set_up(void **state)
{
    *state = uct_open(*state);
    return 0;
}

int uct_tear_down(void **state)
{
    return uct_close(*state) ? 0 : -1;
}

/* Nothing of io_uring is touched when epoll is asked for: the kernel interrupts the next wait of
 * who has just freed a ring. */
int uct_main(const char *name, const struct CMUnitTest *tests, size_t count)
{
    const char *asked = getenv("UC_BACKEND");
    struct uc_ring_info info;
    uc_ring *ring;
    int r;

    if (asked && strcmp(asked, "epoll") == 0)
        return _cmocka_run_group_tests(name, tests, count, NULL, NULL);
    r = uc_ring_new(NULL, &ring);
    if (r < 0) {
        fprintf(stderr, "%s: no ring: %s\n", name, strerror(-r));
        return 1;
    }
    info = uct_info(ring);
    uc_ring_free(ring);
    if (info.backend != UC_BACKEND_URING && getenv("UC_REQUIRE_IO_URING")) {
        fprintf(stderr, "%s: no io_uring: %s\n", name, info.reason);
        return 1;
    }
    return _cmocka_run_group_tests(name, tests, count, NULL, NULL);
}

int uct_main_on_uring(const char *name, const struct CMUnitTest *tests, size_t count)
{
    const struct uc_ring_options options = {.size = sizeof(options), .backend = UC_BACKEND_URING};
    uc_ring *ring;
    int r = uc_ring_new(&options, &ring);

    if (r < 0) {
        fprintf(stderr, "%s: no io_uring: %s\n", name, strerror(-r));
        return getenv("UC_REQUIRE_IO_URING") ? 1 : 77;
    }
    uc_ring_free(ring);
    return _cmocka_run_group_tests(name, tests, count, NULL, NULL);
}
