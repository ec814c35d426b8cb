/* How many buffers the kernel has to choose from: see flow/provide.c. */
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "masks.h"

static const struct uc_fd_options datagrams = {.size = sizeof(datagrams), .flags = UC_FD_DATAGRAM};

static struct uc_pool_stats pool_stats(struct uct *t)
{
    struct uc_pool_stats stats = {.size = sizeof(stats)};

    assert_int_equal(uc_pool_get_stats(t->pool, &stats), 0);
    return stats;
}

static void skip_where_libuc_chooses(struct uct *t)
{
    uint64_t needed = UC_FEATURE_BUFFER_RING | UC_FEATURE_MULTISHOT_RECV;

    if ((uct_info(t->ring).features & needed) != needed)
        skip();
}

static void a_burst_of_datagrams(struct uct *t, struct uct_sink *sink, int peer)
{
    struct sockaddr_in address;
    socklen_t bytes = sizeof(address);
    uint32_t before = sink->datagrams;
    uint8_t message;

    assert_int_equal(getsockname(sink->number, (struct sockaddr *)&address, &bytes), 0);
    uct_pattern(0, 0, &message, 1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(sendto(peer, &message, 1, 0, (struct sockaddr *)&address, bytes), 1);
    UCT_UNTIL(t, sink->datagrams == before + 100);
}

static void bursts_of_small_messages_soon_find_buffers_enough(void **state)
{
    struct uct *t = *state;
    struct uct_sink *sink = uct_attach(t, uct_udp(), &datagrams);
    int peer = uct_peer(t, uct_udp());
    uint64_t ran_out;

    skip_where_libuc_chooses(t);
    assert_int_equal(uc_fd_recv_start(sink->fd), 0);
    uct_turn(t, 0);
    a_burst_of_datagrams(t, sink, peer);
    ran_out = uct_stats(t).no_buffers;
    assert_true(ran_out > 0);
    for (int i = 0; i < 10; i++)
        a_burst_of_datagrams(t, sink, peer);
    ran_out = uct_stats(t).no_buffers;
    for (int i = 0; i < 10; i++)
        a_burst_of_datagrams(t, sink, peer);
    assert_int_equal(uct_stats(t).no_buffers, ran_out);
}

static void idle_connections_share_few_buffers(void **state)
{
    enum {
        COUNT = 100
    };
    struct uct *t = *state;
    struct uct_link links[COUNT];
    uint64_t sent[COUNT] = {0};

    skip_where_libuc_chooses(t);
    for (int i = 0; i < COUNT; i++) {
        links[i] = uct_link(t, NULL, 0);
        links[i].sink->seed = (uint64_t)i;
        assert_int_equal(uc_fd_recv_start(links[i].sink->fd), 0);
    }
    for (int i = 0; i < COUNT; i++) {
        uct_write_all(links[i].peer, (uint64_t)i, &sent[i], 1);
        UCT_UNTIL(t, links[i].sink->received == 1);
    }
    uct_turn(t, 0);
    assert_int_equal(pool_stats(t).in_flight, 64);
}

static void receive_bulk(struct uct *t, struct uct_link link, uint64_t bytes)
{
    uint64_t sent = 0;

    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    uct_turn(t, 0);
    while (link.sink->received < bytes) {
        uct_write_some(link.peer, 0, &sent, bytes);
        uct_turn(t, 0);
    }
    uct_turn(t, 0);
}

static void bulk_goes_through_few_buffers(void **state)
{
    struct uct *t = *state;

    skip_where_libuc_chooses(t);
    receive_bulk(t, uct_link(t, NULL, 4 << 20), 16 << 20);
    assert_int_equal(pool_stats(t).in_flight, 9);
}

static void after_bursts_of_small_messages_too(void **state)
{
    struct uct *t = *state;
    struct uct_sink *sink = uct_attach(t, uct_udp(), &datagrams);
    int peer = uct_peer(t, uct_udp());

    skip_where_libuc_chooses(t);
    assert_int_equal(uc_fd_recv_start(sink->fd), 0);
    uct_turn(t, 0);
    for (int i = 0; i < 10; i++)
        a_burst_of_datagrams(t, sink, peer);
    uct_turn(t, 0);
    assert_true(pool_stats(t).in_flight > 50);
    receive_bulk(t, uct_link(t, NULL, 4 << 20), 64 << 20);
    assert_int_equal(pool_stats(t).in_flight, 10);
}

/* That a few receives find no buffer is cheaper than more buffers; that most do is not. */
static void receives_in_vain_stay_in_proportion(void **state)
{
    enum {
        COUNT = 1000,
        BYTES = 40000
    };
    struct uct *t = *state;
    static struct uct_link links[COUNT];
    uint64_t sent[COUNT] = {0}, before;

    skip_where_libuc_chooses(t);
    for (int i = 0; i < COUNT; i++) {
        links[i] = uct_link(t, NULL, 0);
        uct_write_all(links[i].peer, 0, &sent[i], BYTES);
    }
    before = uct_stats(t).no_buffers;
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(uc_fd_recv_start(links[i].sink->fd), 0);
    for (int i = 0; i < COUNT; i++)
        UCT_UNTIL(t, links[i].sink->received == BYTES);
    assert_true(uct_stats(t).no_buffers - before <= 5 * COUNT);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        UCT(bursts_of_small_messages_soon_find_buffers_enough),
        UCT(idle_connections_share_few_buffers),
        UCT(bulk_goes_through_few_buffers),
        UCT(after_bursts_of_small_messages_too),
        UCT(receives_in_vain_stay_in_proportion),
    };

    return UCT_RUN_ON_URING("flow_provide", tests);
}
