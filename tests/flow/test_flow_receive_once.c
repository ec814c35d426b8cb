/* Receiving one piece at a time: one record, no more bytes than asked for, nothing lost. */
#include <errno.h>
#include <sys/socket.h>

#include "masks.h"

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

static void recv_once_gives_no_more_than_asked(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0;

    uct_write_all(link.peer, 0, &sent, 10000);
    for (uint32_t i = 1; link.sink->received < sent; i++) {
        uint32_t records = link.sink->records;
        uint64_t before = link.sink->received;

        link.sink->stopped = false;
        assert_int_equal(uc_fd_recv_once(link.sink->fd, i), 0);
        UCT_UNTIL(t, link.sink->records > records);
        assert_true(link.sink->received - before <= i);
        link.sink->stopped = true;
        uct_turn(t, 0);
        assert_int_equal(link.sink->records, records + 1);
    }
    link.sink->stopped = false;
    assert_int_equal(shutdown(link.peer, SHUT_WR), 0);
    assert_int_equal(uc_fd_recv_once(link.sink->fd, 10), 0);
    UCT_UNTIL(t, link.sink->ends);
    assert_int_equal(link.sink->end_result, 0);
}

/* What a receive without a bound had taken already when it was called off. */
static void recv_once_after_a_stopped_receive_gives_no_more_than_asked(void **state)
{
    struct uct *t = *state;

    for (int turns = 0; turns < 3; turns++) {
        struct uct_link link = uct_link(t, NULL, 0);
        uint64_t sent = 0;

        assert_int_equal(start(link.sink), 0);
        uct_turn(t, 0);
        uct_write_all(link.peer, 0, &sent, 5000);
        stop(link.sink);
        for (int i = 0; i < turns; i++)
            uct_turn(t, 0);
        link.sink->stopped = false;
        while (link.sink->received < sent) {
            uint32_t records = link.sink->records;

            assert_int_equal(uc_fd_recv_once(link.sink->fd, 999), 0);
            UCT_UNTIL(t, link.sink->records > records);
            assert_int_equal(link.sink->records, records + 1);
            assert_true(link.sink->largest <= 999);
        }
    }
}

static void recv_once_gives_one_record_also_when_there_is_room_for_one_only(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0;

    t->max_events = 1;
    assert_int_equal(start(link.sink), 0);
    uct_turn(t, 0);
    for (int piece = 0; piece < 3; piece++)
        uct_write_all(link.peer, 0, &sent, 100);
    stop(link.sink);
    uct_turn(t, 0);
    while (link.sink->received < sent) {
        uint32_t records = link.sink->records;

        link.sink->stopped = false;
        assert_int_equal(uc_fd_recv_once(link.sink->fd, 10), 0);
        UCT_UNTIL(t, link.sink->records > records);
        link.sink->stopped = true;
        for (int i = 0; i < 3; i++)
            uct_turn(t, 0);
        assert_int_equal(link.sink->records, records + 1);
        assert_true(link.sink->largest <= 10);
    }
}

static void recv_once_called_off_keeps_what_came(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0;

    for (int round = 0; round < 300; round++) {
        link.sink->stopped = false;
        assert_int_equal(uc_fd_recv_once(link.sink->fd, 64), 0);
        if (round % 2)
            uct_turn(t, 0);
        uct_write_all(link.peer, 0, &sent, 64);
        if (uc_fd_recv_stop(link.sink->fd) == 0)
            link.sink->stopped = true;
        if (round % 3 == 0)
            uct_turn(t, 0);
        if (round % 4 == 0) {
            uint32_t records = link.sink->records;

            while (uc_fd_recv_once(link.sink->fd, 64) == -EALREADY)
                uct_turn(t, 0);
            link.sink->stopped = false;
            UCT_UNTIL(t, link.sink->records > records);
        }
        link.sink->stopped = false;
    }
    while (link.sink->received < sent) {
        uint32_t records = link.sink->records;

        assert_int_equal(uc_fd_recv_once(link.sink->fd, 64), 0);
        UCT_UNTIL(t, link.sink->records > records);
    }
    assert_true(link.sink->largest <= 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UCT_EVERYWHERE(recv_once_gives_no_more_than_asked),
        UCT_EVERYWHERE(recv_once_after_a_stopped_receive_gives_no_more_than_asked),
        UCT_EVERYWHERE(recv_once_gives_one_record_also_when_there_is_room_for_one_only),
        UCT_EVERYWHERE(recv_once_called_off_keeps_what_came),
    };

    return UCT_RUN("receive_once", tests);
}
