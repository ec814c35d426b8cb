/* Accepting connections. */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "masks.h"

static struct uct_sink *listen_here(struct uct *t, uint16_t *ret_port)
{
    int fd = uct_listen(0, 512, 0);

    assert_true(fd >= 0);
    *ret_port = uct_port(fd);
    return uct_attach(t, fd, NULL);
}

static void connections_are_accepted(void **state)
{
    struct uct *t = *state;
    uint16_t port;
    struct uct_sink *listener = listen_here(t, &port);

    assert_int_equal(uc_fd_accept_start(listener->fd), 0);
    for (uint32_t i = 1; i <= 100; i++) {
        uct_peer(t, uct_connect(port, 0));
        UCT_UNTIL(t, listener->accepts == i);
    }
    for (uint32_t i = 0; i < t->accepted_count; i++) {
        assert_true(fcntl(t->accepted[i], F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(t->accepted[i], F_GETFL) & O_NONBLOCK);
    }
}

static void a_nonblocking_listener_works_as_well(void **state)
{
    struct uct *t = *state;
    uint16_t port;
    struct uct_sink *listener = listen_here(t, &port);
    struct uc_ring_stats before, after;

    assert_int_equal(fcntl(listener->number, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(uc_fd_accept_start(listener->fd), 0);
    before = uct_stats(t);
    uct_turn(t, 20000000);
    after = uct_stats(t);
    assert_true(after.kernel_entries - before.kernel_entries <= 3);
    uct_peer(t, uct_connect(port, 0));
    UCT_UNTIL(t, listener->accepts == 1);
}

static void connections_that_wait_are_accepted_at_once(void **state)
{
    struct uct *t = *state;
    uint16_t port;
    struct uct_sink *listener = listen_here(t, &port);

    for (int i = 0; i < 300; i++)
        uct_peer(t, uct_connect(port, 0));
    assert_int_equal(uc_fd_accept_start(listener->fd), 0);
    UCT_UNTIL(t, listener->accepts == 300);
}

static void what_was_accepted_after_stop_comes_first_at_the_next_start(void **state)
{
    struct uct *t = *state;
    uint16_t port;
    struct uct_sink *listener = listen_here(t, &port);
    uint32_t made = 0;

    assert_int_equal(uc_fd_accept_start(listener->fd), 0);
    uct_turn(t, 0);
    for (int round = 0; round < 100; round++) {
        uint32_t before;

        uct_peer(t, uct_connect(port, 0));
        uct_peer(t, uct_connect(port, 0));
        made += 2;
        assert_int_equal(uc_fd_recv_stop(listener->fd), 0);
        listener->stopped = true;
        before = listener->accepts;
        uct_turn(t, 0);
        uct_turn(t, 0);
        assert_int_equal(listener->accepts, before);
        assert_int_equal(uc_fd_accept_start(listener->fd), 0);
        listener->stopped = false;
        if (round % 2)
            UCT_UNTIL(t, listener->accepts == made);
    }
    UCT_UNTIL(t, listener->accepts == made);
}

/* Tear-down sees whether a descriptor was left open. */
static void what_was_accepted_after_stop_is_closed_with_the_listener(void **state)
{
    struct uct *t = *state;

    for (int round = 0; round < 30; round++) {
        uint16_t port;
        struct uct_sink *listener = listen_here(t, &port);

        assert_int_equal(uc_fd_accept_start(listener->fd), 0);
        uct_turn(t, 0);
        uct_peer(t, uct_connect(port, 0));
        if (round % 2)
            assert_int_equal(uc_fd_recv_stop(listener->fd), 0);
        if (round % 3)
            uct_close_now(t, listener);
        else
            assert_int_equal(uc_fd_close(listener->fd, UC_CLOSE_ABORT | UC_CLOSE_NOW), 0);
    }
}

static void emfile_is_reported_and_accepting_can_start_again(void **state)
{
    struct uct *t = *state;
    uint16_t port;
    struct uct_sink *listener = listen_here(t, &port);
    struct rlimit before, low;

    for (int i = 0; i < 4; i++)
        uct_peer(t, uct_connect(port, 0));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    for (int hole = dup(0); hole >= 0; hole = dup(0))
        uct_peer(t, hole);
    assert_int_equal(uc_fd_accept_start(listener->fd), 0);
    for (int turn = 0; turn < 20 && !listener->ends; turn++)
        uct_turn(t, 100000000);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(listener->ends, 1);
    assert_int_equal(listener->accept_result, -EMFILE);
    assert_true(listener->end_flags & UC_EVENT_ENDED);
    assert_int_equal(uc_fd_accept_start(listener->fd), 0);
    UCT_UNTIL(t, listener->accepts == 4);
    assert_int_equal(listener->ends, 1);
}

static void what_does_not_listen_ends_with_an_error(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);

    assert_int_equal(uc_fd_accept_start(link.sink->fd), 0);
    UCT_UNTIL(t, link.sink->ends);
    assert_int_equal(link.sink->accept_result, -EINVAL);
}

static void accepting_twice_is_refused(void **state)
{
    struct uct *t = *state;
    uint16_t port;
    struct uct_sink *listener = listen_here(t, &port);

    assert_int_equal(uc_fd_accept_start(listener->fd), 0);
    assert_int_equal(uc_fd_accept_start(listener->fd), -EALREADY);
    assert_int_equal(uc_fd_recv_start(listener->fd), -EBUSY);
    assert_int_equal(uc_fd_recv_stop(listener->fd), 0);
    assert_int_equal(uc_fd_recv_stop(listener->fd), -EALREADY);
}

static void one_record_at_a_time_loses_no_connection(void **state)
{
    struct uct *t = *state;
    uint16_t port;
    struct uct_sink *listener = listen_here(t, &port);

    t->max_events = 1;
    assert_int_equal(uc_fd_accept_start(listener->fd), 0);
    for (int i = 0; i < 200; i++)
        uct_peer(t, uct_connect(port, 0));
    UCT_UNTIL(t, listener->accepts == 200);
}

/* Two rings stand for two processes that have inherited one listening socket. */
static void who_shares_a_listening_socket_gets_a_share_of_the_connections(void **state)
{
    const struct uc_fd_options shared = {.size = sizeof(shared), .flags = UC_FD_SHARED};
    int number = uct_listen(0, 512, 0);
    uint16_t port = uct_port(number);
    struct uct *both[2] = {*state, uct_open(NULL)};
    struct uct_sink *listeners[2];

    for (int i = 0; i < 2; i++) {
        listeners[i] = uct_attach(both[i], i ? dup(number) : number, &shared);
        assert_int_equal(uc_fd_accept_start(listeners[i]->fd), 0);
        uct_turn(both[i], 0);
    }
    for (uint32_t made = 1; made <= 100; made++) {
        uct_peer(both[0], uct_connect(port, 0));
        for (uint32_t turn = 0; listeners[0]->accepts + listeners[1]->accepts < made; turn++)
            uct_turn(both[(made + turn) % 2], 1000000);
        for (int i = 0; i < 2; i++)
            uct_turn(both[i], 0); /* both wait again */
    }
    assert_in_range(listeners[0]->accepts, 25, 75);
    both[1]->fds_before += (int)(both[0]->peer_count + both[0]->accepted_count); /* the other's */
    assert_true(uct_close(both[1]));
}

/* One that comes alone costs no system call more; of a burst the rest is taken along. */
static void a_burst_at_a_shared_socket_takes_few_turns(void **state)
{
    const struct uc_fd_options shared = {.size = sizeof(shared), .flags = UC_FD_SHARED};
    struct uct *t = *state;
    int number = uct_listen(0, 512, 0);
    struct uct_sink *listener;
    int turns = 0;

    assert_int_equal(fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK), 0);
    listener = uct_attach(t, number, &shared);
    for (int i = 0; i < 100; i++)
        uct_peer(t, uct_connect(uct_port(number), 0));
    assert_int_equal(uc_fd_accept_start(listener->fd), 0);
    for (; listener->accepts < 100 && turns < 100; turns++)
        uct_turn(t, 100000000);
    assert_int_equal(listener->accepts, 100);
    assert_in_range(turns, 1, 10);
}

/* What may block is asked through the ring only. */
static void a_shared_socket_that_blocks_is_never_waited_for(void **state)
{
    const struct uc_fd_options shared = {.size = sizeof(shared), .flags = UC_FD_SHARED};
    struct uct *t = *state;
    int number = uct_listen(0, 512, 0);
    struct uct_sink *listener = uct_attach(t, number, &shared);

    assert_int_equal(fcntl(number, F_SETFL, fcntl(number, F_GETFL) & ~O_NONBLOCK), 0);
    for (int i = 0; i < 3; i++)
        uct_peer(t, uct_connect(uct_port(number), 0));
    assert_int_equal(uc_fd_accept_start(listener->fd), 0);
    UCT_UNTIL(t, listener->accepts == 3);
    for (int i = 0; i < 3; i++)
        uct_turn(t, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UCT_EVERYWHERE(connections_are_accepted),
        UCT_EVERYWHERE(a_nonblocking_listener_works_as_well),
        UCT_EVERYWHERE(connections_that_wait_are_accepted_at_once),
        UCT_EVERYWHERE(what_was_accepted_after_stop_comes_first_at_the_next_start),
        UCT_EVERYWHERE(what_was_accepted_after_stop_is_closed_with_the_listener),
        UCT_EVERYWHERE(emfile_is_reported_and_accepting_can_start_again),
        UCT_EVERYWHERE(what_does_not_listen_ends_with_an_error),
        UCT_EVERYWHERE(accepting_twice_is_refused),
        UCT_EVERYWHERE(one_record_at_a_time_loses_no_connection),
        UCT_EVERYWHERE(who_shares_a_listening_socket_gets_a_share_of_the_connections),
        UCT_EVERYWHERE(a_burst_at_a_shared_socket_takes_few_turns),
        UCT_EVERYWHERE(a_shared_socket_that_blocks_is_never_waited_for),
    };

    return UCT_RUN("accept", tests);
}
