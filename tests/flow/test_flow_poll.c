/* Waiting for readiness. */
#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

static struct uct_sink *pipe_end(struct uct *t, int *ret_writer)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    *ret_writer = uct_peer(t, ends[1]);
    return uct_attach(t, ends[0], NULL);
}

static void readiness_is_reported_once(void **state)
{
    struct uct *t = *state;
    int writer;
    struct uct_sink *sink = pipe_end(t, &writer);

    assert_int_equal(uc_fd_poll(sink->fd, POLLIN), 0);
    uct_turn(t, 0);
    assert_int_equal(sink->polls, 0);
    assert_int_equal(write(writer, "x", 1), 1);
    UCT_UNTIL(t, sink->polls);
    assert_int_equal(sink->poll_result, POLLIN);
    for (int turn = 0; turn < 5; turn++)
        uct_turn(t, 0);
    assert_int_equal(sink->polls, 1);
    assert_int_equal(uc_fd_poll(sink->fd, POLLIN), 0);
    UCT_UNTIL(t, sink->polls == 2);
}

static void a_hang_up_is_reported_whatever_was_asked(void **state)
{
    struct uct *t = *state;
    int writer;
    struct uct_sink *sink = pipe_end(t, &writer);

    assert_int_equal(uc_fd_poll(sink->fd, POLLIN), 0);
    uct_turn(t, 0);
    uct_peer_close(t, writer);
    UCT_UNTIL(t, sink->polls);
    assert_true(sink->poll_result & POLLHUP);
}

static void the_new_mask_replaces_the_old_one(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0;

    assert_int_equal(uc_fd_poll(link.sink->fd, POLLIN), 0);
    uct_turn(t, 0);
    assert_int_equal(uc_fd_poll(link.sink->fd, POLLOUT), 0);
    UCT_UNTIL(t, link.sink->polls);
    assert_int_equal(link.sink->poll_result, POLLOUT);

    /* Ready for the old mask already, when the new one is asked for. */
    assert_int_equal(uc_fd_poll(link.sink->fd, POLLOUT | POLLIN), 0);
    assert_int_equal(uc_fd_poll(link.sink->fd, POLLIN), 0);
    for (int turn = 0; turn < 5; turn++)
        uct_turn(t, 0);
    assert_int_equal(link.sink->polls, 1);
    uct_write_all(link.peer, 0, &sent, 1);
    UCT_UNTIL(t, link.sink->polls == 2);
    assert_int_equal(link.sink->poll_result, POLLIN);
}

static void no_record_comes_after_poll_stop(void **state)
{
    struct uct *t = *state;
    int writer;
    struct uct_sink *sink = pipe_end(t, &writer);
    char byte;

    assert_int_equal(uc_fd_poll_stop(sink->fd), -EALREADY);
    for (int round = 0; round < 50; round++) {
        assert_int_equal(uc_fd_poll(sink->fd, POLLIN), 0);
        if (round % 2)
            uct_turn(t, 0);
        assert_int_equal(write(writer, "x", 1), 1);
        assert_int_equal(uc_fd_poll_stop(sink->fd), 0);
        assert_int_equal(uc_fd_poll_stop(sink->fd), -EALREADY);
        for (int turn = 0; turn < 3; turn++)
            uct_turn(t, 0);
        assert_int_equal(sink->polls, 0);
        assert_int_equal(read(sink->number, &byte, 1), 1);
    }
}

static void polls_and_receives_of_one_descriptor_do_not_mix(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 4096);
    uint64_t sent = 0;

    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    for (uint32_t i = 1; i <= 100; i++) {
        assert_int_equal(uc_fd_poll(link.sink->fd, POLLOUT), 0);
        uct_write_all(link.peer, 0, &sent, 100);
        UCT_UNTIL(t, link.sink->polls == i && link.sink->received == sent);
    }
}

static void a_poll_is_called_off_by_close(void **state)
{
    struct uct *t = *state;

    for (int i = 0; i < 100; i++) {
        int writer;
        struct uct_sink *sink = pipe_end(t, &writer);

        assert_int_equal(uc_fd_poll(sink->fd, POLLIN), 0);
        if (i % 2)
            uct_turn(t, 0);
        if (i % 3)
            assert_int_equal(write(writer, "x", 1), 1);
        assert_int_equal(uc_fd_close(sink->fd, 0), 0);
        UCT_UNTIL(t, sink->closed);
        assert_int_equal(sink->polls, 0);
    }
}

static void bad_masks_and_states_are_refused(void **state)
{
    struct uct *t = *state;
    int writer;
    struct uct_sink *sink = pipe_end(t, &writer);

    assert_int_equal(uc_fd_poll(sink->fd, 0), -EINVAL);
    assert_int_equal(uc_fd_set_credit(sink->fd, 1, 1), 0);
    assert_int_equal(uc_fd_poll(sink->fd, POLLIN), 0);
    uct_turn(t, 0);
    assert_int_equal(uc_fd_poll(sink->fd, POLLIN | POLLPRI), 0);
    uct_turn(t, 0);
    assert_int_equal(uc_fd_poll_stop(sink->fd), 0);
}

/* A file is always ready for reading and writing, and never for anything else. */
static void what_a_file_can_never_be_ready_for_is_an_error(void **state)
{
    struct uct *t = *state;
    struct uct_sink *sink = uct_attach(t, memfd_create("poll", MFD_CLOEXEC), NULL);

    assert_int_equal(uc_fd_poll(sink->fd, POLLIN), 0);
    UCT_UNTIL(t, sink->polls == 1);
    assert_int_equal(sink->poll_result, POLLIN);
    assert_int_equal(uc_fd_poll(sink->fd, POLLPRI), 0);
    UCT_UNTIL(t, sink->polls == 2);
    assert_int_equal(sink->poll_result, -EINVAL);
}

static void a_poll_for_nothing_but_errors_waits_for_them(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);

    assert_int_equal(uc_fd_poll(link.sink->fd, POLLERR), 0);
    uct_turn(t, 0);
    assert_int_equal(link.sink->polls, 0);
    uct_reset(t, link.peer);
    UCT_UNTIL(t, link.sink->polls == 1);
    assert_true(link.sink->poll_result & POLLERR);
}

static void a_poll_leaves_what_else_waits_alone(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0;

    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    uct_turn(t, 0);
    for (uint32_t bit = 28; bit < 32; bit++) {
        assert_int_equal(uc_fd_poll(link.sink->fd, POLLRDHUP | UINT32_C(1) << bit), 0);
        for (uint32_t i = 0; i < 3; i++) {
            uct_write_all(link.peer, 0, &sent, 10);
            UCT_UNTIL(t, link.sink->received == sent);
        }
    }
    assert_int_equal(shutdown(link.peer, SHUT_WR), 0);
    UCT_UNTIL(t, link.sink->polls && link.sink->ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UCT(readiness_is_reported_once),
        UCT(a_hang_up_is_reported_whatever_was_asked),
        UCT(the_new_mask_replaces_the_old_one),
        UCT(no_record_comes_after_poll_stop),
        UCT(polls_and_receives_of_one_descriptor_do_not_mix),
        UCT(a_poll_is_called_off_by_close),
        UCT(bad_masks_and_states_are_refused),
        UCT(what_a_file_can_never_be_ready_for_is_an_error),
        UCT(a_poll_for_nothing_but_errors_waits_for_them),
        UCT(a_poll_leaves_what_else_waits_alone),
    };

    return UCT_RUN("poll", tests);
}
