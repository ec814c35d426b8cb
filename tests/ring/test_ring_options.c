/* Bad input: every public function answers with its documented errno, and nothing changes. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

static int try_ring(const struct uc_ring_options *options)
{
    uc_ring *ring = NULL;
    int r = uc_ring_new(options, &ring);

    if (r < 0)
        assert_null(ring);
    uc_ring_free(ring);
    return r;
}

static struct uc_ring_options ring_options(void)
{
    return (struct uc_ring_options){.size = sizeof(struct uc_ring_options)};
}

static void ring_options_are_checked(void **state)
{
    struct uc_ring_options options = ring_options();
    struct {
        struct uc_ring_options known;
        uint64_t tail;
    } newer = {.known = ring_options()};

    assert_int_equal(uc_ring_new(NULL, NULL), -EINVAL);
    assert_int_equal(try_ring(NULL), 0);
    options.size = 0;
    assert_int_equal(try_ring(&options), -EINVAL);
    options.size = sizeof(options) - 4;
    assert_int_equal(try_ring(&options), -EINVAL);
    options.size = UINT32_MAX;
    assert_int_equal(try_ring(&options), -EINVAL);
    newer.known.size = sizeof(newer);
    assert_int_equal(try_ring(&newer.known), 0);
    newer.tail = 1;
    assert_int_equal(try_ring(&newer.known), -E2BIG);

#define REFUSED(member, value)                                                                     \
    options = ring_options();                                                                      \
    options.member = value;                                                                        \
    assert_int_equal(try_ring(&options), -EINVAL)
    REFUSED(sq_entries, 32769);
    REFUSED(cq_entries, 65537);
    REFUSED(cq_entries, 127); /* less than the default sq_entries */
    REFUSED(sqpoll, 3);
    REFUSED(sqpoll_cpu, 1); /* of no kernel thread */
    REFUSED(restriction, 2);
    REFUSED(backend, 3);
    REFUSED(busy_poll_us, 1001);
    REFUSED(reserved, 1);
#undef REFUSED
}

static void any_number_of_entries_is_taken(void **state)
{
    static const uint32_t pairs[][2] = {{1, 1}, {1, 0}, {3, 5}, {8, 8}, {100, 0}, {4096, 4096}};

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct uct_options options = {
            .ring = {.sq_entries = pairs[i][0], .cq_entries = pairs[i][1]}};
        struct uct *t = uct_open(&options);

        for (uint32_t j = 0; j < 50; j++)
            assert_int_equal(uc_op_nop(t->ring, j, NULL), 0);
        UCT_UNTIL(t, t->operations == 50);
        assert_true(uct_close(t));
    }
}

static void a_pool_serves_one_ring_at_a_time(void **state)
{
    struct uc_ring_options options = ring_options();
    uc_ring *first, *second = NULL;
    uc_pool *pool;

    assert_int_equal(uc_pool_new(NULL, &pool), 0);
    options.pool = pool;
    assert_int_equal(uc_ring_new(&options, &first), 0);
    assert_ptr_equal(uc_ring_pool(first), pool);
    assert_int_equal(uc_ring_new(&options, &second), -EBUSY);
    assert_null(second);
    uc_ring_free(first);
    assert_int_equal(uc_ring_new(&options, &second), 0);
    uc_ring_free(second);
    uc_pool_free(pool);
}

static void no_ring_is_refused(void **state)
{
    struct uc_ring_info info = {.size = sizeof(info)};
    struct uc_ring_stats stats = {.size = sizeof(stats)};
    struct uc_event event;
    uc_fd *fd = NULL;

    assert_null(uc_ring_free(NULL));
    assert_null(uc_ring_pool(NULL));
    assert_int_equal(uc_ring_enable(NULL), -EINVAL);
    assert_int_equal(uc_ring_wait(NULL, &event, 1, 0), -EINVAL);
    assert_int_equal(uc_ring_last_count(NULL), -EINVAL);
    assert_int_equal(uc_ring_flush(NULL), -EINVAL);
    assert_int_equal(uc_ring_wake(NULL), -EINVAL);
    assert_int_equal(uc_ring_event_fd(NULL), -EINVAL);
    assert_int_equal(uc_ring_poll_fd(NULL), -EINVAL);
    assert_int_equal(uc_ring_get_info(NULL, &info), -EINVAL);
    assert_int_equal(uc_ring_get_stats(NULL, &stats), -EINVAL);
    assert_int_equal(uc_ring_reinit(NULL), -EINVAL);
    assert_int_equal(uc_op_nop(NULL, 0, NULL), -EINVAL);
    assert_int_equal(uc_op_read(NULL, 0, &info, 1, 0, 0, NULL), -EINVAL);
    assert_int_equal(uc_op_write(NULL, 0, &info, 1, 0, 0, NULL), -EINVAL);
    assert_int_equal(uc_op_fsync(NULL, 0, 0, 0, NULL), -EINVAL);
    assert_int_equal(uc_op_openat(NULL, AT_FDCWD, "/", 0, 0, 0, NULL), -EINVAL);
    assert_int_equal(uc_op_close(NULL, 0, 0, NULL), -EINVAL);
    assert_int_equal(uc_op_statx(NULL, AT_FDCWD, "/", 0, 0, &info, 0, NULL), -EINVAL);
    assert_int_equal(uc_op_timeout(NULL, 0, 0, NULL), -EINVAL);
    assert_int_equal(uc_op_cancel(NULL, 1), -EINVAL);
    assert_int_equal(uc_fd_attach(NULL, 0, NULL, &fd), -EINVAL);
    assert_null(fd);
    assert_int_equal(uc_probe(NULL), -EINVAL);
}

static void no_descriptor_is_refused(void **state)
{
    struct uc_fd_status status = {.size = sizeof(status)};

    assert_null(uc_fd_free(NULL));
    assert_int_equal(uc_fd_recv_start(NULL), -EINVAL);
    assert_int_equal(uc_fd_recv_once(NULL, 1), -EINVAL);
    assert_int_equal(uc_fd_recv_stop(NULL), -EINVAL);
    assert_int_equal(uc_fd_send(NULL, "", 1, 0), -EINVAL);
    assert_int_equal(uc_fd_send_to(NULL, "", 1, NULL, 0), -EINVAL);
    assert_int_equal(uc_fd_shutdown(NULL), -EINVAL);
    assert_int_equal(uc_fd_accept_start(NULL), -EINVAL);
    assert_int_equal(uc_fd_connect(NULL, "", 1), -EINVAL);
    assert_int_equal(uc_fd_poll(NULL, POLLIN), -EINVAL);
    assert_int_equal(uc_fd_poll_stop(NULL), -EINVAL);
    assert_int_equal(uc_fd_set_water_marks(NULL, 1, 1), -EINVAL);
    assert_int_equal(uc_fd_set_credit(NULL, 1, 1), -EINVAL);
    assert_int_equal(uc_fd_set_gather(NULL, 1), -EINVAL);
    assert_int_equal(uc_fd_get_status(NULL, &status), -EINVAL);
    assert_int_equal(uc_fd_close(NULL, 0), -EINVAL);
}

static void what_is_asked_of_a_ring_is_checked(void **state)
{
    struct uct *t = *state;
    struct uc_ring_info info = {.size = 3};

    assert_int_equal(uc_ring_wait(t->ring, NULL, 1, 0), -EINVAL);
    assert_int_equal(uc_ring_wait(t->ring, t->events, 0, 0), -EINVAL);
    assert_int_equal(uc_ring_wait(t->ring, t->events, 65537, 0), -EINVAL);
    assert_int_equal(uc_ring_get_info(t->ring, NULL), -EINVAL);
    assert_int_equal(uc_ring_get_info(t->ring, &info), -EINVAL);
    assert_int_equal(uc_ring_get_stats(t->ring, NULL), -EINVAL);
    assert_int_equal(uc_ring_reinit(t->ring), -EALREADY);
    assert_int_equal(uct_stats(t).kernel_entries, 0);
}

static void what_is_attached_is_checked(void **state)
{
    struct uct *t = *state;
    struct uc_fd_options options = {.size = sizeof(options)};
    struct {
        struct uc_fd_options known;
        uint64_t tail;
    } newer = {.known.size = sizeof(newer), .tail = 1};
    int fd = uct_peer(t, uct_udp()), far;
    uc_fd *handle = NULL;

    assert_int_equal(uc_fd_attach(t->ring, fd, NULL, NULL), -EINVAL);
    assert_int_equal(uc_fd_attach(t->ring, -1, NULL, &handle), -EBADF);
    assert_int_equal(uc_fd_attach(t->ring, INT32_MIN, NULL, &handle), -EBADF);
    assert_int_equal(uc_fd_attach(t->ring, 19999, NULL, &handle), -EBADF);
    assert_int_equal(uc_fd_attach(t->ring, fd, &newer.known, &handle), -E2BIG);
    options.size = sizeof(options) - 8;
    assert_int_equal(uc_fd_attach(t->ring, fd, &options, &handle), -EINVAL);

#define REFUSED(member, value)                                                                     \
    options = (struct uc_fd_options){.size = sizeof(options)};                                     \
    options.member = value;                                                                        \
    assert_int_equal(uc_fd_attach(t->ring, fd, &options, &handle), -EINVAL)
    REFUSED(flags, 8);
    REFUSED(reserved, 1);
    REFUSED(credit_ops, 17);
    REFUSED(low_water, 1); /* high_water is 0 */
#undef REFUSED
    assert_null(handle);
    assert_int_equal(uct_stats(t).attached, 0);

    assert_int_equal(uc_fd_attach(t->ring, fd, NULL, &handle), 0);
    assert_int_equal(uc_fd_attach(t->ring, fd, NULL, &handle), -EBUSY);
    uc_fd_free(handle);
    far = fcntl(fd, F_DUPFD_CLOEXEC, 15000);
    if (far >= 0) {
        assert_int_equal(uc_fd_attach(t->ring, far, NULL, &handle), 0);
        uc_fd_free(handle);
        close(far);
    }
}

static void what_is_asked_of_a_descriptor_is_checked(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    struct uc_fd_status status = {.size = 4};
    uc_fd *fd = link.sink->fd;

    assert_int_equal(uc_fd_recv_once(fd, 0), -EINVAL);
    assert_int_equal(uc_fd_send(fd, NULL, 1, 0), -EINVAL);
    assert_int_equal(uc_fd_send(fd, "", 0, 0), -EINVAL);
    assert_int_equal(uc_fd_send(fd, "", (UINT64_C(1) << 40) + 1, UC_SEND_REFERENCE), -EINVAL);
    assert_int_equal(uc_fd_send(fd, "", 1, 4), -EINVAL);
    assert_int_equal(uc_fd_get_status(fd, NULL), -EINVAL);
    assert_int_equal(uc_fd_get_status(fd, &status), -EINVAL);
    status.size = sizeof(status);
    assert_int_equal(uc_fd_get_status(fd, &status), 0);
    assert_int_equal(status.state, UC_FD_OPEN);
    assert_int_equal(status.in_flight, 0);
    assert_int_equal(status.queued_bytes, 0);
}

struct asked {
    struct uct *t;
    uc_fd *fd;
};

/* Every function that only the ring's thread may call; all must answer @expected. */
static int ask_everything(const struct asked *asked, int expected)
{
    uc_ring *ring = asked->t->ring;
    uc_fd *fd = asked->fd, *other = NULL;
    struct uc_fd_status status = {.size = sizeof(status)};
    struct uc_event event;
    char memory[256];

    UCT_CHECK(uc_ring_wait(ring, &event, 1, 0) == expected);
    UCT_CHECK(uc_ring_last_count(ring) == expected);
    UCT_CHECK(uc_ring_flush(ring) == expected);
    UCT_CHECK(uc_ring_event_fd(ring) == expected);
    UCT_CHECK(uc_op_nop(ring, 0, NULL) == expected);
    UCT_CHECK(uc_op_read(ring, 0, memory, 1, 0, 0, NULL) == expected);
    UCT_CHECK(uc_op_write(ring, 0, memory, 1, 0, 0, NULL) == expected);
    UCT_CHECK(uc_op_fsync(ring, 0, 0, 0, NULL) == expected);
    UCT_CHECK(uc_op_openat(ring, AT_FDCWD, "/", 0, 0, 0, NULL) == expected);
    UCT_CHECK(uc_op_close(ring, 12345, 0, NULL) == expected);
    UCT_CHECK(uc_op_statx(ring, AT_FDCWD, "/", 0, 0, memory, 0, NULL) == expected);
    UCT_CHECK(uc_op_timeout(ring, 0, 0, NULL) == expected);
    UCT_CHECK(uc_op_cancel(ring, 1) == expected);
    UCT_CHECK(uc_fd_attach(ring, 0, NULL, &other) == expected);
    UCT_CHECK(uc_fd_recv_start(fd) == expected);
    UCT_CHECK(uc_fd_recv_once(fd, 1) == expected);
    UCT_CHECK(uc_fd_recv_stop(fd) == expected);
    UCT_CHECK(uc_fd_send(fd, "", 1, 0) == expected);
    UCT_CHECK(uc_fd_send_to(fd, "", 1, NULL, 0) == expected);
    UCT_CHECK(uc_fd_shutdown(fd) == expected);
    UCT_CHECK(uc_fd_accept_start(fd) == expected);
    UCT_CHECK(uc_fd_connect(fd, memory, 16) == expected);
    UCT_CHECK(uc_fd_poll(fd, POLLIN) == expected);
    UCT_CHECK(uc_fd_poll_stop(fd) == expected);
    UCT_CHECK(uc_fd_set_water_marks(fd, 1, 1) == expected);
    UCT_CHECK(uc_fd_set_credit(fd, 1, 1) == expected);
    UCT_CHECK(uc_fd_set_gather(fd, 1) == expected);
    UCT_CHECK(uc_fd_get_status(fd, &status) == expected);
    UCT_CHECK(uc_fd_close(fd, 0) == expected);
    return 0;
}

static void *ask_from_another_thread(void *argument)
{
    return (void *)(intptr_t)ask_everything(argument, -EPERM);
}

static void another_thread_is_refused(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    struct asked asked = {t, link.sink->fd};
    pthread_t thread;
    void *line;

    assert_int_equal(uc_ring_enable(t->ring), 0);
    assert_int_equal(pthread_create(&thread, NULL, ask_from_another_thread, &asked), 0);
    assert_int_equal(pthread_join(thread, &line), 0);
    assert_int_equal((intptr_t)line, 0);
    assert_int_equal(uct_stats(t).submissions, 0);
}

static int ask_in_a_child(void *argument)
{
    const struct asked *asked = argument;
    struct uc_ring_info info = {.size = sizeof(info)};
    struct uc_ring_stats stats = {.size = sizeof(stats)};
    struct uc_pool_stats pool = {.size = sizeof(pool)};
    struct uc_lease lease;
    int line = ask_everything(argument, -ECHILD);

    if (line)
        return line;
    UCT_CHECK(uc_ring_enable(asked->t->ring) == -ECHILD);
    UCT_CHECK(uc_ring_wake(asked->t->ring) == -ECHILD);
    UCT_CHECK(uc_ring_poll_fd(asked->t->ring) == -ECHILD);
    UCT_CHECK(uc_ring_get_info(asked->t->ring, &info) == -ECHILD);
    UCT_CHECK(uc_ring_get_stats(asked->t->ring, &stats) == -ECHILD);
    UCT_CHECK(uc_pool_get_stats(asked->t->pool, &pool) == -ECHILD);
    UCT_CHECK(uc_pool_lease(asked->t->pool, &lease) == -ECHILD);
    UCT_CHECK(uc_pool_keep(asked->t->pool, 1, &lease) == -ECHILD);
    UCT_CHECK(uc_pool_release(asked->t->pool, 1) == -ECHILD);
    return 0;
}

static void a_forked_child_is_refused(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    struct asked asked = {t, link.sink->fd};

    assert_int_equal(uc_ring_enable(t->ring), 0);
    assert_int_equal(uct_in_child(ask_in_a_child, &asked), 0);
}

static void after_the_ring_is_freed_descriptors_are_stale(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    struct uc_fd_status status = {.size = sizeof(status)};
    uc_fd *fd = link.sink->fd;

    assert_int_equal(uc_fd_recv_start(fd), 0);
    uct_turn(t, 0);
    t->ring = uc_ring_free(t->ring);
    uct_peer(t, link.sink->number);
    assert_true(fcntl(link.sink->number, F_GETFD) >= 0);
    assert_int_equal(uc_fd_recv_start(fd), -ESTALE);
    assert_int_equal(uc_fd_recv_once(fd, 1), -ESTALE);
    assert_int_equal(uc_fd_recv_stop(fd), -ESTALE);
    assert_int_equal(uc_fd_send(fd, "", 1, 0), -ESTALE);
    assert_int_equal(uc_fd_shutdown(fd), -ESTALE);
    assert_int_equal(uc_fd_accept_start(fd), -ESTALE);
    assert_int_equal(uc_fd_connect(fd, "", 1), -ESTALE);
    assert_int_equal(uc_fd_poll(fd, POLLIN), -ESTALE);
    assert_int_equal(uc_fd_poll_stop(fd), -ESTALE);
    assert_int_equal(uc_fd_set_water_marks(fd, 1, 1), -ESTALE);
    assert_int_equal(uc_fd_set_credit(fd, 1, 1), -ESTALE);
    assert_int_equal(uc_fd_get_status(fd, &status), -ESTALE);
    assert_int_equal(uc_fd_close(fd, 0), -ESTALE);
    assert_null(uc_fd_free(fd));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_options_are_checked),
        cmocka_unit_test(any_number_of_entries_is_taken),
        cmocka_unit_test(a_pool_serves_one_ring_at_a_time),
        cmocka_unit_test(no_ring_is_refused),
        cmocka_unit_test(no_descriptor_is_refused),
        UCT(what_is_asked_of_a_ring_is_checked),
        UCT(what_is_attached_is_checked),
        UCT(what_is_asked_of_a_descriptor_is_checked),
        UCT(another_thread_is_refused),
        UCT(a_forked_child_is_refused),
        UCT(after_the_ring_is_freed_descriptors_are_stale),
    };

    return UCT_RUN("options", tests);
}
