/* One turn: time, signals, room for records, kernel entries. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "support.h"

static void nothing_to_wait_for_returns_at_once_or_when_the_time_is_over(void **state)
{
    struct uct *t = *state;
    uint64_t begin = uct_now_ms();

    assert_int_equal(uc_ring_wait(t->ring, t->events, 1, 0), 0);
    assert_true(uct_now_ms() - begin < 500);
    begin = uct_now_ms();
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(uc_ring_wait(t->ring, t->events, 1, 20000000), 0);
        assert_true(uct_now_ms() - begin >= (uint64_t)(19 * i));
    }
    assert_true(uct_now_ms() - begin < 2000);
}

static void a_turn_costs_one_kernel_entry(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    /* Where the kernel does not choose the buffer, waiting for data is an operation of its own. */
    bool waits_first = uct_is_uring(t) && !(uct_info(t->ring).features & UC_FEATURE_BUFFER_RING);
    uint64_t sent = 0, entries;
    uint8_t bytes[100] = {0};

    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    uct_turn(t, 0);
    entries = uct_stats(t).kernel_entries;
    for (uint32_t i = 1; i <= 100; i++) {
        uct_write_all(link.peer, 0, &sent, 100);
        assert_int_equal(uct_turn(t, -1), 1);
        assert_true(uc_fd_send(link.sink->fd, bytes, sizeof(bytes), 0) > 0);
    }
    assert_true(uct_has_cost(t, entries, waits_first ? 200 : 100));
}

static void flush_with_nothing_queued_costs_nothing(void **state)
{
    struct uct *t = *state;
    uint64_t entries;

    uct_turn(t, 0);
    entries = uct_stats(t).kernel_entries;
    for (int i = 0; i < 10; i++)
        assert_int_equal(uc_ring_flush(t->ring), 0);
    assert_int_equal(uct_stats(t).kernel_entries, entries);
}

static void the_last_count_is_remembered(void **state)
{
    struct uct *t = *state;

    assert_int_equal(uc_ring_last_count(t->ring), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(uc_op_nop(t->ring, 0, NULL), 0);
    assert_int_equal(uc_ring_wait(t->ring, t->events, 2, -1), 2);
    assert_int_equal(uc_ring_last_count(t->ring), 2);
    assert_int_equal(uc_ring_wait(t->ring, NULL, 2, -1), -EINVAL);
    assert_int_equal(uc_ring_wait(t->ring, t->events, 2, -1), 1);
    assert_int_equal(uc_ring_last_count(t->ring), 1);
    assert_int_equal(uc_ring_wait(t->ring, t->events, 2, 0), 0);
    assert_int_equal(uc_ring_last_count(t->ring), 0);
}

static void what_finds_no_room_comes_next_time(void **state)
{
    struct uct *t = *state;
    uint32_t seen[300] = {0};

    for (uint32_t max = 1; max <= 9; max++) {
        memset(seen, 0, sizeof(seen));
        for (uint64_t i = 0; i < 300; i++)
            assert_int_equal(uc_op_nop(t->ring, i, NULL), 0);
        for (uint32_t taken = 0; taken < 300;) {
            int n = uc_ring_wait(t->ring, t->events, max, 1000000000);

            assert_true(n > 0 && n <= (int)max);
            for (int i = 0; i < n; i++, taken++)
                seen[t->events[i].cookie]++;
        }
        for (int i = 0; i < 300; i++)
            assert_int_equal(seen[i], 1);
    }
    assert_int_equal(uct_stats(t).events, 9 * 300);
}

static volatile sig_atomic_t alarms;

static void count_alarm(int number)
{
    alarms++;
}

static void one_alarm(uint64_t ms)
{
    struct itimerval once = {.it_value = {0, (suseconds_t)ms * 1000}};
    struct sigaction action = {.sa_handler = count_alarm, .sa_flags = SA_RESTART};

    alarms = 0;
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &once, NULL), 0);
}

static void a_signal_ends_the_wait(void **state)
{
    struct uct *t = *state;

    uct_turn(t, 0);
    for (int i = 0; i < 3; i++) {
        uint64_t begin = uct_now_ms();

        one_alarm(30);
        assert_int_equal(uc_ring_wait(t->ring, t->events, 1, 5000000000), -EINTR);
        assert_int_equal(alarms, 1);
        assert_true(uct_now_ms() - begin < 2000);
    }
}

/* The kernel then answers with the number of submissions and does not tell of the signal. */
static void a_signal_ends_the_wait_also_when_something_was_submitted(void **state)
{
    struct uct *t = *state;

    for (int i = 0; i < 4; i++) {
        uint64_t begin = uct_now_ms();
        uint64_t op;

        if (i) /* in the first round it is the wake-up that is submitted */
            assert_int_equal(uc_op_timeout(t->ring, UINT64_C(60000000000), 1, &op), 0);
        one_alarm(30);
        assert_int_equal(uc_ring_wait(t->ring, t->events, 1, i % 2 ? -1 : INT64_C(4000000000)),
                         -EINTR);
        assert_int_equal(alarms, 1);
        assert_true(uct_now_ms() - begin < 2000);
        if (i)
            assert_int_equal(uc_op_cancel(t->ring, op), 0);
        UCT_UNTIL(t, t->operations == (uint32_t)i);
    }
}

static void no_time_out_is_taken_for_a_signal(void **state)
{
    struct uct *t = *state;

    for (int i = 0; i < 20; i++) {
        uint64_t op;

        assert_int_equal(uc_op_timeout(t->ring, UINT64_C(60000000000), 1, &op), 0);
        assert_true(uc_ring_wait(t->ring, t->events, 1, 3000000) >= 0);
        assert_int_equal(uc_op_cancel(t->ring, op), 0);
    }
}

static void an_older_callers_struct_is_filled_as_far_as_it_goes(void **state)
{
    struct uct *t = *state;
    struct {
        struct uc_ring_info info;
        uint8_t tail[64];
    } newer;

    memset(&newer, 0xaa, sizeof(newer));
    newer.info.size = sizeof(newer);
    assert_int_equal(uc_ring_get_info(t->ring, &newer.info), 0);
    assert_int_equal(newer.info.size, sizeof(newer));
    assert_int_equal(newer.info.sq_entries, 128);
    for (size_t i = 0; i < sizeof(newer.tail); i++)
        assert_int_equal(newer.tail[i], 0);
}

int main(void)
{
    static const struct uct_options plain = {.ring.features_off = UINT64_MAX};
    const struct CMUnitTest tests[] = {
        UCT(nothing_to_wait_for_returns_at_once_or_when_the_time_is_over),
        UCT(a_turn_costs_one_kernel_entry),
        UCT(flush_with_nothing_queued_costs_nothing),
        UCT(the_last_count_is_remembered),
        UCT(what_finds_no_room_comes_next_time),
        UCT_WITH(what_finds_no_room_comes_next_time, "with nothing new", &plain),
        UCT(a_signal_ends_the_wait),
        UCT_WITH(a_signal_ends_the_wait, "with nothing new", &plain),
        UCT(a_signal_ends_the_wait_also_when_something_was_submitted),
        UCT_WITH(a_signal_ends_the_wait_also_when_something_was_submitted, "with nothing new",
                 &plain),
        UCT(no_time_out_is_taken_for_a_signal),
        UCT(an_older_callers_struct_is_filled_as_far_as_it_goes),
    };

    return UCT_RUN("wait", tests);
}
