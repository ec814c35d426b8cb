/* Much at once, and much in the long run. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "masks.h"

#define MIB (UINT64_C(1) << 20)

static bool feed(struct uct_sink *sink, uint64_t *queued, uint64_t total)
{
    static uint8_t bytes[60000];

    while (*queued < total) {
        uint64_t piece = total - *queued < sizeof(bytes) ? total - *queued : sizeof(bytes);
        int64_t level;

        uct_pattern(1, *queued, bytes, piece);
        level = uc_fd_send(sink->fd, bytes, piece, 0);
        assert_true(level > 0);
        *queued += piece;
        if (level > 100000)
            break;
    }
    return true;
}

static void both_ways(struct uct *t, const struct uc_fd_options *options, int buffer_bytes,
                      uint64_t total)
{
    struct uct_link link = uct_link(t, options, buffer_bytes);
    uint64_t sent = 0, seen = 0, queued = 0;
    uint32_t low_waters = UINT32_MAX;

    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    UCT_PUMP(
        t,
        do {
            uct_write_some(link.peer, 0, &sent, total);
            uct_read_some(link.peer, 1, &seen);
            if (link.sink->low_waters != low_waters) {
                low_waters = link.sink->low_waters;
                feed(link.sink, &queued, total);
            }
        } while (0),
        link.sink->received == total && seen == total);
    assert_int_equal(link.sink->mismatches, 0);
    assert_int_equal(uct_stats(t).stale, 0);
}

static void a_stream_through_small_socket_buffers_is_exact_both_ways(void **state)
{
    both_ways(*state, NULL, 4096, 64 * MIB);
}

static void a_stream_through_large_socket_buffers_is_exact_both_ways(void **state)
{
    both_ways(*state, NULL, 0, 64 * MIB);
}

static void a_short_stream_is_exact_both_ways(void **state)
{
    both_ways(*state, NULL, 4096, 2 * MIB);
}

static void a_flood_with_pauses_keeps_memory_bounded_and_loses_nothing(void **state)
{
    struct uct *t = *state;
    struct uc_fd_options options = {.size = sizeof(options), .credit_bytes = 256 << 10};
    struct uct_link link = uct_link(t, &options, 0);
    struct uc_fd_status status = {.size = sizeof(status)};
    uint64_t sent = 0, most = 0;

    for (int round = 0; round < 400; round++) {
        assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
        link.sink->stopped = false;
        uct_write_some(link.peer, 0, &sent, 64 * MIB);
        uct_turn(t, 0);
        uct_write_some(link.peer, 0, &sent, 64 * MIB);
        assert_int_equal(uc_fd_recv_stop(link.sink->fd), 0);
        link.sink->stopped = true;
        uct_turn(t, 0);
        uct_write_some(link.peer, 0, &sent, 64 * MIB);
        assert_int_equal(uc_fd_get_status(link.sink->fd, &status), 0);
        if (status.undelivered_bytes > most)
            most = status.undelivered_bytes;
    }
    link.sink->stopped = false;
    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    UCT_UNTIL(t, link.sink->received == sent);
    assert_true(most <= 8 * MIB);
}

/* Two thousand connections on one ring, each an echo of its own bytes. */
static void two_thousand_connections_do_not_mix(void **state)
{
    enum {
        COUNT = 2000
    };
    struct uct *t = *state;
    struct uct_link *links = calloc(COUNT, sizeof(*links));
    uint64_t (*positions)[2] = calloc(COUNT, sizeof(*positions));
    struct rlimit limit;

    assert_non_null(links);
    assert_non_null(positions);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 2 * COUNT + 100) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur < 2 * COUNT + 100)
        skip();
    for (uint64_t i = 0; i < COUNT; i++) {
        links[i] = uct_link(t, NULL, 0);
        links[i].sink->seed = i;
        assert_int_equal(uc_fd_recv_start(links[i].sink->fd), 0);
    }
    for (uint64_t round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < COUNT; i++) {
            uint8_t bytes[300];

            uct_write_all(links[i].peer, i, &positions[i][0], 100 + i % 200);
            uct_pattern(COUNT + i, round * sizeof(bytes), bytes, sizeof(bytes));
            assert_true(uc_fd_send(links[i].sink->fd, bytes, sizeof(bytes), 0) > 0);
        }
        for (uint64_t i = 0; i < COUNT; i++) {
            UCT_UNTIL(t, links[i].sink->received == positions[i][0]);
            UCT_PUMP(t, uct_read_some(links[i].peer, COUNT + i, &positions[i][1]),
                     positions[i][1] == (round + 1) * 300);
        }
    }
    for (uint64_t i = 0; i < COUNT; i++)
        assert_int_equal(links[i].sink->mismatches, 0);
    free(positions);
    free(links);
}

/* As a server does: accept, attach, read, answer, close; and clients that connect through the
 * ring as well. */
static void ten_thousand_connects_and_closes_leave_nothing(void **state)
{
    enum {
        COUNT = 10000,
        WIDTH = 50
    };
    struct uct *t = *state;
    int fd = uct_listen(0, 512, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(uct_port(fd)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    struct uct_sink *listener = uct_attach(t, fd, NULL), *ends[2 * WIDTH];
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    uint32_t made = 0;

    assert_int_equal(uc_fd_accept_start(listener->fd), 0);
    while (made < COUNT) {
        for (int i = 0; i < WIDTH; i++, made++) {
            int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

            assert_true(client >= 0);
            if (made % 2) /* half of them end with a reset, which leaves no TIME_WAIT behind */
                assert_int_equal(
                    setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
            ends[i] = uct_attach(t, client, NULL);
            ends[i]->seed = 1;
            assert_int_equal(uc_fd_connect(ends[i]->fd, &address, sizeof(address)), 0);
        }
        UCT_UNTIL(t, t->accepted_count == WIDTH);
        for (int i = 0; i < WIDTH; i++) {
            uint8_t bytes[64];

            ends[WIDTH + i] = uct_attach(t, t->accepted[i], NULL);
            uct_pattern(1, 0, bytes, sizeof(bytes));
            assert_true(uc_fd_send(ends[WIDTH + i]->fd, bytes, sizeof(bytes), 0) > 0);
            if (i % 2)
                assert_int_equal(uc_fd_shutdown(ends[WIDTH + i]->fd), 0);
            UCT_UNTIL(t, ends[i]->connects);
            assert_int_equal(ends[i]->connect_result, 0);
            assert_int_equal(uc_fd_recv_start(ends[i]->fd), 0);
        }
        t->accepted_count = 0;
        for (int i = 0; i < WIDTH; i++)
            UCT_UNTIL(t, ends[i]->received == 64);
        for (int i = 0; i < 2 * WIDTH; i++)
            assert_int_equal(uc_fd_close(ends[i]->fd, i % 3 ? 0 : UC_CLOSE_ABORT), 0);
        for (int i = 0; i < 2 * WIDTH; i++) {
            UCT_UNTIL(t, ends[i]->closed);
            assert_int_equal(ends[i]->mismatches, 0);
            uct_forget(t, ends[i]);
        }
    }
    assert_int_equal(uct_stats(t).stale, 0);
    assert_int_equal(uct_stats(t).attached, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UCT(a_stream_through_small_socket_buffers_is_exact_both_ways),
        UCT(a_stream_through_large_socket_buffers_is_exact_both_ways),
        UCT_EVERYWHERE(a_short_stream_is_exact_both_ways),
        UCT_EVERYWHERE(a_flood_with_pauses_keeps_memory_bounded_and_loses_nothing),
        UCT(two_thousand_connections_do_not_mix),
        UCT_WITH(two_thousand_connections_do_not_mix, "with nothing new", &nothing_new),
        UCT(ten_thousand_connects_and_closes_leave_nothing),
    };

    return UCT_RUN("bulk", tests);
}
