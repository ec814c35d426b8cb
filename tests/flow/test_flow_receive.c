/* Receiving from a stream, as the caller sees it. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "masks.h"

static uint64_t undelivered(const struct uct_sink *sink)
{
    struct uc_fd_status status = {.size = sizeof(status)};

    assert_int_equal(uc_fd_get_status(sink->fd, &status), 0);
    return status.undelivered_bytes;
}

static uint32_t in_flight(const struct uct_sink *sink)
{
    struct uc_fd_status status = {.size = sizeof(status)};

    assert_int_equal(uc_fd_get_status(sink->fd, &status), 0);
    return status.in_flight;
}

static void stop(struct uct_sink *sink)
{
    assert_int_equal(uc_fd_recv_stop(sink->fd), 0);
    sink->stopped = true;
}

static int start(struct uct_sink *sink)
{
    sink->stopped = false;
    return uc_fd_recv_start(sink->fd);
}

static void what_is_sent_is_received(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0;

    assert_int_equal(start(link.sink), 0);
    for (uint32_t i = 1; i <= 50; i++) {
        uct_write_all(link.peer, 0, &sent, i * 37);
        UCT_UNTIL(t, link.sink->received == sent);
    }
    assert_int_equal(shutdown(link.peer, SHUT_WR), 0);
    UCT_UNTIL(t, link.sink->ends);
    assert_int_equal(link.sink->end_result, 0);
    assert_true(link.sink->end_flags & UC_EVENT_ENDED);
    assert_int_equal(link.sink->ends, 1);
}

static void what_was_there_before_the_start_is_received(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0;

    uct_write_all(link.peer, 0, &sent, 100000);
    assert_int_equal(shutdown(link.peer, SHUT_WR), 0);
    assert_int_equal(start(link.sink), 0);
    UCT_UNTIL(t, link.sink->ends);
    assert_int_equal(link.sink->received, 100000);
}

static void what_arrives_after_stop_is_kept_and_comes_first(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0, before;

    assert_int_equal(start(link.sink), 0);
    uct_turn(t, 0);
    for (int round = 0; round < 200; round++) {
        uct_write_all(link.peer, 0, &sent, 10 + (uint64_t)round);
        if (round % 3 == 0)
            uct_turn(t, 0);
        stop(link.sink);
        before = link.sink->received;
        uct_write_all(link.peer, 0, &sent, 1000);
        uct_turn(t, 0);
        uct_turn(t, 0);
        assert_int_equal(link.sink->received, before);
        assert_int_equal(start(link.sink), 0);
        if (round % 2)
            UCT_UNTIL(t, link.sink->received == sent);
    }
    UCT_UNTIL(t, link.sink->received == sent);
    assert_int_equal(link.sink->unasked, 0);
    assert_int_equal(undelivered(link.sink), 0);
}

static void stop_and_start_at_once_loses_nothing(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0;

    assert_int_equal(start(link.sink), 0);
    for (int round = 0; round < 500; round++) {
        uct_write_all(link.peer, 0, &sent, 77);
        stop(link.sink);
        assert_int_equal(start(link.sink), 0);
        if (round % 5 == 0) {
            stop(link.sink);
            assert_int_equal(start(link.sink), 0);
        }
        uct_turn(t, 0);
    }
    UCT_UNTIL(t, link.sink->received == sent);
}

static void no_record_comes_after_stop(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0;

    assert_int_equal(start(link.sink), 0);
    uct_turn(t, 0);
    uct_write_all(link.peer, 0, &sent, 5000);
    stop(link.sink);
    assert_int_equal(shutdown(link.peer, SHUT_WR), 0);
    for (int turn = 0; turn < 20; turn++)
        uct_turn(t, 100000);
    assert_int_equal(link.sink->records + link.sink->ends, 0);
    UCT_SOON(t, in_flight(link.sink) == 0);
    assert_int_equal(start(link.sink), 0);
    UCT_UNTIL(t, link.sink->ends);
    assert_int_equal(link.sink->received, sent);
}

/* What the kernel was about to give is kept; what comes later stays in the socket. */
static void after_stop_the_peer_feels_it(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 4096);
    uint64_t sent = 0, before;

    assert_int_equal(start(link.sink), 0);
    uct_turn(t, 0);
    stop(link.sink);
    uct_turn(t, 0);
    uct_turn(t, 0);
    UCT_SOON(t, in_flight(link.sink) == 0);
    for (int turn = 0; turn < 20; turn++) {
        uct_write_some(link.peer, 0, &sent, 1 << 20);
        uct_turn(t, 1000000);
    }
    before = sent;
    assert_true(before < 1 << 20);
    assert_int_equal(undelivered(link.sink), 0);
    assert_int_equal(start(link.sink), 0);
    UCT_PUMP(t, uct_write_some(link.peer, 0, &sent, 1 << 20), link.sink->received == 1 << 20);
}

static void the_end_that_comes_while_stopping_waits_for_the_start(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0;

    assert_int_equal(start(link.sink), 0);
    uct_turn(t, 0);
    uct_write_all(link.peer, 0, &sent, 3);
    assert_int_equal(shutdown(link.peer, SHUT_WR), 0);
    stop(link.sink);
    uct_turn(t, 0);
    assert_int_equal(start(link.sink), 0);
    stop(link.sink);
    uct_turn(t, 0);
    assert_int_equal(link.sink->records + link.sink->ends, 0);
    assert_int_equal(start(link.sink), 0);
    UCT_UNTIL(t, link.sink->ends);
    assert_int_equal(link.sink->received, 3);
    assert_int_equal(uc_fd_recv_start(link.sink->fd), -ENOTCONN);
    assert_int_equal(uc_fd_recv_stop(link.sink->fd), -EALREADY);
}

static void receiving_twice_and_stopping_twice_is_refused(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);

    assert_int_equal(uc_fd_recv_stop(link.sink->fd), -EALREADY);
    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    assert_int_equal(uc_fd_recv_start(link.sink->fd), -EALREADY);
    assert_int_equal(uc_fd_recv_once(link.sink->fd, 1), -EALREADY);
    assert_int_equal(uc_fd_accept_start(link.sink->fd), -EBUSY);
    uct_turn(t, 0);
    assert_int_equal(uc_fd_recv_start(link.sink->fd), -EALREADY);
    assert_int_equal(uc_fd_recv_stop(link.sink->fd), 0);
    assert_int_equal(uc_fd_recv_stop(link.sink->fd), -EALREADY);
}

static void half_close_is_reported_once_and_sending_goes_on(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    struct uc_fd_status status = {.size = sizeof(status)};
    uint64_t answered = 0;

    assert_int_equal(start(link.sink), 0);
    assert_int_equal(shutdown(link.peer, SHUT_WR), 0);
    UCT_UNTIL(t, link.sink->ends);
    for (int turn = 0; turn < 5; turn++)
        uct_turn(t, 0);
    assert_int_equal(link.sink->ends, 1);
    assert_int_equal(uc_fd_get_status(link.sink->fd, &status), 0);
    assert_int_equal(status.state, UC_FD_HALF_CLOSED);
    assert_int_equal(status.receiving, 0);
    for (int i = 0; i < 10; i++) {
        uint8_t bytes[1000];

        uct_pattern(3, (uint64_t)i * 1000, bytes, sizeof(bytes));
        assert_true(uc_fd_send(link.sink->fd, bytes, sizeof(bytes), 0) > 0);
        UCT_PUMP(t, uct_read_some(link.peer, 3, &answered), answered == (uint64_t)(i + 1) * 1000);
    }
}

static void a_reset_is_the_end_with_an_error(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);

    assert_int_equal(start(link.sink), 0);
    uct_turn(t, 0);
    uct_reset(t, link.peer);
    UCT_UNTIL(t, link.sink->ends);
    assert_int_equal(link.sink->end_result, -ECONNRESET);
    assert_int_equal(uc_fd_recv_start(link.sink->fd), -ENOTCONN);
}

static void a_kept_payload_outlives_the_turn(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    struct uc_pool_stats pool = {.size = sizeof(pool)};
    struct uc_lease lease;
    uint64_t sent = 0, offset;

    assert_int_equal(start(link.sink), 0);
    uct_write_all(link.peer, 0, &sent, 4000);
    UCT_UNTIL(t, link.sink->records);
    assert_int_equal(uc_pool_keep(t->pool, t->events[0].buffer, &lease), 0);
    assert_int_equal(uc_pool_keep(t->pool, t->events[0].buffer, &lease), -ESTALE);
    offset = t->events[0].offset;
    for (int i = 0; i < 200; i++) {
        uint32_t records = link.sink->records;

        uct_write_all(link.peer, 0, &sent, 4000);
        UCT_UNTIL(t, link.sink->records > records);
    }
    assert_true(uct_matches(0, 0, (uint8_t *)uc_pool_base(t->pool) + offset, 4000));
    assert_int_equal(uc_pool_get_stats(t->pool, &pool), 0);
    assert_int_equal(pool.leased, 1);
    assert_int_equal(uc_pool_release(t->pool, lease.token), 0);
    assert_int_equal(uc_pool_release(t->pool, lease.token), -ESTALE);
}

static void a_payload_that_was_not_kept_cannot_be_kept_later(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    struct uc_lease lease;
    uint64_t sent = 0, buffer;

    assert_int_equal(start(link.sink), 0);
    uct_write_all(link.peer, 0, &sent, 40);
    UCT_UNTIL(t, link.sink->records);
    buffer = t->events[0].buffer;
    uct_turn(t, 0);
    assert_int_equal(uc_pool_keep(t->pool, buffer, &lease), -ESTALE);
}

static void few_records_at_a_time_lose_nothing(void **state)
{
    struct uct *t = *state;
    struct uct_link links[40];
    uint64_t sent[40] = {0};

    t->max_events = 2;
    for (int i = 0; i < 40; i++) {
        links[i] = uct_link(t, NULL, 0);
        links[i].sink->seed = (uint64_t)i;
        assert_int_equal(start(links[i].sink), 0);
    }
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 40; i++)
            uct_write_all(links[i].peer, (uint64_t)i, &sent[i], 100);
        for (int i = 0; i < 40; i++)
            UCT_UNTIL(t, links[i].sink->received == sent[i]);
    }
}

static void a_socket_pair_of_unix_sockets_tells_its_end(void **state)
{
    struct uct *t = *state;

    for (int round = 0; round < 200; round++) {
        uint64_t sent = 0;
        int pair[2];
        struct uct_sink *sink;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        sink = uct_attach(t, pair[0], NULL);
        assert_int_equal(uc_fd_recv_start(sink->fd), 0);
        if (round % 2)
            uct_turn(t, 0);
        uct_write_all(pair[1], 0, &sent, 100);
        close(pair[1]);
        UCT_UNTIL(t, sink->ends);
        assert_int_equal(sink->received, 100);
        uct_close_now(t, sink);
    }
}

static void what_is_no_socket_ends_with_an_error(void **state)
{
    struct uct *t = *state;
    int ends[2];
    struct uct_sink *sink;

    assert_int_equal(pipe(ends), 0);
    uct_peer(t, ends[1]);
    sink = uct_attach(t, ends[0], NULL);
    assert_int_equal(uc_fd_recv_start(sink->fd), 0);
    UCT_UNTIL(t, sink->ends);
    assert_int_equal(sink->end_result, -ENOTSOCK);
}

static bool can_be_kept(struct uct *t, const struct uc_event *event)
{
    struct uc_lease lease;

    if (event->flags & UC_EVENT_PAYLOAD)
        return true;
    assert_int_equal(uc_pool_keep(t->pool, event->buffer, &lease), -EINVAL);
    return false;
}

static uint32_t records_of(struct uct *t, struct uct_link *link, uint64_t bytes, uint32_t *ret_kept)
{
    uint64_t sent = 0;

    assert_int_equal(uc_fd_recv_start(link->sink->fd), 0);
    uct_turn(t, 0);
    uct_write_all(link->peer, 0, &sent, bytes);
    *ret_kept = 0;
    while (link->sink->received < bytes) {
        int n = uct_turn(t, 100000000);

        for (int i = 0; i < n; i++)
            *ret_kept += can_be_kept(t, &t->events[i]);
    }
    return link->sink->records;
}

static void pieces_side_by_side_come_as_one_record_when_asked_for(void **state)
{
    struct uct *t = *state;
    struct uc_fd_options options = {.size = sizeof(options), .flags = UC_FD_GATHER};
    struct uct_link plain = uct_link(t, NULL, 0), gathered = uct_link(t, &options, 0);
    uint32_t plain_kept, gathered_kept, plain_records, gathered_records;

    plain_records = records_of(t, &plain, 40000, &plain_kept);
    gathered_records = records_of(t, &gathered, 40000, &gathered_kept);
    assert_int_equal(plain_kept, plain_records);
    /* Buffers that libuc chooses one by one do not lie side by side. */
    if (uct_is_uring(t) && !(uct_info(t->ring).features & UC_FEATURE_MULTISHOT_RECV))
        return;
    assert_true(gathered_records < plain_records);
    assert_true(gathered_kept < gathered_records);
}

int main(void)
{
    static const struct uct_options small_buffers = {
        .pool = {.size = sizeof(struct uc_pool_options), .buffer_bytes = 4096, .buffer_count = 64},
    };
    const struct CMUnitTest tests[] = {
        UCT_EVERYWHERE(what_is_sent_is_received),
        UCT_EVERYWHERE(what_was_there_before_the_start_is_received),
        UCT_EVERYWHERE(what_arrives_after_stop_is_kept_and_comes_first),
        UCT_EVERYWHERE(stop_and_start_at_once_loses_nothing),
        UCT_EVERYWHERE(no_record_comes_after_stop),
        UCT_EVERYWHERE(after_stop_the_peer_feels_it),
        UCT_EVERYWHERE(the_end_that_comes_while_stopping_waits_for_the_start),
        UCT_EVERYWHERE(receiving_twice_and_stopping_twice_is_refused),
        UCT_EVERYWHERE(half_close_is_reported_once_and_sending_goes_on),
        UCT_EVERYWHERE(a_reset_is_the_end_with_an_error),
        UCT_EVERYWHERE(a_kept_payload_outlives_the_turn),
        UCT_EVERYWHERE(a_payload_that_was_not_kept_cannot_be_kept_later),
        UCT_EVERYWHERE(few_records_at_a_time_lose_nothing),
        UCT_EVERYWHERE(a_socket_pair_of_unix_sockets_tells_its_end),
        UCT_EVERYWHERE(what_is_no_socket_ends_with_an_error),
        UCT_WITH(pieces_side_by_side_come_as_one_record_when_asked_for, "small buffers",
                 &small_buffers),
    };

    return UCT_RUN("receive", tests);
}
