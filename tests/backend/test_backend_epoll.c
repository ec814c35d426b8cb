/* The epoll backend alone, through the table that everything above it uses. */
#include <errno.h>
#include <fcntl.h>
#include <linux/time_types.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <uc/op.h>
#include <unistd.h>

#include "base/clock.h"
#include "seam.h"

/* Looks until the set is at rest, within reason; one that spins has no reason. */
static void expect_rest(struct backend *b)
{
    uint64_t entries = b->it->kernel_entries;

    assert_int_equal(b->table->enter(b->it, true, 30000000), 0);
    assert_in_range(b->it->kernel_entries - entries, 1, 30);
}

/* A connection of which the file goes on behind the number that is given back. Return: its twin. */
static int leave_a_file_behind(struct backend *b)
{
    int twin = fcntl(b->pair[0], F_DUPFD_CLOEXEC, 0);

    assert_true(twin >= 0);
    seam_receive(b, b->pair[0], 7);
    assert_int_equal(b->table->enter(b->it, false, 0), 0);
    seam_cancel(b, 7);
    assert_int_equal(seam_next(b).user_data, 7);
    assert_int_equal(seam_next(b).user_data, 1007);
    b->table->forget(b->it, b->pair[0]);
    assert_int_equal(b->table->close(b->pair[0]), 0);
    return twin;
}

static void a_number_that_comes_again_is_another_file(void **state)
{
    struct uci_completion c;
    struct backend b;
    int twin, next[2];

    seam_open(&b, *state, 0);
    seam_provide_all(&b);
    twin = leave_a_file_behind(&b);
    uct_tcp_pair(next, 0);
    assert_int_equal(dup3(next[1], b.pair[0], O_CLOEXEC), b.pair[0]);
    close(next[1]);
    seam_receive(&b, b.pair[0], 8);
    assert_int_equal(write(b.pair[1], "old", 3), 3);
    expect_rest(&b);
    assert_int_equal(b.table->reap(b.it, &c, 1), 0);
    assert_int_equal(write(next[0], "newer", 5), 5);
    c = seam_next(&b);
    assert_int_equal(c.user_data, 8);
    assert_int_equal(c.result, 5);
    close(twin);
    close(next[0]);
    seam_close(&b);
}

/* The old set has to do, and does, until there is a descriptor for a new one. */
static void a_set_that_cannot_be_made_anew_goes_on(void **state)
{
    struct uci_operation watch = {.op = UCI_OP_POLL, .flags = POLLOUT, .user_data = 3};
    struct rlimit before, none;
    struct backend b;
    int twin;

    seam_open(&b, *state, 0);
    seam_provide_all(&b);
    twin = leave_a_file_behind(&b);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(write(b.pair[1], "old", 3), 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(b.table->enter(b.it, false, 0), 0);
        watch.fd = b.pair[1];
        seam_submit(&b, &watch);
        assert_int_equal(seam_next(&b).result, POLLOUT);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    expect_rest(&b);
    watch.fd = b.pair[1];
    seam_submit(&b, &watch);
    assert_int_equal(seam_next(&b).result, POLLOUT);
    close(twin);
    b.pair[0] = -1;
    seam_close(&b);
}

static void what_waits_for_a_number_that_is_closed_ends(void **state)
{
    char byte;
    struct uci_operation read = {.op = UCI_OP_READ, .length = 1, .user_data = 1};
    struct uci_operation closing = {.op = UCI_OP_CLOSE, .user_data = 2};
    struct uci_completion c;
    struct backend b;
    int ends[2];

    seam_open(&b, *state, 0);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    read.fd = closing.fd = ends[0];
    read.address = (uint64_t)(uintptr_t)&byte;
    read.offset = UC_OFFSET_CURRENT;
    seam_submit(&b, &read);
    assert_int_equal(b.table->enter(b.it, false, 0), 0);
    seam_submit(&b, &closing);
    for (int i = 0; i < 2; i++) {
        c = seam_next(&b);
        assert_int_equal(c.result, c.user_data == 1 ? -ECANCELED : 0);
    }
    close(ends[1]);
    seam_close(&b);
}

/* Told of a connection that somebody else has taken by then. */
static void nothing_blocks_on_a_blocking_listener(void **state)
{
    struct uci_operation accepting = {
        .op = UCI_OP_ACCEPT,
        .shape = UCI_OPERATION_MULTISHOT | UCI_OPERATION_KEPT,
        .user_data = 5,
    };
    struct backend b;
    int client, stolen;

    seam_open(&b, *state, 0);
    accepting.fd = uct_listen(0, 8, 0);
    seam_submit(&b, &accepting);
    assert_int_equal(b.table->enter(b.it, false, 0), 0);
    for (int i = 0; i < 20; i++) {
        client = uct_connect(uct_port(accepting.fd), 0);
        stolen = accept(accepting.fd, NULL, NULL);
        assert_true(stolen >= 0);
        assert_int_equal(b.table->enter(b.it, false, 0), 0);
        close(stolen);
        close(client);
    }
    assert_int_equal(fcntl(accepting.fd, F_GETFL) & O_NONBLOCK, 0);
    client = uct_connect(uct_port(accepting.fd), 0);
    stolen = seam_next(&b).result;
    assert_true(stolen >= 0);
    assert_int_equal(fcntl(accepting.fd, F_GETFL) & O_NONBLOCK, 0);
    close(stolen);
    close(client);
    b.table->forget(b.it, accepting.fd);
    close(accepting.fd);
    seam_close(&b);
}

static void a_high_number_is_as_good_as_any(void **state)
{
    int high = (1 << 16) + 7;
    struct rlimit before, more;
    struct uci_completion c;
    struct backend b;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    more = before;
    more.rlim_cur = before.rlim_max;
    if (more.rlim_cur < (rlim_t)high + 1)
        high = (int)more.rlim_cur - 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &more), 0);
    seam_open(&b, *state, 0);
    seam_provide_all(&b);
    assert_int_equal(dup3(b.pair[0], high, O_CLOEXEC), high);
    seam_receive(&b, high, 7);
    assert_int_equal(write(b.pair[1], "x", 1), 1);
    c = seam_next(&b);
    assert_int_equal(c.user_data, 7);
    assert_int_equal(c.result, 1);
    close(high);
    seam_close(&b);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void submit_timer(struct backend *b, const struct __kernel_timespec *time, uint64_t number)
{
    struct uci_operation timer = {
        .op = UCI_OP_TIMEOUT,
        .fd = -1,
        .address = (uint64_t)(uintptr_t)time,
        .user_data = number,
    };

    seam_submit(b, &timer);
}

/* When each was started is known from when to when. */
static void timers_end_in_the_order_of_their_times(void **state)
{
    enum {
        COUNT = 200
    };
    static struct __kernel_timespec times[COUNT];
    static uint64_t earliest[COUNT];
    const struct __kernel_timespec never[] = {{INT64_MAX, 999999999}, {18446744073, 709551615}};
    uint64_t started, last = 0;
    struct uci_completion c;
    struct backend b;

    seam_open(&b, *state, 0);
    for (uint64_t i = 0; i < COUNT; i++) {
        times[i].tv_nsec = (long long)(i * 7919 % COUNT) * 100000;
        earliest[i] = uci_clock_now_ns() + (uint64_t)times[i].tv_nsec;
        submit_timer(&b, &times[i], i);
    }
    for (uint64_t i = 0; i < 2; i++)
        submit_timer(&b, &never[i], COUNT + i);
    for (uint64_t i = 0; i < COUNT; i += 2)
        seam_cancel(&b, i);
    assert_int_equal(b.table->enter(b.it, false, 0), 0);
    started = uci_clock_now_ns();
    for (int i = 0; i < COUNT + COUNT / 2; i++) {
        c = seam_next(&b);
        if (c.user_data >= COUNT)
            continue;
        assert_int_equal(c.result, c.user_data % 2 ? -ETIME : -ECANCELED);
        if (c.result == -ECANCELED)
            continue;
        assert_true(uci_clock_now_ns() >= earliest[c.user_data]);
        assert_true(last <= started + (uint64_t)times[c.user_data].tv_nsec);
        if (last < earliest[c.user_data])
            last = earliest[c.user_data];
    }
    assert_int_equal(b.table->enter(b.it, true, 1000000), 0);
    assert_int_equal(b.table->reap(b.it, &c, 1), 0);
    seam_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SEAM_TEST(every_operation_ends_once_also_when_the_queue_is_full, uci_backend_epoll),
        SEAM_TEST(pieces_come_one_buffer_at_a_time_however_few_are_taken, uci_backend_epoll),
        SEAM_TEST(without_a_buffer_no_byte_is_taken, uci_backend_epoll),
        SEAM_TEST(what_goes_on_by_itself_does_not_keep_others_waiting, uci_backend_epoll),
        SEAM_TEST(what_hangs_in_a_worker_is_not_cancelled_and_ends_as_it_may, uci_backend_epoll),
        SEAM_TEST(a_backend_is_freed_while_a_worker_hangs, uci_backend_epoll),
        SEAM_TEST(what_workers_have_done_is_taken_one_by_one, uci_backend_epoll),
        SEAM_TEST(what_was_called_and_is_stopped_ends_once, uci_backend_epoll),
        SEAM_TEST(what_is_stopped_tells_how_it_ended, uci_backend_epoll),
        SEAM_TEST(a_number_that_comes_again_is_another_file, uci_backend_epoll),
        SEAM_TEST(a_set_that_cannot_be_made_anew_goes_on, uci_backend_epoll),
        SEAM_TEST(what_waits_for_a_number_that_is_closed_ends, uci_backend_epoll),
        SEAM_TEST(nothing_blocks_on_a_blocking_listener, uci_backend_epoll),
        SEAM_TEST(a_high_number_is_as_good_as_any, uci_backend_epoll),
        SEAM_TEST(timers_end_in_the_order_of_their_times, uci_backend_epoll),
    };

    return cmocka_run_group_tests_name("epoll", tests, NULL, NULL);
}
