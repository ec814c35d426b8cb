/* Datagrams: messages with addresses. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "masks.h"

static const struct uc_fd_options datagrams = {.size = sizeof(datagrams), .flags = UC_FD_DATAGRAM};

static struct sockaddr_in name_of(int fd)
{
    struct sockaddr_in address;
    socklen_t bytes = sizeof(address);

    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    return address;
}

static void send_plain(int from, int to, const void *data, size_t bytes)
{
    struct sockaddr_in address = name_of(to);

    assert_int_equal(sendto(from, data, bytes, 0, (struct sockaddr *)&address, sizeof(address)),
                     (ssize_t)bytes);
}

static void every_datagram_is_a_record_with_its_sender(void **state)
{
    struct uct *t = *state;
    struct uct_sink *sink = uct_attach(t, uct_udp(), &datagrams);
    static const uint32_t sizes[] = {1, 0, 100, 1400, 9000, 60000, 0, 3};
    static uint8_t bytes[60000];

    assert_int_equal(uc_fd_recv_start(sink->fd), 0);
    uct_pattern(0, 0, bytes, sizeof(bytes));
    for (uint32_t i = 0; i < 8 * 10; i++) {
        int peer = uct_peer(t, uct_udp());
        struct sockaddr_in sender = name_of(peer);

        send_plain(peer, sink->number, bytes, sizes[i % 8]);
        UCT_UNTIL(t, sink->datagrams == i + 1);
        assert_int_equal(sink->last_bytes, sizes[i % 8]);
        assert_int_equal(sink->address_bytes, sizeof(sender));
        assert_memory_equal(sink->address, &sender, sizeof(sender));
    }
}

/* There and back: as long as IP lets a UDP datagram be. */
static void make_round_trip(struct uct *t, int receiver, int peer, const struct sockaddr *receivers,
                            const struct sockaddr *peers, socklen_t address_bytes, uint32_t count)
{
    struct uct_sink *sink = uct_attach(t, receiver, &datagrams);
    static uint8_t bytes[65536], back[65536];
    ssize_t n = -1;

    uct_pattern(0, 0, bytes, count);
    assert_int_equal(uc_fd_recv_start(sink->fd), 0);
    assert_int_equal(sendto(peer, bytes, count + 1, 0, receivers, address_bytes), -1);
    assert_int_equal(errno, EMSGSIZE);
    assert_int_equal(sendto(peer, bytes, count, 0, receivers, address_bytes), count);
    UCT_UNTIL(t, sink->datagrams);
    assert_int_equal(sink->last_bytes, count);
    assert_int_equal(sink->truncated, 0);
    assert_int_equal(sink->address_bytes, address_bytes);
    assert_true(uc_fd_send_to(sink->fd, bytes, count, peers, address_bytes) > 0);
    UCT_PUMP(t, n = recv(peer, back, sizeof(back), 0), n >= 0);
    assert_int_equal(n, count);
    assert_memory_equal(back, bytes, count);
}

static void the_largest_datagram_of_ipv4_arrives_whole(void **state)
{
    struct uct *t = *state;
    int receiver = uct_udp(), peer = uct_peer(t, uct_udp());
    struct sockaddr_in to = name_of(receiver), from = name_of(peer);

    make_round_trip(t, receiver, peer, (struct sockaddr *)&to, (struct sockaddr *)&from, sizeof(to),
                    65507);
}

static void the_largest_datagram_of_ipv6_arrives_whole(void **state)
{
    struct uct *t = *state;
    struct sockaddr_in6 names[2] = {0};
    socklen_t bytes = sizeof(names[0]);
    int sockets[2];

    for (int i = 0; i < 2; i++) {
        names[i].sin6_family = AF_INET6;
        names[i].sin6_addr = in6addr_loopback;
        sockets[i] = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (sockets[i] < 0 || bind(sockets[i], (struct sockaddr *)&names[i], bytes) < 0) {
            close(sockets[i]);
            skip(); /* no IPv6 here */
        }
        assert_int_equal(getsockname(sockets[i], (struct sockaddr *)&names[i], &bytes), 0);
    }
    uct_peer(t, sockets[1]);
    make_round_trip(t, sockets[0], sockets[1], (struct sockaddr *)&names[0],
                    (struct sockaddr *)&names[1], bytes, 65527);
}

/* A Unix socket carries more than any buffer of the default pool holds. */
static void a_datagram_longer_than_a_buffer_is_marked_as_truncated(void **state)
{
    struct uct *t = *state;
    static uint8_t bytes[100000];
    struct uct_sink *sink;
    uint32_t held;
    int pair[2];

    uct_pattern(0, 0, bytes, sizeof(bytes));
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    uct_peer(t, pair[1]);
    sink = uct_attach(t, pair[0], &datagrams);
    assert_int_equal(uc_fd_recv_start(sink->fd), 0);
    assert_int_equal(send(pair[1], bytes, sizeof(bytes), 0), sizeof(bytes));
    UCT_UNTIL(t, sink->datagrams == 1);
    assert_int_equal(sink->truncated, 1);
    held = sink->last_bytes;
    assert_in_range(held, 65392, sizeof(bytes) - 1);
    assert_int_equal(send(pair[1], bytes, held, 0), held);
    UCT_UNTIL(t, sink->datagrams == 2);
    assert_int_equal(sink->last_bytes, held);
    assert_int_equal(sink->truncated, 1);
}

/* Without deferred task work datagrams arrive before the turn that stops receiving; where receiving
 * waits for readiness they are left in the socket. The thread of SQPOLL may take the cancellation
 * first. */
static void the_mark_stays_with_a_datagram_that_is_kept(void **state)
{
    struct uct *t = *state;
    struct uc_fd_status status = {.size = sizeof(status)};
    static uint8_t bytes[100000];
    struct uct_sink *sink;
    uint32_t kept = 0;
    int pair[2];

    uct_pattern(0, 0, bytes, sizeof(bytes));
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    uct_peer(t, pair[1]);
    sink = uct_attach(t, pair[0], &datagrams);
    for (uint32_t round = 1; round <= 20; round++) {
        assert_int_equal(uc_fd_recv_start(sink->fd), 0);
        uct_turn(t, 0);
        assert_int_equal(send(pair[1], bytes, sizeof(bytes), 0), sizeof(bytes));
        assert_int_equal(send(pair[1], bytes, 5, 0), 5);
        assert_int_equal(uc_fd_recv_stop(sink->fd), 0);
        uct_turn(t, 0);
        assert_int_equal(uc_fd_get_status(sink->fd, &status), 0);
        kept += status.undelivered_bytes > 0;
        assert_int_equal(uc_fd_recv_once(sink->fd, 1), 0);
        UCT_UNTIL(t, sink->datagrams == 2 * round - 1);
        assert_int_equal(sink->truncated, round);
        assert_true(sink->last_bytes > 65000);
        assert_int_equal(uc_fd_recv_once(sink->fd, 1), 0);
        UCT_UNTIL(t, sink->datagrams == 2 * round);
        assert_int_equal(sink->truncated, round);
        assert_int_equal(sink->last_bytes, 5);
    }
    if (!uct_sqpoll_is_forced())
        assert_int_equal(kept > 0, (uct_info(t->ring).features & UC_FEATURE_MULTISHOT_RECV) != 0);
}

static void what_is_queued_is_sent_in_order_each_to_its_address(void **state)
{
    struct uct *t = *state;
    struct uct_sink *sink = uct_attach(t, uct_udp(), &datagrams);
    int peers[2] = {uct_peer(t, uct_udp()), uct_peer(t, uct_udp())};
    uint64_t queued = 0;

    for (uint32_t i = 0; i < 40; i++) {
        struct sockaddr_in to = name_of(peers[i % 2]);
        uint8_t bytes[50];

        memset(bytes, (int)i, sizeof(bytes));
        queued += i;
        assert_int_equal(uc_fd_send_to(sink->fd, i ? bytes : NULL, i, &to, sizeof(to)), queued);
        memset(&to, 0, sizeof(to));
        memset(bytes, 0xff, sizeof(bytes));
    }
    for (uint32_t i = 0; i < 40; i++) {
        uint8_t bytes[100];
        ssize_t n = -1;

        UCT_PUMP(t, n = recv(peers[i % 2], bytes, sizeof(bytes), 0), n >= 0);
        assert_int_equal(n, i);
        for (ssize_t at = 0; at < n; at++)
            assert_int_equal(bytes[at], i);
    }
}

static void a_refused_datagram_is_reported_and_those_behind_it_are_sent(void **state)
{
    struct uct *t = *state;
    struct uct_sink *sink = uct_attach(t, uct_udp(), &datagrams);
    int peer = uct_peer(t, uct_udp());
    struct sockaddr_in to = name_of(peer);
    static uint8_t large[65536];
    uint8_t bytes[10];
    ssize_t n = -1;

    assert_true(uc_fd_send_to(sink->fd, large, sizeof(large), &to, sizeof(to)) > 0);
    assert_true(uc_fd_send_to(sink->fd, "behind", 6, &to, sizeof(to)) > 0);
    UCT_PUMP(t, n = recv(peer, bytes, sizeof(bytes), 0), n >= 0);
    assert_int_equal(n, 6);
    assert_int_equal(sink->failed, 1);
    assert_int_equal(sink->failed_result, -EMSGSIZE);
    assert_true(uc_fd_send_to(sink->fd, "more", 4, &to, sizeof(to)) > 0);
}

static void an_error_of_the_socket_does_not_end_receiving(void **state)
{
    struct uct *t = *state;
    int fd = uct_udp(), gone = uct_udp(), peer = uct_peer(t, uct_udp());
    struct sockaddr_in nobody = name_of(gone), from;
    struct uct_sink *sink;

    close(gone);
    assert_int_equal(connect(fd, (struct sockaddr *)&nobody, sizeof(nobody)), 0);
    sink = uct_attach(t, fd, &datagrams);
    assert_int_equal(uc_fd_recv_start(sink->fd), 0);
    uct_turn(t, 0);
    assert_true(uc_fd_send_to(sink->fd, "x", 1, NULL, 0) > 0);
    UCT_UNTIL(t, sink->datagram_errors);
    assert_int_equal(sink->end_result, -ECONNREFUSED);
    assert_int_equal(sink->ends, 0);
    from = name_of(peer);
    assert_int_equal(connect(fd, (struct sockaddr *)&from, sizeof(from)), 0);
    sink->ignore_bytes = true;
    send_plain(peer, fd, "back", 4);
    UCT_UNTIL(t, sink->datagrams == 1);
}

static void datagrams_that_arrive_after_stop_come_first(void **state)
{
    struct uct *t = *state;
    struct uct_sink *sink = uct_attach(t, uct_udp(), &datagrams);
    int peer = uct_peer(t, uct_udp());
    uint32_t sent = 0;

    sink->ignore_bytes = true;
    assert_int_equal(uc_fd_recv_start(sink->fd), 0);
    uct_turn(t, 0);
    for (int round = 0; round < 60; round++) {
        uint32_t before = sink->datagrams;

        for (int i = 0; i < 3; i++, sent++)
            send_plain(peer, sink->number, &sent, sizeof(sent));
        assert_int_equal(uc_fd_recv_stop(sink->fd), 0);
        sink->stopped = true;
        uct_turn(t, 0);
        uct_turn(t, 0);
        assert_int_equal(sink->datagrams, before);
        sink->stopped = false;
        if (round % 3 == 2) {
            while (sink->datagrams < sent) {
                before = sink->datagrams;
                assert_int_equal(uc_fd_recv_once(sink->fd, 65536), 0);
                UCT_UNTIL(t, sink->datagrams > before);
                assert_int_equal(sink->datagrams, before + 1);
                assert_memory_equal(sink->last, &before, sizeof(before));
            }
        }
        assert_int_equal(uc_fd_recv_start(sink->fd), 0);
        if (round % 2)
            UCT_UNTIL(t, sink->datagrams == sent);
    }
    UCT_UNTIL(t, sink->datagrams == sent);
}

static void boundaries_and_limits_are_checked(void **state)
{
    struct uct *t = *state;
    struct uct_sink *sink = uct_attach(t, uct_udp(), &datagrams);
    struct uct_link link = uct_link(t, NULL, 0);
    struct sockaddr_in to = name_of(sink->number);
    static uint8_t bytes[65537];

    assert_int_equal(uc_fd_send(sink->fd, "x", 1, 0), -EINVAL);
    assert_int_equal(uc_fd_shutdown(sink->fd), -EINVAL);
    assert_int_equal(uc_fd_send_to(link.sink->fd, "x", 1, NULL, 0), -EINVAL);
    assert_int_equal(uc_fd_send_to(sink->fd, NULL, 1, &to, sizeof(to)), -EINVAL);
    assert_int_equal(uc_fd_send_to(sink->fd, bytes, sizeof(bytes), &to, sizeof(to)), -EINVAL);
    assert_int_equal(uc_fd_send_to(sink->fd, "x", 1, &to, 0), -EINVAL);
    assert_int_equal(uc_fd_send_to(sink->fd, "x", 1, NULL, sizeof(to)), -EINVAL);
    assert_int_equal(uc_fd_send_to(sink->fd, "x", 1, bytes, UC_DATAGRAM_ADDRESS_BYTES + 1),
                     -EINVAL);
}

static void a_flood_larger_than_the_pool_is_received_as_far_as_the_socket_kept_it(void **state)
{
    struct uct *t = *state;
    struct uct_sink *sink = uct_attach(t, uct_udp(), &datagrams);
    int peer = uct_peer(t, uct_udp());

    sink->ignore_bytes = true;
    assert_int_equal(uc_fd_recv_start(sink->fd), 0);
    uct_turn(t, 0);
    for (uint32_t i = 0; i < 100; i++)
        send_plain(peer, sink->number, &i, sizeof(i));
    UCT_UNTIL(t, sink->datagrams == 100);
}

/* Two Unix sockets; the receiver has a name that the kernel chose. */
struct nearby {
    struct uct_sink *sender;
    int receiver;
    struct sockaddr_un name;
    socklen_t name_bytes;
};

static int unix_socket(void)
{
    return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static struct nearby nearby(struct uct *t)
{
    const struct sockaddr_un nameless = {.sun_family = AF_UNIX};
    struct nearby n = {.name_bytes = sizeof(n.name)};

    n.sender = uct_attach(t, unix_socket(), &datagrams);
    n.receiver = uct_peer(t, unix_socket());
    assert_int_equal(bind(n.receiver, (const struct sockaddr *)&nameless, sizeof(sa_family_t)), 0);
    assert_int_equal(getsockname(n.receiver, (struct sockaddr *)&n.name, &n.name_bytes), 0);
    return n;
}

/* The sender's own room says nothing of the receiver's. */
static void a_datagram_to_a_full_unix_socket_waits_until_it_has_room(void **state)
{
    struct uct *t = *state;
    struct nearby n = nearby(t);
    int other = uct_peer(t, unix_socket());
    uint64_t entries;
    char what = 0;

    while (sendto(other, "o", 1, 0, (struct sockaddr *)&n.name, n.name_bytes) == 1)
        ;
    assert_true(uc_fd_send_to(n.sender->fd, "m", 1, &n.name, n.name_bytes) > 0);
    entries = uct_stats(t).kernel_entries;
    uct_turn(t, 50000000);
    assert_in_range(uct_stats(t).kernel_entries - entries, 1, 500);
    while (recv(n.receiver, &what, 1, 0) == 1)
        assert_int_equal(what, 'o');
    UCT_PUMP(t, (void)(recv(n.receiver, &what, 1, 0) + 1), what == 'm');
    assert_int_equal(n.sender->failed, 0);
}

static void no_datagram_is_lost_at_a_unix_socket_that_is_full_again_and_again(void **state)
{
    struct uct *t = *state;
    struct nearby n = nearby(t);
    uint32_t number, received = 0;

    for (uint32_t i = 0; i < 1000; i++)
        assert_true(uc_fd_send_to(n.sender->fd, &i, sizeof(i), &n.name, n.name_bytes) > 0);
    UCT_PUMP(
        t,
        while (recv(n.receiver, &number, sizeof(number), 0) == sizeof(number)) {
            assert_int_equal(number, received);
            received++;
        },
        received == 1000);
    assert_int_equal(n.sender->failed, 0);
}

int main(void)
{
    static const struct uct_options tiny = {
        .pool = {.buffer_bytes = 4096, .buffer_count = 1, .buffer_max = 1},
    };
    const struct CMUnitTest tests[] = {
        UCT_EVERYWHERE(every_datagram_is_a_record_with_its_sender),
        UCT_EVERYWHERE(the_largest_datagram_of_ipv4_arrives_whole),
        UCT_EVERYWHERE(the_largest_datagram_of_ipv6_arrives_whole),
        UCT_EVERYWHERE(a_datagram_longer_than_a_buffer_is_marked_as_truncated),
        UCT_WITH(the_mark_stays_with_a_datagram_that_is_kept, "multishot", &no_defer),
        UCT_WITH(the_mark_stays_with_a_datagram_that_is_kept, "one at a time", &nothing_new),
        UCT(what_is_queued_is_sent_in_order_each_to_its_address),
        UCT(a_refused_datagram_is_reported_and_those_behind_it_are_sent),
        UCT_EVERYWHERE(an_error_of_the_socket_does_not_end_receiving),
        UCT_EVERYWHERE(datagrams_that_arrive_after_stop_come_first),
        UCT(boundaries_and_limits_are_checked),
        UCT(a_datagram_to_a_full_unix_socket_waits_until_it_has_room),
        UCT(no_datagram_is_lost_at_a_unix_socket_that_is_full_again_and_again),
        UCT_EVERYWHERE(a_flood_larger_than_the_pool_is_received_as_far_as_the_socket_kept_it),
        UCT_WITH(a_flood_larger_than_the_pool_is_received_as_far_as_the_socket_kept_it,
                 "with one buffer", &tiny),
    };

    return UCT_RUN("datagram", tests);
}
