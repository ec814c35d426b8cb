/* Deadlines of one-shot operations. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "places.h"

#define MS UINT64_C(1000000)
#define HOUR (3600000 * MS)

static char memory[2000];

/* A read of a pipe that nothing comes from. */
static uint64_t submit_waiting(struct uct *t, int ends[2], uint64_t cookie)
{
    uint64_t op;

    uct_pipe(t, ends, 0);
    assert_int_equal(uc_op_read(t->ring, ends[0], memory, 1, UC_OFFSET_CURRENT, cookie, &op), 0);
    return op;
}

static void what_waits_too_long_ends_with_etime(void **state)
{
    struct uct *t = *state;
    uint64_t begin = uct_now_ms(), op;
    int ends[2];

    op = submit_waiting(t, ends, 7);
    assert_int_equal(uc_op_set_deadline(t->ring, op, 30 * MS), 0);
    assert_int_equal(uct_outcome(t, 7), -ETIME);
    assert_true(uct_now_ms() - begin >= 29);
    assert_int_equal(uc_op_set_deadline(t->ring, op, MS), -ESTALE);
    op = submit_waiting(t, ends, 7);
    uct_turn(t, 0);
    assert_int_equal(uc_op_set_deadline(t->ring, op, 0), 0);
    assert_int_equal(uct_outcome(t, 7), -ETIME);
}

static void what_ends_in_time_leaves_no_timer(void **state)
{
    struct uct *t = *state;
    uint64_t op;
    int ends[2];

    for (int i = 0; i < 10; i++) {
        op = submit_waiting(t, ends, 7);
        assert_int_equal(uc_op_set_deadline(t->ring, op, HOUR), 0);
        if (i % 2)
            uct_turn(t, 0);
        assert_int_equal(write(ends[1], "x", 1), 1);
        assert_int_equal(uct_outcome(t, 7), 1);
        UCT_UNTIL(t, uct_stats(t).in_flight == 0);
    }
    assert_int_equal(uc_op_nop(t->ring, 7, &op), 0);
    assert_int_equal(uc_op_set_deadline(t->ring, op, HOUR), 0);
    assert_int_equal(uct_outcome(t, 7), 0);
    UCT_UNTIL(t, uct_stats(t).in_flight == 0);
}

static void who_cancels_first_is_told_so(void **state)
{
    struct uct *t = *state;
    uint64_t op;
    int ends[2];

    op = submit_waiting(t, ends, 7);
    assert_int_equal(uc_op_set_deadline(t->ring, op, HOUR), 0);
    uct_turn(t, 0);
    assert_int_equal(uc_op_cancel(t->ring, op), 0);
    assert_int_equal(uct_outcome(t, 7), -ECANCELED);
    op = submit_waiting(t, ends, 7);
    assert_int_equal(uc_op_set_deadline(t->ring, op, 0), 0);
    assert_int_equal(uc_op_cancel(t->ring, op), 0);
    assert_int_equal(uct_outcome(t, 7), -ECANCELED);
    UCT_UNTIL(t, uct_stats(t).in_flight == 0);
}

static void a_timeout_has_a_deadline_like_any_other(void **state)
{
    struct uct *t = *state;
    uint64_t begin = uct_now_ms(), op;

    assert_int_equal(uc_op_timeout(t->ring, HOUR, 7, &op), 0);
    assert_int_equal(uc_op_set_deadline(t->ring, op, 20 * MS), 0);
    assert_int_equal(uct_outcome(t, 7), -ETIME);
    assert_true(uct_now_ms() - begin >= 19);
}

static void of_many_reads_those_that_wait_are_cut_off(void **state)
{
    struct uct *t = *state;
    struct uct_place place = uct_make_place(t);
    int fd = uct_make_file(t, &place, "file", 1, 100), ends[2];
    struct uc_read_part parts[20];
    uint64_t op;

    uct_pipe(t, ends, 0);
    for (int i = 0; i < 20; i++)
        parts[i] = (struct uc_read_part){
            .fd = i % 2 ? fd : ends[0],
            .bytes = 100,
            .offset = i % 2 ? 0 : UC_OFFSET_CURRENT,
            .buffer = memory + (size_t)i * 100,
        };
    assert_int_equal(uc_op_read_many(t->ring, parts, 20, 7, &op), 0);
    assert_int_equal(uc_op_set_deadline(t->ring, op, 50 * MS), 0);
    assert_int_equal(uct_outcome(t, 7), 10);
    for (int i = 0; i < 20; i++)
        assert_int_equal(parts[i].result, i % 2 ? 100 : -ETIME);
    uct_remove_place(&place);
}

static void what_runs_on_a_worker_ends_when_it_ends(void **state)
{
    struct uct *t = *state;
    struct uct_place place = uct_make_place(t);
    uint64_t op;
    int32_t fd;
    int other;

    uct_call_opens(t);
    uct_make_fifo(&place, "fifo");
    assert_int_equal(uc_op_openat(t->ring, place.fd, "fifo", O_RDONLY, 0, 7, &op), 0);
    assert_int_equal(uc_op_nop(t->ring, 8, NULL), 0);
    assert_int_equal(uct_outcome(t, 8), 0);
    other = uct_open_other_end(&place, "fifo");
    assert_int_equal(uc_op_set_deadline(t->ring, op, 0), 0);
    fd = uct_outcome(t, 7);
    assert_true(fd >= 0);
    uct_peer(t, fd);
    uct_peer(t, other);
    uct_remove_place(&place);
}

static void many_deadlines_each_end_their_own(void **state)
{
    struct uct *t = *state;
    uint32_t late = 0, read = 0;
    uint64_t op;
    int ends[2];

    for (uint64_t i = 0; i < 500; i++) {
        op = submit_waiting(t, ends, i);
        assert_int_equal(uc_op_set_deadline(t->ring, op, i % 2 ? MS : HOUR), 0);
        if (i % 2 == 0)
            assert_int_equal(write(ends[1], "x", 1), 1);
    }
    for (uint64_t until = uct_now_ms() + uct_deadline_ms(); late + read < 500;) {
        int n = uc_ring_wait(t->ring, t->events, t->max_events, 100000000);

        assert_true(n >= 0 && uct_now_ms() < until);
        for (int i = 0; i < n; i++) {
            assert_int_equal(t->events[i].result, t->events[i].cookie % 2 ? -ETIME : 1);
            *(t->events[i].cookie % 2 ? &late : &read) += 1;
        }
    }
    assert_int_equal(late, 250);
    UCT_UNTIL(t, uct_stats(t).in_flight == 0);
}

static void one_operation_has_one_deadline(void **state)
{
    struct uct *t = *state;
    uint64_t op;
    int ends[2];

    op = submit_waiting(t, ends, 7);
    assert_int_equal(uc_op_set_deadline(NULL, op, MS), -EINVAL);
    assert_int_equal(uc_op_set_deadline(t->ring, 0, MS), -ESTALE);
    assert_int_equal(uc_op_set_deadline(t->ring, UINT64_MAX, MS), -ESTALE);
    assert_int_equal(uc_op_set_deadline(t->ring, op + 1, MS), -ESTALE);
    assert_int_equal(uct_stats(t).submissions, 1);
    assert_int_equal(uc_op_set_deadline(t->ring, op, HOUR), 0);
    assert_int_equal(uc_op_set_deadline(t->ring, op, MS), -EALREADY);
    assert_int_equal(uct_stats(t).submissions, 2);
    assert_int_equal(uc_op_cancel(t->ring, op), 0);
    assert_int_equal(uct_outcome(t, 7), -ECANCELED);
}

static void a_ring_is_freed_with_timers_in_flight(void **state)
{
    struct uct *t = *state;
    int ends[2];

    for (int i = 0; i < 20; i++)
        assert_int_equal(uc_op_set_deadline(t->ring, submit_waiting(t, ends, 7), i % 2 ? HOUR : MS),
                         0);
    assert_int_equal(uc_ring_flush(t->ring), 0);
    t->ring = uc_ring_free(t->ring);
}

static void *take_over(void *argument)
{
    struct uct *t = argument;
    int r = uc_ring_enable(t->ring);

    if (r == 0)
        UCT_UNTIL(t, t->operations && uct_stats(t).in_flight == 0);
    return (void *)(intptr_t)r;
}

static void what_moves_to_another_thread_ends_as_cancelled(void **state)
{
    struct uct *t = *state;
    pthread_t thread;
    void *result;
    int ends[2];

    assert_int_equal(uc_op_set_deadline(t->ring, submit_waiting(t, ends, 7), HOUR), 0);
    uct_turn(t, 0);
    assert_int_equal(pthread_create(&thread, NULL, take_over, t), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_null(result);
    assert_int_equal(t->operations, 1);
    assert_int_equal(t->operation_result, -ECANCELED);
    assert_int_equal(uc_ring_enable(t->ring), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UCT_FILES(what_waits_too_long_ends_with_etime),
        UCT_FILES(what_ends_in_time_leaves_no_timer),
        UCT_FILES(who_cancels_first_is_told_so),
        UCT(a_timeout_has_a_deadline_like_any_other),
        UCT_FILES(of_many_reads_those_that_wait_are_cut_off),
        UCT(what_runs_on_a_worker_ends_when_it_ends),
        UCT_FILES(many_deadlines_each_end_their_own),
        UCT(one_operation_has_one_deadline),
        UCT_FILES(a_ring_is_freed_with_timers_in_flight),
        UCT(what_moves_to_another_thread_ends_as_cancelled),
    };

    return UCT_RUN("deadlines", tests);
}
