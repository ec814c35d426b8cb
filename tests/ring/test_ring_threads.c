/* One thread runs a ring at a time; it can move to another, with operations in flight. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

#define MIB (UINT64_C(1) << 20)

/* Run a function on a thread of its own. Return: what it returned. */
static intptr_t on_a_thread(void *(*function)(void *), void *argument)
{
    pthread_t thread;
    void *result = NULL;

    assert_int_equal(pthread_create(&thread, NULL, function, argument), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    return (intptr_t)result;
}

static void *enable_and_wait(void *argument)
{
    struct uct *t = argument;
    int r = uc_ring_enable(t->ring);

    if (r == 0)
        uct_turn(t, 0);
    return (void *)(intptr_t)r;
}

static void a_ring_made_here_can_run_there(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);

    assert_int_equal(on_a_thread(enable_and_wait, t), 0);
    assert_int_equal(uc_fd_recv_start(link.sink->fd), -EPERM);
    assert_int_equal(uc_ring_enable(t->ring), 0);
    assert_int_equal(uc_ring_enable(t->ring), 0);
    assert_int_equal(uct_stats(t).rehomed, 0);
}

struct busy {
    struct uct *t;
    struct uct_link link;
    struct uct_sink *listener;
    uint16_t port;
    uint64_t sent, seen, queued, connections, timeouts, total;
};

/* A step of everything: bytes both ways, a connection, a timer. */
static void step(struct busy *busy)
{
    uint8_t bytes[3000];

    while (busy->queued < busy->total && busy->queued - busy->seen < 200000) {
        uct_pattern(1, busy->queued, bytes, sizeof(bytes));
        assert_true(uc_fd_send(busy->link.sink->fd, bytes, sizeof(bytes), 0) > 0);
        busy->queued += sizeof(bytes);
    }
    uct_write_some(busy->link.peer, 0, &busy->sent, busy->total);
    uct_read_some(busy->link.peer, 1, &busy->seen);
    if (busy->connections < 1000) {
        uct_peer(busy->t, uct_connect(busy->port, 0));
        busy->connections++;
    }
    uct_turn(busy->t, 100000);
}

static void *take_over(void *argument)
{
    struct busy *busy = argument;
    int r = uc_ring_enable(busy->t->ring);

    if (r < 0)
        return (void *)(intptr_t)r;
    for (int i = 0; i < 20; i++)
        step(busy);
    return NULL;
}

static struct busy make_busy(struct uct *t, uint64_t total)
{
    struct busy busy = {.t = t, .total = total};
    int fd = uct_listen(0, 512, 0);

    busy.port = uct_port(fd);
    busy.listener = uct_attach(t, fd, NULL);
    busy.link = uct_link(t, NULL, 4096);
    assert_int_equal(uc_fd_accept_start(busy.listener->fd), 0);
    assert_int_equal(uc_fd_recv_start(busy.link.sink->fd), 0);
    return busy;
}

static void a_ring_moves_with_everything_in_flight_and_loses_no_byte(void **state)
{
    struct uct *t = *state;
    struct busy busy;

    if (!uct_moves_whole(t)) {
        print_message("a move ends what is being sent: the rings are mapped\n");
        skip();
    }
    busy = make_busy(t, 3 * MIB / 3000 * 3000);
    for (int move = 0; move < 40; move++) {
        /* The send is blocked whenever the peer has not read for a while. */
        for (int i = 0; i < 5; i++)
            step(&busy);
        assert_int_equal(on_a_thread(take_over, &busy), 0);
        assert_int_equal(uc_ring_enable(t->ring), 0);
    }
    UCT_PUMP(t, step(&busy),
             busy.link.sink->received == busy.total && busy.seen == busy.total &&
                 busy.listener->accepts == busy.connections);
    assert_int_equal(busy.link.sink->failed, 0);
    assert_int_equal(busy.listener->ends, 0);
    assert_in_range(uct_stats(t).rehomed, 1, 80);
    assert_int_equal(uct_stats(t).stale, 0);
}

/* Nobody knows how much of it went: going on could repeat or leave out bytes. */
static void a_send_in_flight_has_failed_when_mapped_rings_move(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 4096);
    static const uint8_t bytes[1 << 20];
    uint64_t sent = 0;

    if (!uct_is_uring(t))
        skip();
    assert_true(uc_fd_send(link.sink->fd, bytes, sizeof(bytes), 0) > 0);
    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    uct_turn(t, 0);
    assert_int_equal(on_a_thread(enable_and_wait, t), 0);
    assert_int_equal(uc_ring_enable(t->ring), 0);
    UCT_UNTIL(t, link.sink->failed);
    assert_int_equal(link.sink->failed_result, -ECANCELED);
    assert_true(uc_fd_send(link.sink->fd, bytes, 1, 0) < 0);
    uct_write_all(link.peer, 0, &sent, 4000);
    UCT_UNTIL(t, link.sink->received == sent);
}

static void what_had_arrived_at_the_move_can_still_be_called_off(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0, before;

    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    uct_turn(t, 0);
    for (int round = 0; round < 5; round++) {
        uct_write_all(link.peer, 0, &sent, 4000);
        before = link.sink->received;
        assert_int_equal(on_a_thread(enable_and_wait, t), 0);
        before = link.sink->received;
        uct_write_all(link.peer, 0, &sent, 4000);
        assert_int_equal(uc_ring_enable(t->ring), 0);
        assert_int_equal(uc_fd_recv_stop(link.sink->fd), 0);
        link.sink->stopped = true;
        uct_turn(t, 0);
        uct_turn(t, 0);
        assert_int_equal(link.sink->received, before);
        link.sink->stopped = false;
        assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
        UCT_UNTIL(t, link.sink->received == sent);
    }
}

static void assert_move_cancels_operation(struct uct *t, uint64_t cookie)
{
    assert_int_equal(on_a_thread(enable_and_wait, t), 0);
    assert_int_equal(uc_ring_enable(t->ring), 0);
    UCT_UNTIL(t, t->operations);
    assert_int_equal(t->operation_cookie, cookie);
    assert_int_equal(t->operation_result, -ECANCELED);
    assert_int_equal(uct_stats(t).rehomed, 1);
}

static void a_one_shot_operation_ends_as_cancelled_by_the_move(void **state)
{
    struct uct *t = *state;

    assert_int_equal(uc_op_timeout(t->ring, UINT64_C(60000000000), 7, NULL), 0);
    uct_turn(t, 0);
    assert_move_cancels_operation(t, 7);
}

static void a_splice_that_waits_ends_as_cancelled_by_the_move(void **state)
{
    struct uct *t = *state;
    int empty[2], other[2];

    uct_pipe(t, empty, 0);
    uct_pipe(t, other, 0);
    assert_int_equal(uc_op_splice(t->ring, empty[0], UC_OFFSET_CURRENT, other[1], UC_OFFSET_CURRENT,
                                  100, 0, 7, NULL),
                     0);
    uct_turn(t, 0);
    assert_move_cancels_operation(t, 7);
}

static void the_eventfd_stays_and_the_wake_up_still_works_after_a_move(void **state)
{
    struct uct *t = *state;
    int event_fd = uc_ring_event_fd(t->ring);

    assert_true(event_fd >= 0);
    uct_turn(t, 0);
    assert_int_equal(uc_ring_wake(t->ring), 0); /* pending during the move */
    assert_int_equal(on_a_thread(enable_and_wait, t), 0);
    assert_int_equal(uc_ring_enable(t->ring), 0);
    assert_int_equal(uc_ring_event_fd(t->ring), event_fd);
    UCT_UNTIL(t, uct_stats(t).wakeups == 1);
    assert_int_equal(uc_ring_wake(t->ring), 0);
    UCT_UNTIL(t, uct_stats(t).wakeups == 2);
}

static void *free_it(void *argument)
{
    return uc_ring_free(argument);
}

/* Tear-down counts descriptors; the port tells whether the listener's operations have ended. */
static void a_ring_can_be_freed_by_another_thread(void **state)
{
    struct uct *t = *state;
    struct busy busy = make_busy(t, MIB / 3000 * 3000);
    int again;

    for (int i = 0; i < 5; i++)
        step(&busy);
    assert_int_equal(on_a_thread(free_it, t->ring), 0);
    t->ring = NULL;
    for (uint32_t i = 0; i < t->sink_count; i++) {
        assert_null(uc_fd_free(t->sinks[i]->fd));
        close(t->sinks[i]->number);
    }
    again = uct_listen(busy.port, 1, 0);
    assert_true(again >= 0);
    close(again);
}

static void *enable_and_end(void *argument)
{
    return (void *)(intptr_t)uc_ring_enable(argument);
}

static void a_ring_whose_thread_has_ended_can_be_freed_and_moved(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0;

    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    uct_turn(t, 0);
    assert_int_equal(on_a_thread(enable_and_end, t->ring), 0);
    assert_int_equal(on_a_thread(enable_and_wait, t), 0);
    assert_int_equal(uc_ring_enable(t->ring), 0);
    uct_write_all(link.peer, 0, &sent, 100);
    UCT_UNTIL(t, link.sink->received == sent);
    assert_int_equal(on_a_thread(enable_and_end, t->ring), 0);
    t->ring = uc_ring_free(t->ring);
    uc_fd_free(link.sink->fd);
    close(link.sink->number);
}

/* No descriptor is left for the new ring: moving fails, and what is left can be asked and freed. */
static int fail_to_move(void *argument)
{
    struct uct *t = uct_open(NULL);
    struct uct_link link = uct_link(t, NULL, 0);
    struct rlimit none = {3, 3};
    struct uc_ring_stats stats = {.size = sizeof(stats)};

    UCT_CHECK(uc_fd_recv_start(link.sink->fd) == 0);
    UCT_CHECK(uct_turn(t, 0) == 0);
    UCT_CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    UCT_CHECK(on_a_thread(enable_and_end, t->ring) == -EMFILE);
    UCT_CHECK(uc_ring_wait(t->ring, t->events, 1, 0) < 0);
    UCT_CHECK(uc_fd_recv_stop(link.sink->fd) < 0);
    UCT_CHECK(uc_ring_get_stats(t->ring, &stats) == 0);
    (void)uc_ring_poll_fd(t->ring);
    (void)uc_ring_wake(t->ring);
    UCT_CHECK(uc_ring_free(t->ring) == NULL);
    UCT_CHECK(uc_fd_recv_start(link.sink->fd) == -ESTALE);
    UCT_CHECK(uc_fd_free(link.sink->fd) == NULL);
    return 0;
}

static void a_move_that_fails_leaves_a_ring_that_can_be_freed(void **state)
{
    assert_int_equal(uct_in_child(fail_to_move, NULL), 0);
}

int main(void)
{
    /* Rings in own memory stay: without them a send in flight ends with -ECANCELED. */
    static const struct uct_options plain = {.ring.features_off = UINT64_MAX >> 1};
    static const struct uct_options mapped = {.ring.features_off = UINT64_MAX};
    static const struct uct_options no_buffers = {.ring.features_off = UC_FEATURE_BUFFER_RING};
    const struct CMUnitTest tests[] = {
        UCT(a_ring_made_here_can_run_there),
        UCT(a_ring_moves_with_everything_in_flight_and_loses_no_byte),
        UCT_WITH(a_ring_moves_with_everything_in_flight_and_loses_no_byte, "without a buffer ring",
                 &no_buffers),
        UCT_WITH(a_ring_moves_with_everything_in_flight_and_loses_no_byte, "with nothing new",
                 &plain),
        UCT_WITH(a_send_in_flight_has_failed_when_mapped_rings_move, "", &mapped),
        UCT(what_had_arrived_at_the_move_can_still_be_called_off),
        UCT_WITH(what_had_arrived_at_the_move_can_still_be_called_off, "with nothing new", &plain),
        UCT(a_one_shot_operation_ends_as_cancelled_by_the_move),
        UCT(a_splice_that_waits_ends_as_cancelled_by_the_move),
        UCT(the_eventfd_stays_and_the_wake_up_still_works_after_a_move),
        UCT(a_ring_can_be_freed_by_another_thread),
        UCT_WITH(a_ring_can_be_freed_by_another_thread, "with nothing new", &plain),
        UCT_WITH(a_ring_can_be_freed_by_another_thread, "with mapped rings", &mapped),
        UCT_WITH(what_had_arrived_at_the_move_can_still_be_called_off, "with mapped rings",
                 &mapped),
        UCT(a_ring_whose_thread_has_ended_can_be_freed_and_moved),
        cmocka_unit_test(a_move_that_fails_leaves_a_ring_that_can_be_freed),
    };

    return UCT_RUN("threads", tests);
}
