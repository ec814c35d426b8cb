/* What io_uring has no operation for runs on workers, and nobody can tell. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <uc/fork.h>
#include <unistd.h>

#include "places.h"
#include "work/workers.h"

#define CALLS 300
#define OPEN 1000 /* cookie */

static char text[CALLS][64];

static void submit_calls(struct uct *t, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(uc_op_readlink(t->ring, AT_FDCWD, "/proc/self/exe", text[i], 64, i, NULL),
                         0);
}

static void many_at_once_all_come_back(void **state)
{
    struct uct *t = *state;
    uint64_t sum = 0, until = uct_now_ms() + uct_deadline_ms();
    uint32_t records = 0;

    submit_calls(t, CALLS);
    while (records < CALLS) {
        int n = uc_ring_wait(t->ring, t->events, t->max_events, 1000000000);

        assert_true(n > 0 && uct_now_ms() < until);
        for (int i = 0; i < n; i++, records++) {
            assert_true(t->events[i].result > 0);
            sum += t->events[i].cookie;
        }
    }
    assert_int_equal(sum, CALLS * (CALLS - 1) / 2);
}

/* A worker each hangs at one. */
static void hang_all_workers(struct uct *t, const struct uct_place *place)
{
    uct_call_opens(t);
    for (int i = 0; i < UCI_WORKERS_MAX; i++) {
        char name[] = {(char)('a' + i), '\0'};

        uct_make_fifo(place, name);
        assert_int_equal(uc_op_openat(t->ring, place->fd, name, O_RDONLY, 0, OPEN, NULL), 0);
    }
    uct_turn(t, 0);
}

static void release_all_workers(struct uct *t, const struct uct_place *place)
{
    uint32_t before = t->operations;

    for (int i = 0; i < UCI_WORKERS_MAX; i++) {
        char name[] = {(char)('a' + i), '\0'};

        uct_peer(t, uct_open_other_end(place, name));
    }
    for (uint32_t i = 1; i <= UCI_WORKERS_MAX; i++) {
        struct uc_event event;
        int n;

        while ((n = uc_ring_wait(t->ring, &event, 1, 1000000000)) == -EINTR)
            ;
        assert_int_equal(n, 1);
        assert_true(event.result >= 0);
        uct_peer(t, event.result);
    }
    assert_int_equal(t->operations, before);
}

static void what_waits_is_called_off_and_what_runs_ends_with_its_result(void **state)
{
    struct uct *t = *state;
    struct uct_place place = uct_make_place(t);
    uint64_t op, queued;

    hang_all_workers(t, &place);
    assert_int_equal(uc_op_readlink(t->ring, AT_FDCWD, "/proc/self/exe", text[0], 64, 7, &op), 0);
    uct_turn(t, 0);
    assert_int_equal(uc_op_cancel(t->ring, op), 0);
    assert_int_equal(uct_outcome(t, 7), -ECANCELED);
    assert_int_equal(uc_op_cancel(t->ring, op), -ESTALE);
    assert_int_equal(uc_op_readlink(t->ring, AT_FDCWD, "/proc/self/exe", text[0], 64, 8, &queued),
                     0);
    assert_int_equal(uc_op_cancel(t->ring, queued), 0);
    assert_int_equal(uct_outcome(t, 8), -ECANCELED);
    UCT_UNTIL(t, uct_stats(t).in_flight == UCI_WORKERS_MAX);
    release_all_workers(t, &place);
    uct_remove_place(&place);
}

static void a_deadline_calls_off_what_waits(void **state)
{
    struct uct *t = *state;
    struct uct_place place = uct_make_place(t);
    uint64_t op;

    hang_all_workers(t, &place);
    assert_int_equal(uc_op_readlink(t->ring, AT_FDCWD, "/proc/self/exe", text[0], 64, 7, &op), 0);
    assert_int_equal(uc_op_set_deadline(t->ring, op, 1000000), 0);
    assert_int_equal(uct_outcome(t, 7), -ETIME);
    release_all_workers(t, &place);
    uct_remove_place(&place);
}

/* Each time, and from the second time on too: see uring/event_fd.c. */
static void whoever_sleeps_on_the_ring_is_told(void **state)
{
    struct uct *t = *state;
    struct pollfd sleeps = {.fd = uc_ring_event_fd(t->ring), .events = POLLIN};
    uint64_t value;

    for (int i = 0; i < 100; i++) {
        uint32_t before = t->operations;

        assert_int_equal(uc_op_readlink(t->ring, AT_FDCWD, "/proc/self/exe", text[0], 64, 7, NULL),
                         0);
        assert_int_equal(uc_ring_flush(t->ring), 0);
        while (t->operations == before) {
            assert_int_equal(poll(&sleeps, 1, (int)uct_deadline_ms()), 1);
            if (uct_is_uring(t))
                while (read(sleeps.fd, &value, sizeof(value)) > 0)
                    ;
            uct_turn(t, 0);
        }
        assert_true(t->operation_result > 0);
    }
}

static void *take_over(void *argument)
{
    struct uct *t = argument;
    int r = uc_ring_enable(t->ring);

    if (r == 0)
        UCT_UNTIL(t, t->operations == CALLS);
    return (void *)(intptr_t)r;
}

static void calls_move_to_another_thread_and_end_once(void **state)
{
    struct uct *t = *state;
    pthread_t thread;
    void *result;

    submit_calls(t, CALLS);
    assert_int_equal(uc_ring_flush(t->ring), 0);
    assert_int_equal(pthread_create(&thread, NULL, take_over, t), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_null(result);
    assert_int_equal(uc_ring_enable(t->ring), 0);
    submit_calls(t, 1);
    assert_true(uct_outcome(t, 0) > 0);
}

/* Some wait, some run, some have ended and are not taken. */
static void a_ring_is_freed_with_calls_in_flight(void **state)
{
    struct uct *t = *state;

    submit_calls(t, CALLS / 2);
    assert_int_equal(uc_ring_flush(t->ring), 0);
    submit_calls(t, CALLS / 2);
    t->ring = uc_ring_free(t->ring);
}

static void *free_it(void *ring)
{
    return uc_ring_free(ring);
}

static void another_thread_frees_a_ring_with_calls_in_flight(void **state)
{
    struct uct *t = *state;
    pthread_t thread;

    submit_calls(t, CALLS / 2);
    assert_int_equal(uc_ring_flush(t->ring), 0);
    submit_calls(t, CALLS / 2);
    assert_int_equal(pthread_create(&thread, NULL, free_it, t->ring), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    t->ring = NULL;
}

static int begin_anew(void *argument)
{
    struct uct *t = argument;
    struct uc_event event;
    int n;

    UCT_CHECK(uc_op_readlink(t->ring, AT_FDCWD, "/", text[0], 64, 9, NULL) == -ECHILD);
    UCT_CHECK(uc_ring_reinit(t->ring) == 0);
    UCT_CHECK(uc_op_readlink(t->ring, AT_FDCWD, "/proc/self/exe", text[0], 64, 9, NULL) == 0);
    while ((n = uc_ring_wait(t->ring, &event, 1, -1)) == 0 || n == -EINTR)
        ;
    UCT_CHECK(n == 1 && event.cookie == 9 && event.result > 0);
    uc_ring_free(t->ring);
    return 0;
}

static void a_forked_child_begins_anew_and_the_parent_goes_on(void **state)
{
    struct uct *t = *state;
    struct uct_place place = uct_make_place(t);

    hang_all_workers(t, &place);
    submit_calls(t, 20);
    assert_int_equal(uc_ring_flush(t->ring), 0);
    assert_int_equal(uct_in_child(begin_anew, t), 0);
    for (int i = 0; i < UCI_WORKERS_MAX; i++) {
        char name[] = {(char)('a' + i), '\0'};

        uct_peer(t, uct_open_other_end(&place, name));
    }
    for (uint32_t left = 20 + UCI_WORKERS_MAX; left;) {
        int n = uc_ring_wait(t->ring, t->events, t->max_events, 1000000000);

        assert_true(n > 0 || n == -EINTR);
        for (int i = 0; i < n; i++, left--) {
            assert_true(t->events[i].result > 0);
            if (t->events[i].cookie == OPEN)
                uct_peer(t, t->events[i].result);
        }
    }
    uct_remove_place(&place);
}

static void without_descriptors_it_is_refused_and_the_ring_goes_on(void **state)
{
    struct uct *t = *state;
    struct rlimit before, none;

    if (!uct_is_uring(t))
        skip(); /* its bell is there from the first */
    uct_turn(t, 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(uc_op_readlink(t->ring, AT_FDCWD, "/proc/self/exe", text[0], 64, 7, NULL),
                     -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    submit_calls(t, 1);
    assert_true(uct_outcome(t, 0) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UCT_FILES(many_at_once_all_come_back),
        UCT_FILES(what_waits_is_called_off_and_what_runs_ends_with_its_result),
        UCT_FILES(a_deadline_calls_off_what_waits),
        UCT_FILES(whoever_sleeps_on_the_ring_is_told),
        UCT_FILES(a_ring_is_freed_with_calls_in_flight),
        UCT_FILES(another_thread_frees_a_ring_with_calls_in_flight),
        UCT(calls_move_to_another_thread_and_end_once),
        UCT(a_forked_child_begins_anew_and_the_parent_goes_on),
        UCT(without_descriptors_it_is_refused_and_the_ring_goes_on),
    };

    return UCT_RUN("calls", tests);
}
