/* Connecting. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "support.h"

static struct sockaddr_in local(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

static struct uct_sink *fresh(struct uct *t, int more_flags)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | more_flags, 0);

    assert_true(fd >= 0);
    return uct_attach(t, fd, NULL);
}

static void a_connect_is_reported_and_the_connection_works(void **state)
{
    struct uct *t = *state;

    for (int round = 0; round < 50; round++) {
        int listener = uct_listen(0, 1, 0), peer;
        struct sockaddr_in address = local(uct_port(listener));
        struct uct_sink *sink = fresh(t, round % 2 ? SOCK_NONBLOCK : 0);
        uint64_t sent = 0;

        assert_int_equal(uc_fd_connect(sink->fd, &address, sizeof(address)), 0);
        assert_int_equal(uc_fd_connect(sink->fd, &address, sizeof(address)), -EBUSY);
        memset(&address, 0, sizeof(address)); /* it was copied */
        UCT_UNTIL(t, sink->connects);
        assert_int_equal(sink->connect_result, 0);
        peer = uct_peer(t, accept(listener, NULL, NULL));
        close(listener);
        assert_int_equal(uc_fd_recv_start(sink->fd), 0);
        uct_write_all(peer, 0, &sent, 1000);
        UCT_UNTIL(t, sink->received == sent);
        assert_int_equal(uc_fd_send(sink->fd, (uint8_t[]){1}, 1, 0), 1);
        uct_turn(t, 0);
    }
}

static void a_refused_connect_is_reported(void **state)
{
    struct uct *t = *state;
    int listener = uct_listen(0, 1, 0);
    struct sockaddr_in address = local(uct_port(listener));
    struct uct_sink *sink = fresh(t, SOCK_NONBLOCK);

    close(listener);
    assert_int_equal(uc_fd_connect(sink->fd, &address, sizeof(address)), 0);
    UCT_UNTIL(t, sink->connects);
    assert_int_equal(sink->connect_result, -ECONNREFUSED);
}

static void what_is_queued_before_the_connect_ends_waits_for_it(void **state)
{
    struct uct *t = *state;
    int listener = uct_listen(0, 1, 0), peer;
    struct sockaddr_in address = local(uct_port(listener));
    struct uct_sink *sink = fresh(t, SOCK_NONBLOCK);
    uint64_t seen = 0;
    uint8_t bytes[5000];

    uct_pattern(1, 0, bytes, sizeof(bytes));
    assert_int_equal(uc_fd_connect(sink->fd, &address, sizeof(address)), 0);
    assert_int_equal(uc_fd_send(sink->fd, bytes, sizeof(bytes), 0), sizeof(bytes));
    assert_int_equal(uc_fd_shutdown(sink->fd), 0);
    UCT_UNTIL(t, sink->shutdowns);
    assert_int_equal(sink->connects, 1);
    assert_int_equal(sink->connect_result, 0);
    assert_int_equal(sink->failed, 0);
    peer = uct_peer(t, accept(listener, NULL, NULL));
    close(listener);
    assert_false(uct_read_some(peer, 1, &seen));
    assert_int_equal(seen, sizeof(bytes));
}

/* A listener whose queue is full answers no one: the connect stays in flight. */
static void a_connect_in_flight_can_be_given_up(void **state)
{
    struct uct *t = *state;
    int listener = uct_peer(t, uct_listen(0, 0, 0));
    struct sockaddr_in address = local(uct_port(listener));
    struct uct_sink *sinks[6];

    for (int i = 0; i < 6; i++) {
        sinks[i] = fresh(t, SOCK_NONBLOCK);
        assert_int_equal(uc_fd_connect(sinks[i]->fd, &address, sizeof(address)), 0);
    }
    uct_turn(t, 0);
    assert_true(uct_stats(t).in_flight > 0);
    for (int i = 0; i < 6; i++)
        assert_int_equal(uc_fd_close(sinks[i]->fd, i % 2 ? UC_CLOSE_ABORT : 0), 0);
    for (int i = 0; i < 6; i++)
        UCT_UNTIL(t, sinks[i]->closed);
    assert_int_equal(uct_stats(t).in_flight, 0);
}

static void addresses_of_every_family_are_taken(void **state)
{
    struct uct *t = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = uct_peer(t, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    socklen_t bytes = sizeof(address);
    struct uct_sink *sink;

    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &bytes), 0);
    sink = uct_attach(t, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), NULL);
    assert_int_equal(uc_fd_connect(sink->fd, &address, bytes), 0);
    UCT_UNTIL(t, sink->connects);
    assert_int_equal(sink->connect_result, 0);
}

static void bad_addresses_are_refused(void **state)
{
    struct uct *t = *state;
    struct uct_sink *sink = fresh(t, 0);
    uint8_t address[200] = {0xff, 0xff};

    assert_int_equal(uc_fd_connect(sink->fd, NULL, 16), -EINVAL);
    assert_int_equal(uc_fd_connect(sink->fd, address, 0), -EINVAL);
    assert_int_equal(uc_fd_connect(sink->fd, address, UC_DATAGRAM_ADDRESS_BYTES + 1), -EINVAL);
    assert_int_equal(uc_fd_connect(sink->fd, address, UC_DATAGRAM_ADDRESS_BYTES), 0);
    UCT_UNTIL(t, sink->connects);
    assert_true(sink->connect_result < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UCT(a_connect_is_reported_and_the_connection_works),
        UCT(a_refused_connect_is_reported),
        UCT(what_is_queued_before_the_connect_ends_waits_for_it),
        UCT(a_connect_in_flight_can_be_given_up),
        UCT(addresses_of_every_family_are_taken),
        UCT(bad_addresses_are_refused),
    };

    return UCT_RUN("connect", tests);
}
