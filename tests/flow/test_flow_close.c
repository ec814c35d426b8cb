/* The end of a descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd/fd.h"
#include "masks.h"

static int64_t put(struct uct_sink *sink, uint64_t *position, uint32_t bytes)
{
    static uint8_t buffer[1 << 16];
    int64_t r;

    uct_pattern(1, *position, buffer, bytes);
    r = uc_fd_send(sink->fd, buffer, bytes, 0);
    if (r > 0)
        *position += bytes;
    return r;
}

/* What the peer of a stream sees in the end: 0 or the errno of its recv(2). */
static int peer_sees(struct uct *t, int peer, uint64_t *seen)
{
    struct pollfd readable = {.fd = peer, .events = POLLIN};

    for (;;) {
        uint8_t bytes[4096];
        ssize_t n = recv(peer, bytes, sizeof(bytes), MSG_DONTWAIT);

        if (n == 0)
            return 0;
        if (n > 0) {
            assert_true(uct_matches(1, *seen, bytes, (uint64_t)n));
            *seen += (uint64_t)n;
        } else if (errno != EAGAIN) {
            return errno;
        } else if (poll(&readable, 1, 0) == 0) {
            if (t->ring)
                uct_turn(t, 100000);
        }
    }
}

static void close_flushes_then_sends_fin(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 4096);
    struct uc_fd_status status = {.size = sizeof(status)};
    uint64_t sent = 0, seen = 0;

    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    for (int i = 0; i < 10; i++)
        assert_true(put(link.sink, &sent, 60000) > 0);
    assert_int_equal(uc_fd_close(link.sink->fd, 0), 0);
    assert_int_equal(uc_fd_close(link.sink->fd, 0), -EALREADY);
    assert_int_equal(uc_fd_get_status(link.sink->fd, &status), 0);
    assert_int_equal(status.state, UC_FD_DRAINING);
    assert_int_equal(put(link.sink, &sent, 1), -ESHUTDOWN);
    assert_int_equal(uc_fd_recv_start(link.sink->fd), -ESHUTDOWN);
    assert_int_equal(uc_fd_poll(link.sink->fd, POLLIN), -ESHUTDOWN);
    assert_int_equal(peer_sees(t, link.peer, &seen), 0);
    assert_int_equal(seen, sent);
    UCT_UNTIL(t, link.sink->closed);
    assert_int_equal(link.sink->closed_result, 0);
    assert_int_equal(link.sink->last_kind, UC_EVENT_CLOSED);
    assert_int_equal(fcntl(link.sink->number, F_GETFD), -1);
    assert_int_equal(uc_fd_recv_start(link.sink->fd), -ESTALE);
}

static void the_peer_sees_fin_at_once_whatever_was_in_flight(void **state)
{
    struct uct *t = *state;

    for (int round = 0; round < 60; round++) {
        struct uct_link link = uct_link(t, NULL, 0);
        struct pollfd readable = {.fd = link.peer, .events = POLLIN};
        uint64_t seen = 0;

        if (round % 2)
            assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
        if (round % 3)
            assert_int_equal(uc_fd_poll(link.sink->fd, POLLIN), 0);
        if (round % 5)
            uct_turn(t, 0);
        switch (round % 4) {
        case 0:
            assert_int_equal(uc_fd_close(link.sink->fd, 0), 0);
            break;
        case 1:
            assert_int_equal(uc_fd_close(link.sink->fd, UC_CLOSE_ABORT), 0);
            break;
        case 2:
            assert_int_equal(uc_fd_close(link.sink->fd, UC_CLOSE_ABORT | UC_CLOSE_NOW), 0);
            break;
        default:
            assert_int_equal(uc_fd_shutdown(link.sink->fd), 0);
        }
        if (round % 4 < 2)
            UCT_UNTIL(t, link.sink->closed);
        assert_int_equal(poll(&readable, 1, 2000), 1);
        assert_int_equal(peer_sees(t, link.peer, &seen), 0);
    }
}

static void abort_drops_and_peer_sees_the_end(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 4096);
    uint64_t sent = 0, seen = 0;

    for (int i = 0; i < 20; i++)
        assert_true(put(link.sink, &sent, 60000) > 0);
    uct_turn(t, 0);
    assert_int_equal(uc_fd_close(link.sink->fd, UC_CLOSE_ABORT), 0);
    assert_int_equal(uc_fd_close(link.sink->fd, UC_CLOSE_ABORT), -EALREADY);
    UCT_UNTIL(t, link.sink->closed);
    (void)peer_sees(t, link.peer, &seen);
    assert_true(seen < sent);
}

static void an_abort_overtakes_a_close_that_still_sends(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 4096);
    uint64_t sent = 0, seen = 0;

    for (int i = 0; i < 20; i++)
        assert_true(put(link.sink, &sent, 60000) > 0);
    assert_int_equal(uc_fd_close(link.sink->fd, 0), 0);
    uct_turn(t, 1000000);
    assert_int_equal(link.sink->closed, 0);
    assert_int_equal(uc_fd_close(link.sink->fd, UC_CLOSE_ABORT), 0);
    UCT_UNTIL(t, link.sink->closed);
    (void)peer_sees(t, link.peer, &seen);
    assert_true(seen < sent);
}

static void close_now_leaves_nothing_in_flight(void **state)
{
    struct uct *t = *state;

    for (int round = 0; round < 100; round++) {
        int fd = uct_listen(0, 8, 0), again;
        uint16_t port = uct_port(fd);
        struct uct_sink *listener = uct_attach(t, fd, NULL);

        assert_int_equal(uc_fd_accept_start(listener->fd), 0);
        if (round % 2)
            uct_turn(t, 0);
        if (round % 3 == 0)
            uct_peer(t, uct_connect(port, 0));
        assert_int_equal(uc_fd_close(listener->fd, UC_CLOSE_ABORT | UC_CLOSE_NOW), 0);
        assert_int_equal(fcntl(fd, F_GETFD), -1);
        UCT_SOON(t, uct_stats(t).in_flight == 0); /* the cancellation itself */
        again = uct_listen(port, 8, 0);
        assert_true(again >= 0);
        close(again);
        UCT_UNTIL(t, listener->closed);
    }
}

static void close_now_keeps_the_records_of_others(void **state)
{
    struct uct *t = *state;
    struct uct_link one = uct_link(t, NULL, 0), other = uct_link(t, NULL, 0);
    uint64_t sent = 0;

    assert_int_equal(uc_fd_recv_start(one.sink->fd), 0);
    assert_int_equal(uc_fd_recv_start(other.sink->fd), 0);
    uct_turn(t, 0);
    for (int i = 0; i < 10; i++)
        uct_write_all(other.peer, 0, &sent, 1000);
    assert_int_equal(uc_fd_close(one.sink->fd, UC_CLOSE_ABORT | UC_CLOSE_NOW), 0);
    UCT_UNTIL(t, other.sink->received == sent && one.sink->closed);
}

/* What was taken out of the kernel by another descriptor's close can still be called off. */
static void a_receive_stopped_after_anothers_close_now_keeps_its_data(void **state)
{
    struct uct *t = *state;
    struct uct_link other = uct_link(t, NULL, 0);
    uint64_t sent = 0;

    assert_int_equal(uc_fd_recv_start(other.sink->fd), 0);
    uct_turn(t, 0);
    for (int round = 0; round < 30; round++) {
        struct uct_link one = uct_link(t, NULL, 0);
        uint64_t before;

        assert_int_equal(uc_fd_recv_start(one.sink->fd), 0);
        uct_turn(t, 0);
        uct_write_all(other.peer, 0, &sent, 3000);
        before = other.sink->received;
        assert_int_equal(uc_fd_close(one.sink->fd, UC_CLOSE_ABORT | UC_CLOSE_NOW), 0);
        assert_int_equal(uc_fd_recv_stop(other.sink->fd), 0);
        uct_turn(t, 0);
        uct_turn(t, 0);
        assert_int_equal(other.sink->received, before);
        while (other.sink->received < sent) {
            uint32_t records = other.sink->records;

            assert_int_equal(uc_fd_recv_once(other.sink->fd, 700), 0);
            UCT_UNTIL(t, other.sink->records > records);
            assert_true(other.sink->last_bytes <= 700);
        }
        assert_int_equal(uc_fd_recv_start(other.sink->fd), 0);
        uct_turn(t, 0);
    }
}

static void keep_gives_the_descriptor_back(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0, back = 0;
    uint8_t byte;

    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    uct_turn(t, 0);
    assert_true(put(link.sink, &sent, 100) > 0);
    assert_int_equal(uc_fd_close(link.sink->fd, UC_CLOSE_KEEP), 0);
    UCT_UNTIL(t, link.sink->closed);
    uct_peer(t, link.sink->number);
    assert_true(uct_read_some(link.peer, 1, &back));
    assert_int_equal(back, sent);
    assert_int_equal(send(link.peer, "x", 1, 0), 1);
    assert_int_equal(recv(link.sink->number, &byte, 1, 0), 1);
}

static void giving_up_the_handle_gives_the_descriptor_back(void **state)
{
    struct uct *t = *state;

    for (int round = 0; round < 20; round++) {
        struct uct_link link = uct_link(t, NULL, 0);
        int number = link.sink->number;
        uint64_t sent = 0;

        assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
        if (round % 2)
            uct_turn(t, 0);
        if (round % 3 == 0)
            uct_write_all(link.peer, 0, &sent, 500);
        if (round % 4 == 0)
            assert_true(put(link.sink, &sent, 100) > 0);
        uct_forget(t, link.sink);
        UCT_TURNS(t, 200000, uct_stats(t).attached == 0);
        assert_true(fcntl(number, F_GETFD) >= 0);
        close(number);
    }
}

/* Without UC_FEATURE_SUBMIT_ALL an operation that the kernel refuses stops the batch: what stands
 * behind it is still in the queue when the turn returns. */
static void a_number_given_back_behind_a_bad_operation_reaches_no_stranger(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0), stranger = uct_link(t, NULL, 0);
    int number = link.sink->number;
    char bytes[8];

    for (int i = 0; i < 3; i++)
        assert_int_equal(uc_op_openat(t->ring, AT_FDCWD, "", O_RDONLY, 0, 0, NULL), 0);
    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    uct_turn(t, 0);
    uct_forget(t, link.sink);
    assert_int_equal(dup2(stranger.sink->number, number), number);
    assert_int_equal(send(stranger.peer, "theirs", 6, 0), 6);
    UCT_TURNS(t, 1000000, uct_stats(t).attached == 1);
    assert_int_equal(recv(number, bytes, sizeof(bytes), MSG_DONTWAIT), 6);
    close(number);
}

static void bad_flags_are_refused(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);

    assert_int_equal(uc_fd_close(link.sink->fd, 8), -EINVAL);
    assert_int_equal(uc_fd_close(link.sink->fd, UC_CLOSE_NOW), -EINVAL);
    assert_int_equal(uc_fd_close(link.sink->fd, UC_CLOSE_NOW | UC_CLOSE_KEEP), -EINVAL);
}

static void a_reused_number_never_sees_another_connections_bytes(void **state)
{
    struct uct *t = *state;
    uint32_t reused = 0;
    int last = -1;

    for (uint64_t round = 1; round <= 1000; round++) {
        struct uct_link link = uct_link(t, NULL, 0);
        uint64_t sent = 0, seen = 0, written = 0;

        reused += link.sink->number == last;
        last = link.sink->number;
        link.sink->seed = round;
        assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
        if (round % 2)
            uct_turn(t, 0);
        uct_write_all(link.peer, round, &sent, 50 + round % 50);
        assert_true(put(link.sink, &written, 40) > 0);
        if (round % 3)
            UCT_UNTIL(t, link.sink->received == sent);
        assert_int_equal(
            uc_fd_close(link.sink->fd, round % 4 ? UC_CLOSE_ABORT : UC_CLOSE_ABORT | UC_CLOSE_NOW),
            0);
        UCT_UNTIL(t, link.sink->closed);
        assert_int_equal(link.sink->mismatches, 0);
        (void)uct_read_some(link.peer, 1, &seen);
        uct_reset(t, link.peer);
        uct_forget(t, link.sink);
    }
    assert_true(reused > 500);
    assert_int_equal(uct_stats(t).stale, 0);
}

/* What tells a completion of an earlier life from one of this life. */
static void every_arming_has_a_generation_of_its_own(void **state)
{
    struct uct *t = *state;
    uint64_t last = 0;

    for (int life = 0; life < 5; life++) {
        struct uct_link link = uct_link(t, NULL, 0);

        for (int round = 0; round < 5; round++) {
            uint64_t user_data;

            assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
            uct_turn(t, 0);
            user_data = link.sink->fd->lanes[UCI_LANE_READ];
            assert_true(user_data != 0 && user_data != last);
            if (uc_user_data_index(user_data) == uc_user_data_index(last))
                assert_true(uc_user_data_generation(user_data) > uc_user_data_generation(last));
            last = user_data;
            assert_int_equal(uc_fd_recv_stop(link.sink->fd), 0);
            uct_turn(t, 0);
            uct_turn(t, 0);
            UCT_SOON(t, link.sink->fd->lanes[UCI_LANE_READ] == 0);
        }
        uct_close_now(t, link.sink);
    }
}

int main(void)
{
    static const struct uct_options no_submit_all = {.ring.features_off = UC_FEATURE_SUBMIT_ALL};
    const struct CMUnitTest tests[] = {
        UCT_EVERYWHERE(close_flushes_then_sends_fin),
        UCT_EVERYWHERE(the_peer_sees_fin_at_once_whatever_was_in_flight),
        UCT(abort_drops_and_peer_sees_the_end),
        UCT(an_abort_overtakes_a_close_that_still_sends),
        UCT_EVERYWHERE(close_now_leaves_nothing_in_flight),
        UCT_EVERYWHERE(close_now_keeps_the_records_of_others),
        UCT_EVERYWHERE(a_receive_stopped_after_anothers_close_now_keeps_its_data),
        UCT_EVERYWHERE(keep_gives_the_descriptor_back),
        UCT_EVERYWHERE(giving_up_the_handle_gives_the_descriptor_back),
        UCT_EVERYWHERE(a_number_given_back_behind_a_bad_operation_reaches_no_stranger),
        UCT_WITH(a_number_given_back_behind_a_bad_operation_reaches_no_stranger,
                 "where it stops the batch", &no_submit_all),
        UCT(bad_flags_are_refused),
        UCT(every_arming_has_a_generation_of_its_own),
        UCT_EVERYWHERE(a_reused_number_never_sees_another_connections_bytes),
    };

    return UCT_RUN("close", tests);
}
