/* Too few buffers, too small a completion queue, too little credit, too many signals: slower, but
 * nothing is lost and nothing spins. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "masks.h"

static void few_buffers_lose_nothing_and_do_not_spin(void **state)
{
    enum {
        COUNT = 10
    };
    struct uct *t = *state;
    struct uct_link links[COUNT];
    uint64_t sent[COUNT] = {0}, entries;
    uint32_t records = 0;

    for (int i = 0; i < COUNT; i++) {
        links[i] = uct_link(t, NULL, 0);
        links[i].sink->seed = (uint64_t)i;
        assert_int_equal(uc_fd_recv_start(links[i].sink->fd), 0);
    }
    uct_turn(t, 0);
    entries = uct_stats(t).kernel_entries;
    for (int i = 0; i < COUNT; i++)
        uct_write_all(links[i].peer, (uint64_t)i, &sent[i], 100000);
    for (int i = 0; i < COUNT; i++)
        UCT_UNTIL(t, links[i].sink->received == sent[i]);
    for (int i = 0; i < COUNT; i++)
        records += links[i].sink->records;
    assert_true(uct_stats(t).kernel_entries - entries <= 3 * records + 50);
}

/* All buffers in the caller's hands: the receiver waits for one, without turning round. */
static void without_any_buffer_the_receiver_sleeps_until_one_is_released(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    struct uc_lease leases[2];
    uint64_t sent = 0, entries;
    int held = 0;

    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    while (held < 2) {
        uint32_t records = link.sink->records;

        uct_write_all(link.peer, 0, &sent, 3000);
        UCT_UNTIL(t, link.sink->records > records);
        assert_int_equal(uc_pool_keep(t->pool, t->events[0].buffer, &leases[held++]), 0);
        UCT_UNTIL(t, link.sink->received == sent);
    }
    uct_write_all(link.peer, 0, &sent, 3000);
    uct_turn(t, 0);
    entries = uct_stats(t).kernel_entries;
    uct_turn(t, 50000000);
    assert_int_equal(link.sink->received, 6000);
    assert_true(uct_stats(t).kernel_entries - entries <= 4);
    assert_int_equal(uc_pool_release(t->pool, leases[0].token), 0);
    assert_int_equal(uc_pool_release(t->pool, leases[1].token), 0);
    UCT_UNTIL(t, link.sink->received == sent);
}

static void a_paused_receiver_does_not_starve_for_ever(void **state)
{
    struct uct *t = *state;
    struct uct_link paused = uct_link(t, NULL, 0), other = uct_link(t, NULL, 0);
    uint64_t sent = 0, also = 0;

    assert_int_equal(uc_fd_recv_start(paused.sink->fd), 0);
    assert_int_equal(uc_fd_recv_start(other.sink->fd), 0);
    uct_turn(t, 0);
    uct_write_all(paused.peer, 0, &sent, 20000);
    assert_int_equal(uc_fd_recv_stop(paused.sink->fd), 0);
    uct_turn(t, 0);
    uct_write_all(other.peer, 0, &also, 20000);
    uct_turn(t, 0);
    uct_turn(t, 0);
    assert_int_equal(uc_fd_recv_start(paused.sink->fd), 0);
    UCT_UNTIL(t, paused.sink->received == sent && other.sink->received == also);
}

static void idle_receivers_keep_no_buffer_from_others(void **state)
{
    struct uct *t = *state;
    struct uct_link links[10];
    uint64_t sent[10] = {0};

    for (int i = 0; i < 10; i++) {
        links[i] = uct_link(t, NULL, 0);
        assert_int_equal(uc_fd_recv_start(links[i].sink->fd), 0);
        uct_turn(t, 0);
    }
    for (int i = 0; i < 30; i++) {
        struct uct_link *link = &links[i * 7 % 10];

        uct_write_all(link->peer, 0, &sent[i * 7 % 10], 5000);
        UCT_UNTIL(t, link->sink->received == sent[i * 7 % 10]);
    }
}

/* The piece that is asked for is smaller than what was kept, and no buffer is free for it. */
static void a_piece_of_what_was_kept_needs_no_other_buffer(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0;

    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    uct_turn(t, 0);
    uct_write_all(link.peer, 0, &sent, 4000);
    assert_int_equal(uc_fd_recv_stop(link.sink->fd), 0);
    uct_turn(t, 0);
    uct_turn(t, 0);
    while (link.sink->received < sent) {
        uint32_t records = link.sink->records;

        assert_int_equal(uc_fd_recv_once(link.sink->fd, 1000), 0);
        for (int turn = 0; turn < 20 && link.sink->records == records; turn++)
            uct_turn(t, 10000000);
        assert_int_equal(link.sink->records, records + 1);
        assert_true(link.sink->largest <= 1000);
    }
}

static void a_small_completion_queue_loses_nothing(void **state)
{
    enum {
        COUNT = 60
    };
    struct uct *t = *state;
    struct uct_link links[COUNT];
    uint64_t sent[COUNT] = {0};

    for (int i = 0; i < COUNT; i++) {
        links[i] = uct_link(t, NULL, 0);
        links[i].sink->seed = (uint64_t)i;
        assert_int_equal(uc_fd_recv_start(links[i].sink->fd), 0);
    }
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < COUNT; i++) {
            uct_write_all(links[i].peer, (uint64_t)i, &sent[i], 1000);
            assert_int_equal(uc_op_nop(t->ring, 1, NULL), 0);
        }
        for (int i = 0; i < COUNT; i++)
            UCT_UNTIL(t, links[i].sink->received == sent[i]);
    }
    UCT_UNTIL(t, t->operations == 20 * COUNT);
    /* Without io_uring there is no queue in the kernel. */
    assert_int_equal(uct_stats(t).overflows > 0, uct_is_uring(t));
}

static void duplex(struct uct *t, struct uct_link link, uint64_t total)
{
    uint64_t sent = 0, seen = 0, queued = 0;
    uint8_t bytes[1000];

    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    UCT_PUMP(
        t,
        do {
            uct_write_some(link.peer, 0, &sent, total);
            uct_read_some(link.peer, 1, &seen);
            if (queued < total && queued - seen < 20000) {
                uct_pattern(1, queued, bytes, sizeof(bytes));
                assert_true(uc_fd_send(link.sink->fd, bytes, sizeof(bytes), 0) > 0);
                queued += sizeof(bytes);
            }
        } while (0),
        link.sink->received == total && seen == total);
}

static void one_operation_at_a_time_makes_progress_both_ways(void **state)
{
    struct uct *t = *state;
    struct uc_fd_options options = {.size = sizeof(options), .credit_ops = 1, .credit_bytes = 1};

    duplex(t, uct_link(t, &options, 4096), 500000);
}

/* An echo server that may have one operation: while it waits to receive it must still answer. */
static void one_operation_at_a_time_can_answer_while_it_receives(void **state)
{
    struct uct *t = *state;
    struct uc_fd_options options = {.size = sizeof(options), .credit_ops = 1};
    struct uct_link link = uct_link(t, &options, 0);
    uint64_t sent = 0, seen = 0;
    uint8_t bytes[100];

    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    for (int round = 0; round < 50; round++) {
        uct_write_all(link.peer, 0, &sent, sizeof(bytes));
        UCT_UNTIL(t, link.sink->received == sent);
        uct_pattern(1, seen, bytes, sizeof(bytes));
        assert_true(uc_fd_send(link.sink->fd, bytes, sizeof(bytes), 0) > 0);
        for (int turn = 0; turn < 500 && seen < sent; turn++) {
            uct_turn(t, 1000000);
            uct_read_some(link.peer, 1, &seen);
        }
        assert_int_equal(seen, sent);
    }
}

static void little_credit_for_bytes_makes_progress(void **state)
{
    struct uct *t = *state;
    struct uc_fd_options options = {.size = sizeof(options), .credit_bytes = 1};

    duplex(t, uct_link(t, &options, 0), 700000);
}

static void credit_can_be_changed_and_is_checked(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    struct uc_fd_status status = {.size = sizeof(status)};
    uint8_t address[16] = {0};

    assert_int_equal(uc_fd_set_credit(link.sink->fd, 0, 1), -EINVAL);
    assert_int_equal(uc_fd_set_credit(link.sink->fd, 17, 1), -EINVAL);
    assert_int_equal(uc_fd_set_credit(link.sink->fd, 1, 0), -EINVAL);
    assert_int_equal(uc_fd_set_credit(link.sink->fd, 1, 77), 0);
    assert_int_equal(uc_fd_get_status(link.sink->fd, &status), 0);
    assert_int_equal(status.credit_ops, 1);
    assert_int_equal(status.credit_bytes, 77);
    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    uct_turn(t, 0);
    assert_int_equal(uc_fd_poll(link.sink->fd, POLLIN), -EBUSY);
    assert_int_equal(uc_fd_connect(link.sink->fd, address, sizeof(address)), -EBUSY);
    assert_int_equal(uc_fd_set_credit(link.sink->fd, 2, 77), 0);
    assert_int_equal(uc_fd_poll(link.sink->fd, POLLOUT), 0);
    UCT_UNTIL(t, link.sink->polls);
}

static volatile sig_atomic_t alarms;

static void count_alarm(int number)
{
    alarms++;
}

static void a_storm_of_signals_loses_nothing(void **state)
{
    struct uct *t = *state;
    struct sigaction action = {.sa_handler = count_alarm}, before;
    struct itimerval storm = {{0, 200}, {0, 200}}, calm = {{0, 0}, {0, 0}};
    struct uct_link link = uct_link(t, NULL, 4096);

    alarms = 0;
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &storm, NULL), 0);
    duplex(t, link, 1000000);
    for (uint32_t i = 1; alarms < 500; i++) {
        assert_int_equal(uc_op_timeout(t->ring, 1000000, 1, NULL), 0);
        UCT_UNTIL(t, t->operations == i);
        assert_int_equal(t->operation_result, -ETIME);
    }
    assert_int_equal(setitimer(ITIMER_REAL, &calm, NULL), 0);
    sigaction(SIGALRM, &before, NULL);
}

static const struct uct_options two_buffers = {
    .pool = {.buffer_bytes = 4096, .buffer_count = 2, .buffer_max = 2},
};
static const struct uct_options one_buffer = {
    .pool = {.buffer_bytes = 4096, .buffer_count = 1, .buffer_max = 1},
};
static const struct uct_options one_chosen_buffer = {
    .ring.features_off = UC_FEATURE_BUFFER_RING,
    .pool = {.buffer_bytes = 4096, .buffer_count = 1, .buffer_max = 1},
};
static const struct uct_options one_buffer_not_deferred = {
    .ring.features_off = UC_FEATURE_DEFER_TASKRUN,
    .pool = {.buffer_bytes = 4096, .buffer_count = 1, .buffer_max = 1},
};
static const struct uct_options small_queue = {.ring = {.sq_entries = 8, .cq_entries = 8}};
static const struct uct_options small_old_queue = {
    .ring = {.sq_entries = 8, .cq_entries = 8, .features_off = UINT64_MAX},
};

int main(void)
{
    const struct CMUnitTest tests[] = {
        UCT_WITH(few_buffers_lose_nothing_and_do_not_spin, "two", &two_buffers),
        UCT_WITH(few_buffers_lose_nothing_and_do_not_spin, "one", &one_buffer),
        UCT_WITH(few_buffers_lose_nothing_and_do_not_spin, "one, chosen", &one_chosen_buffer),
        UCT_WITH(without_any_buffer_the_receiver_sleeps_until_one_is_released, "", &two_buffers),
        UCT_WITH(a_paused_receiver_does_not_starve_for_ever, "two", &two_buffers),
        UCT_WITH(a_paused_receiver_does_not_starve_for_ever, "one", &one_buffer),
        UCT_WITH(a_paused_receiver_does_not_starve_for_ever, "not deferred",
                 &one_buffer_not_deferred),
        UCT_WITH(idle_receivers_keep_no_buffer_from_others, "one", &one_buffer),
        UCT_WITH(idle_receivers_keep_no_buffer_from_others, "one, chosen", &one_chosen_buffer),
        UCT_WITH(a_piece_of_what_was_kept_needs_no_other_buffer, "not deferred",
                 &one_buffer_not_deferred),
        UCT_WITH(a_small_completion_queue_loses_nothing, "", &small_queue),
        UCT_WITH(a_small_completion_queue_loses_nothing, "with nothing new", &small_old_queue),
        UCT_EVERYWHERE(one_operation_at_a_time_makes_progress_both_ways),
        UCT_EVERYWHERE(one_operation_at_a_time_can_answer_while_it_receives),
        UCT_EVERYWHERE(little_credit_for_bytes_makes_progress),
        UCT(credit_can_be_changed_and_is_checked),
        UCT_EVERYWHERE(a_storm_of_signals_loses_nothing),
    };

    return UCT_RUN("scarce", tests);
}
