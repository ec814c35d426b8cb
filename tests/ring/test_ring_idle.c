/* A ring with nothing to do leaves the processor alone, whatever state its descriptors are in. */
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

#define REST_NS 50000000

/* Getting to rest may take a few looks; one that does not rest takes thousands. */
static void expect_rest(struct uct *t)
{
    uint64_t entries = uct_stats(t).kernel_entries;

    for (int i = 0; i < 2; i++)
        assert_int_equal(uct_turn(t, REST_NS), 0);
    if (uct_stats(t).kernel_entries - entries > 30)
        fail_msg("%llu kernel entries with nothing to do",
                 (unsigned long long)(uct_stats(t).kernel_entries - entries));
}

static void nothing_to_do_costs_one_entry_however_long_it_lasts(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t entries;

    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    assert_int_equal(uc_fd_poll(link.sink->fd, POLLPRI), 0);
    uct_turn(t, 0);
    uct_turn(t, 0);
    entries = uct_stats(t).kernel_entries;
    assert_int_equal(uct_turn(t, REST_NS), 0);
    assert_int_equal(uct_stats(t).kernel_entries - entries, 1);
}

static void bytes_that_nobody_wants_cost_nothing(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0;

    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    uct_write_all(link.peer, 0, &sent, 100);
    UCT_UNTIL(t, link.sink->received == 100);
    assert_int_equal(uc_fd_recv_stop(link.sink->fd), 0);
    uct_turn(t, 0);
    uct_write_all(link.peer, 0, &sent, 100);
    expect_rest(t);
    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    UCT_UNTIL(t, link.sink->received == 200);
}

static void a_hang_up_that_nobody_waits_for_costs_nothing(void **state)
{
    struct uct *t = *state;
    struct uct_link ended = uct_link(t, NULL, 0), broken = uct_link(t, NULL, 0);

    for (int i = 0; i < 2; i++)
        assert_int_equal(uc_fd_recv_start(i ? broken.sink->fd : ended.sink->fd), 0);
    uct_turn(t, 0);
    uct_peer_close(t, ended.peer);
    uct_reset(t, broken.peer);
    UCT_UNTIL(t, ended.sink->ends && broken.sink->ends);
    expect_rest(t);
}

static void a_full_socket_is_not_asked_again_and_again(void **state)
{
    static uint8_t bytes[1 << 20];
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 16384);

    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    assert_true(uc_fd_send(link.sink->fd, bytes, sizeof(bytes), 0) > 0);
    for (int i = 0; i < 5; i++)
        uct_turn(t, 1000000);
    expect_rest(t);
    assert_int_equal(uc_fd_close(link.sink->fd, UC_CLOSE_ABORT), 0);
}

/* Errors in the error queue are not taken by receiving: they are reported on and on. */
static void an_error_that_no_call_takes_away_costs_nothing(void **state)
{
    static const struct uc_fd_options datagrams = {
        .size = sizeof(datagrams),
        .flags = UC_FD_DATAGRAM,
    };
    struct uct *t = *state;
    struct uct_sink *sink = uct_attach(t, uct_udp(), &datagrams);
    int gone = uct_udp(), one = 1, peer = uct_peer(t, uct_udp());
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons(uct_port(gone)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    struct pollfd watched = {.fd = sink->number};

    close(gone);
    assert_int_equal(setsockopt(sink->number, IPPROTO_IP, IP_RECVERR, &one, sizeof(one)), 0);
    assert_int_equal(uc_fd_recv_start(sink->fd), 0);
    uct_turn(t, 0);
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(sendto(sink->number, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
        assert_int_equal(poll(&watched, 1, 5000), 1);
        UCT_UNTIL(t, sink->datagram_errors == i);
        expect_rest(t);
    }
    to.sin_port = htons(uct_port(sink->number));
    sink->ignore_bytes = true;
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(sendto(peer, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
        UCT_UNTIL(t, sink->datagrams == i);
        expect_rest(t);
    }
}

/* What another process has served is reported to all. */
static void connections_that_others_take_cost_nothing(void **state)
{
    static const struct uc_fd_options shared = {.size = sizeof(shared), .flags = UC_FD_SHARED};
    struct uct *t = *state;
    struct uct_sink *sink = uct_attach(t, uct_listen(0, 64, 0), &shared);
    uint16_t port = uct_port(sink->number);

    assert_int_equal(fcntl(sink->number, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(uc_fd_accept_start(sink->fd), 0);
    uct_turn(t, 0);
    for (int i = 0; i < 40; i++) {
        int stolen;

        uct_peer(t, uct_connect(port, 0));
        stolen = accept(sink->number, NULL, NULL);
        if (stolen >= 0)
            uct_peer(t, stolen);
        uct_turn(t, 0);
    }
    expect_rest(t);
    uct_peer(t, uct_connect(port, 0));
    UCT_UNTIL(t, sink->accepts);
}

/* A file goes on under another number: whoever was told to watch it is not told that it ended. */
static void a_file_that_lives_on_elsewhere_costs_nothing(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    int twin = uct_peer(t, fcntl(link.sink->number, F_DUPFD_CLOEXEC, 0));
    uint64_t sent = 0;

    assert_true(twin >= 0);
    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    uct_turn(t, 0);
    uct_close_now(t, link.sink);
    uct_write_all(link.peer, 0, &sent, 100);
    expect_rest(t);
}

/* Closed behind the ring's back, which is a mistake; but one that costs no processor. */
static void a_number_closed_while_it_is_waited_for_costs_nothing(void **state)
{
    struct uct *t = *state;
    int ends[2], twin;
    uint64_t op;
    char byte;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    twin = uct_peer(t, fcntl(ends[0], F_DUPFD_CLOEXEC, 0));
    assert_true(twin >= 0);
    uct_peer(t, ends[1]);
    assert_int_equal(uc_op_read(t->ring, ends[0], &byte, 1, UC_OFFSET_CURRENT, 1, &op), 0);
    uct_turn(t, 0);
    close(ends[0]);
    assert_int_equal(uc_op_cancel(t->ring, op), 0);
    assert_int_equal(uct_outcome(t, 1), -ECANCELED);
    assert_int_equal(write(ends[1], "x", 1), 1);
    expect_rest(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UCT(nothing_to_do_costs_one_entry_however_long_it_lasts),
        UCT(bytes_that_nobody_wants_cost_nothing),
        UCT(a_hang_up_that_nobody_waits_for_costs_nothing),
        UCT(a_full_socket_is_not_asked_again_and_again),
        UCT(an_error_that_no_call_takes_away_costs_nothing),
        UCT(connections_that_others_take_cost_nothing),
        UCT(a_file_that_lives_on_elsewhere_costs_nothing),
        UCT(a_number_closed_while_it_is_waited_for_costs_nothing),
    };

    return UCT_RUN("idle", tests);
}
