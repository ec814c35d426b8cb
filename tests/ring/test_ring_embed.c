/* A ring inside another event loop: its eventfd, and its own descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

static int epoll_on(struct uct *t, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    int epoll = uct_peer(t, epoll_create1(EPOLL_CLOEXEC));

    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
    return epoll;
}

/* Over epoll there is nothing to read. */
static void read_event_fd(struct uct *t, int event_fd)
{
    uint64_t value;

    if (read(event_fd, &value, sizeof(value)) < 0)
        assert_int_equal(errno, uct_is_uring(t) ? EAGAIN : EINVAL);
}

/* What an embedding loop does with the ring when it is told that there is something to take. */
static void take_everything(struct uct *t, int event_fd)
{
    if (event_fd >= 0)
        read_event_fd(t, event_fd);
    while (uct_turn(t, 0) > 0)
        ;
}

/* The kernel may interrupt the sleep to do the ring's work; the loop sleeps again. */
static void sleep_in_epoll(int epoll)
{
    struct epoll_event event;
    int n;

    do {
        n = epoll_wait(epoll, &event, 1, 5000);
    } while (n < 0 && errno == EINTR);
    if (n != 1)
        fail_msg("the other loop is not told that there is something to take");
}

static void serve_from_epoll(struct uct *t, int fd, int event_fd, uint32_t max_events)
{
    struct uct_link links[10];
    uint64_t sent[10] = {0};
    int epoll = epoll_on(t, fd);

    t->max_events = max_events;
    for (int i = 0; i < 10; i++) {
        links[i] = uct_link(t, NULL, 0);
        assert_int_equal(uc_fd_recv_start(links[i].sink->fd), 0);
    }
    take_everything(t, event_fd);
    for (int round = 0; round < 200; round++) {
        struct uct_link *link = &links[round % 10];

        uct_write_all(link->peer, 0, &sent[round % 10], 500);
        uct_write_all(links[(round + 1) % 10].peer, 0, &sent[(round + 1) % 10], 500);
        while (link->sink->received < sent[round % 10]) {
            sleep_in_epoll(epoll);
            take_everything(t, event_fd);
        }
        if (round % 3 == 0) {
            assert_true(uc_fd_send(link->sink->fd, "answer", 6, 0) > 0);
            take_everything(t, event_fd);
        }
    }
}

static void an_eventfd_tells_another_loop(void **state)
{
    struct uct *t = *state;
    int fd = uc_ring_event_fd(t->ring);

    assert_true(fd >= 0);
    assert_int_equal(uc_ring_event_fd(t->ring), fd);
    serve_from_epoll(t, fd, fd, UCT_EVENTS);
}

static void an_eventfd_tells_another_loop_that_takes_one_at_a_time(void **state)
{
    struct uct *t = *state;
    int fd = uc_ring_event_fd(t->ring);

    assert_true(fd >= 0);
    serve_from_epoll(t, fd, fd, 1);
}

static void the_rings_own_descriptor_tells_another_loop(void **state)
{
    struct uct *t = *state;
    int fd = uc_ring_poll_fd(t->ring);

    assert_true(fd >= 0);
    serve_from_epoll(t, fd, -1, UCT_EVENTS);
}

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};

    int n;

    do {
        n = poll(&readable, 1, timeout_ms);
    } while (n < 0 && errno == EINTR);
    return n == 1;
}

static void the_rings_own_descriptor_is_quiet_when_all_is_taken(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0;
    int fd = uc_ring_poll_fd(t->ring);

    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    uct_turn(t, 0);
    assert_false(is_readable(fd, 0));
    for (int i = 0; i < 10; i++) {
        uct_write_all(link.peer, 0, &sent, 10);
        assert_true(is_readable(fd, 5000));
        assert_true(is_readable(fd, 0));
        take_everything(t, -1);
        assert_int_equal(link.sink->received, sent);
        take_everything(t, -1);
        assert_false(is_readable(fd, 0));
    }
}

static void *answer(void *peer)
{
    char byte;

    while (read(*(int *)peer, &byte, 1) == 1)
        (void)!write(*(int *)peer, &byte, 1);
    return NULL;
}

/* Some kernels tell of deferred completions only once when another thread causes them. */
static void what_another_thread_causes_is_told_to_who_sleeps(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    int fd = uc_ring_event_fd(t->ring);
    pthread_t thread;

    link.sink->ignore_bytes = true;
    assert_int_equal(fcntl(link.peer, F_SETFL, 0), 0); /* it waits */
    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    assert_int_equal(pthread_create(&thread, NULL, answer, &link.peer), 0);
    for (uint64_t i = 1; i <= 20; i++) {
        assert_true(uc_fd_send(link.sink->fd, "x", 1, 0) > 0);
        take_everything(t, fd);
        while (link.sink->received < i) {
            assert_true(is_readable(fd, 5000));
            take_everything(t, fd);
        }
    }
    assert_int_equal(shutdown(link.sink->number, SHUT_WR), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void wake_and_be_told(struct uct *t, int fd)
{
    assert_int_equal(uc_ring_wake(t->ring), 0);
    assert_true(is_readable(fd, 5000));
}

static void a_wake_up_tells_another_loop(void **state)
{
    struct uct *t = *state;
    int fd = uc_ring_event_fd(t->ring);

    take_everything(t, fd);
    for (int i = 0; i < 10; i++) {
        wake_and_be_told(t, fd);
        take_everything(t, fd);
        UCT_SOON(t, uct_stats(t).wakeups == (uint64_t)i + 1);
    }
}

/* The kernel tells of a write to one eventfd through another only once. */
static void each_wake_up_tells_another_loop_that_has_taken_the_one_before(void **state)
{
    struct uct *t = *state;
    int fd = uc_ring_event_fd(t->ring);

    take_everything(t, fd);
    for (int i = 0; i < 10; i++) {
        wake_and_be_told(t, fd);
        assert_int_equal(uct_turn(t, 0), 0);
        read_event_fd(t, fd);
    }
    /* With SQPOLL the kernel may still be busy with one: the next is told with it. */
    if (!uct_sqpoll_is_forced())
        assert_int_equal(uct_stats(t).wakeups, 10);
}

/* Also one that comes before the first turn, or before a flush. */
static void a_wake_up_is_told_whenever_it_comes(void **state)
{
    struct uct *t = *state;
    int fd = uc_ring_event_fd(t->ring);
    uint64_t far;

    assert_int_equal(uc_ring_wake(t->ring), 0);
    assert_true(is_readable(fd, 5000));
    take_everything(t, fd);
    assert_int_equal(uct_stats(t).wakeups, 1);
    assert_int_equal(uc_ring_wake(t->ring), 0);
    assert_int_equal(uc_op_timeout(t->ring, UINT64_C(1000000000000), 1, &far), 0);
    assert_int_equal(uc_ring_flush(t->ring), 0);
    assert_true(is_readable(fd, 5000));
    take_everything(t, fd);
    assert_int_equal(uct_stats(t).wakeups, 2);
    assert_int_equal(uc_op_cancel(t->ring, far), 0);
    assert_int_equal(uct_outcome(t, 1), -ECANCELED);
}

static void a_time_that_is_over_tells_another_loop(void **state)
{
    struct uct *t = *state;
    int fd = uc_ring_event_fd(t->ring);
    uint64_t far, begin;

    assert_int_equal(uc_op_timeout(t->ring, UINT64_C(1000000000000), 9, &far), 0);
    take_everything(t, fd);
    for (uint32_t i = 1; i <= 3; i++) {
        begin = uct_now_ms();
        assert_int_equal(uc_op_timeout(t->ring, 20000000, 1, NULL), 0);
        take_everything(t, fd);
        assert_false(is_readable(fd, 0));
        assert_true(is_readable(fd, 5000));
        assert_true(uct_now_ms() - begin >= 19);
        take_everything(t, fd);
        assert_int_equal(t->operations, i);
        assert_int_equal(t->operation_result, -ETIME);
    }
    assert_int_equal(uc_op_cancel(t->ring, far), 0);
    assert_int_equal(uct_outcome(t, 9), -ECANCELED);
}

static void a_finished_file_operation_tells_another_loop(void **state)
{
    struct uct *t = *state;
    int fd = uc_ring_event_fd(t->ring), epoll = epoll_on(t, fd);
    int file = uct_peer(t, memfd_create("embedded", MFD_CLOEXEC));

    take_everything(t, fd);
    for (uint32_t i = 1; i <= 20; i++) {
        assert_int_equal(uc_op_write(t->ring, file, "abc", 3, 0, i, NULL), 0);
        take_everything(t, fd);
        while (t->operations < i) {
            sleep_in_epoll(epoll);
            take_everything(t, fd);
        }
        assert_int_equal(t->operation_result, 3);
    }
}

int main(void)
{
    static const struct uct_options plain = {.ring.features_off = UINT64_MAX};
    const struct CMUnitTest tests[] = {
        UCT(an_eventfd_tells_another_loop),
        UCT_WITH(an_eventfd_tells_another_loop, "with nothing new", &plain),
        UCT(an_eventfd_tells_another_loop_that_takes_one_at_a_time),
        UCT(the_rings_own_descriptor_tells_another_loop),
        UCT_WITH(the_rings_own_descriptor_tells_another_loop, "with nothing new", &plain),
        UCT(the_rings_own_descriptor_is_quiet_when_all_is_taken),
        UCT(what_another_thread_causes_is_told_to_who_sleeps),
        UCT(a_wake_up_tells_another_loop),
        UCT(each_wake_up_tells_another_loop_that_has_taken_the_one_before),
        UCT(a_wake_up_is_told_whenever_it_comes),
        UCT(a_time_that_is_over_tells_another_loop),
        UCT(a_finished_file_operation_tells_another_loop),
    };

    return UCT_RUN("embed", tests);
}
