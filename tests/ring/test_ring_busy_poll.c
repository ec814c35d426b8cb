/* Waits that look for completions before they sleep. */
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

static const struct uct_options busily = {.ring.backend = UC_BACKEND_URING,
                                          .ring.busy_poll_us = 1000};
static const struct uct_options in_vain = {.ring.backend = UC_BACKEND_URING,
                                           .ring.busy_poll_us = 20};

static void nobody_looks_unless_asked_to(void **state)
{
    struct uct *t = *state;

    for (int i = 0; i < 20; i++)
        uct_turn(t, 1000);
    assert_int_equal(uct_stats(t).busy_polls, 0);
}

static void what_comes_is_found_without_sleeping(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t one_entry_each = UC_FEATURE_BUFFER_RING | UC_FEATURE_MULTISHOT_RECV;
    uint64_t sent = 0, entries;

    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    uct_turn(t, 0);
    entries = uct_stats(t).kernel_entries;
    for (uint64_t i = 1; i <= 10; i++) {
        uct_write_all(link.peer, 0, &sent, 10);
        uct_turn(t, -1);
        assert_int_equal(link.sink->received, 10 * i);
    }
    if ((uct_info(t->ring).features & one_entry_each) == one_entry_each)
        assert_true(uct_stats(t).kernel_entries - entries <= 10);
    assert_int_equal(uct_stats(t).busy_poll_hits, uct_stats(t).busy_polls);
}

static void what_is_queued_leaves_before_looking(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    char byte;

    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    assert_int_equal(uc_fd_send(link.sink->fd, "x", 1, 0), 1);
    uct_turn(t, 1);
    assert_int_equal(recv(link.peer, &byte, 1, 0), 1);
}

static void waits_in_vain_soon_stop_looking(void **state)
{
    struct uct *t = *state;

    for (int i = 0; i < 200; i++)
        uct_turn(t, 50000);
    assert_in_range(uct_stats(t).busy_polls, 1, 6);
}

static void the_end_of_a_send_is_no_luck(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0, before;

    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    for (uint64_t i = 1; i <= 20; i++) {
        uct_write_all(link.peer, 0, &sent, 1);
        uct_turn(t, -1);
        assert_int_equal(link.sink->received, i);
    }
    before = uct_stats(t).busy_polls;
    for (int i = 0; i < 100; i++) {
        assert_true(uc_fd_send(link.sink->fd, "x", 1, 0) > 0);
        uct_turn(t, 50000);
    }
    assert_in_range(uct_stats(t).busy_polls - before, 1, 16);
}

static void a_wait_lasts_as_long_as_it_was_asked_to(void **state)
{
    struct uct *t = *state;
    uint64_t begin = uct_now_ms();

    for (int i = 0; i < 4; i++)
        assert_int_equal(uct_turn(t, 5000000), 0);
    assert_true(uct_now_ms() - begin >= 19);
    begin = uct_now_ms();
    assert_int_equal(uct_turn(t, 1000), 0); /* shorter than a look */
    assert_true(uct_now_ms() - begin < 1000);
}

static void *wake(void *ring)
{
    return uc_ring_wake(ring) == 0 ? ring : NULL;
}

static void another_thread_can_end_it(void **state)
{
    struct uct *t = *state;

    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        void *result;

        assert_int_equal(pthread_create(&thread, NULL, wake, t->ring), 0);
        assert_int_equal(uct_turn(t, -1), 0);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_ptr_equal(result, t->ring);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        UCT(nobody_looks_unless_asked_to),
        UCT_WITH(what_comes_is_found_without_sleeping, "for a millisecond", &busily),
        UCT_WITH(what_is_queued_leaves_before_looking, "for a millisecond", &busily),
        UCT_WITH(waits_in_vain_soon_stop_looking, "for 20 microseconds", &in_vain),
        UCT_WITH(the_end_of_a_send_is_no_luck, "for 20 microseconds", &in_vain),
        UCT_WITH(a_wait_lasts_as_long_as_it_was_asked_to, "for a millisecond", &busily),
        UCT_WITH(another_thread_can_end_it, "for a millisecond", &busily),
    };

    return UCT_RUN_ON_URING("ring_busy_poll", tests);
}
