/* Waking a ring from another thread and from a signal handler. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <unistd.h>

#include "support.h"

static uint64_t wait_for_wake_up(struct uct *t)
{
    uint64_t begin = uct_now_ms();
    int n = uc_ring_wait(t->ring, t->events, t->max_events, INT64_C(10000000000));

    assert_true(n == 0 || n == -EINTR);
    return uct_now_ms() - begin;
}

static void a_wake_before_the_wait_ends_it(void **state)
{
    struct uct *t = *state;

    for (int i = 0; i < 10; i++) {
        for (int calls = 0; calls <= i; calls++)
            assert_int_equal(uc_ring_wake(t->ring), 0);
        assert_true(wait_for_wake_up(t) < 5000);
        assert_int_equal(uct_stats(t).wakeups, i + 1);
        assert_int_equal(uc_ring_wait(t->ring, t->events, 1, 5000000), 0);
        assert_int_equal(uct_stats(t).wakeups, i + 1);
    }
}

/* The kernel may have noticed the wake-up while something else was submitted. */
static void a_wake_is_not_lost_to_a_flush(void **state)
{
    struct uct *t = *state;

    uct_turn(t, 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(uc_ring_wake(t->ring), 0);
        assert_int_equal(uc_op_timeout(t->ring, UINT64_C(60000000000), 0, NULL), 0);
        assert_int_equal(uc_ring_flush(t->ring), 0);
        assert_true(wait_for_wake_up(t) < 5000);
    }
    t->ring = uc_ring_free(t->ring);
}

static void a_wake_is_not_lost_to_a_close(void **state)
{
    struct uct *t = *state;

    for (int i = 0; i < 5; i++) {
        struct uct_link link = uct_link(t, NULL, 0);

        assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
        uct_turn(t, 0);
        assert_int_equal(uc_ring_wake(t->ring), 0);
        assert_int_equal(uc_fd_close(link.sink->fd, UC_CLOSE_ABORT | UC_CLOSE_NOW), 0);
        assert_int_equal(uct_turn(t, -1), 1); /* CLOSED */
        assert_int_equal(uc_ring_wake(t->ring), 0);
        assert_true(wait_for_wake_up(t) < 5000);
    }
}

static void a_wake_is_not_lost_behind_records(void **state)
{
    struct uct *t = *state;

    uct_turn(t, 0);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(uc_op_nop(t->ring, 0, NULL), 0);
        assert_int_equal(uc_op_nop(t->ring, 0, NULL), 0);
        assert_int_equal(uc_ring_wake(t->ring), 0);
        assert_int_equal(uc_ring_wait(t->ring, t->events, 1, -1), 1);
        assert_int_equal(uc_ring_wait(t->ring, t->events, 1, -1), 1);
        /* The wake-up has ended one of those waits, or ends this one. */
        if (uct_stats(t).wakeups < (uint64_t)i + 1)
            assert_true(wait_for_wake_up(t) < 5000);
        assert_int_equal(uct_stats(t).wakeups, i + 1);
    }
}

struct waker {
    uc_ring *ring;
    atomic_uint asked, seen;
    atomic_bool stop;
};

static void *wake_often(void *argument)
{
    struct waker *waker = argument;

    while (!atomic_load(&waker->stop)) {
        unsigned asked = atomic_fetch_add(&waker->asked, 1) + 1;

        if (uc_ring_wake(waker->ring) < 0)
            return waker;
        while (atomic_load(&waker->seen) < asked && !atomic_load(&waker->stop))
            ;
    }
    return NULL;
}

/* What was asked before the wake must be seen after the wait. */
static void every_wake_of_another_thread_is_seen(void **state)
{
    struct uct *t = *state;
    struct waker waker = {.ring = t->ring};
    pthread_t thread;
    void *failed;

    assert_int_equal(pthread_create(&thread, NULL, wake_often, &waker), 0);
    while (atomic_load(&waker.seen) < 20000) {
        assert_true(wait_for_wake_up(t) < 5000);
        atomic_store(&waker.seen, atomic_load(&waker.asked));
    }
    atomic_store(&waker.stop, true);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
}

static uc_ring *signalled;

static void wake_from_handler(int number)
{
    uc_ring_wake(signalled);
}

static void a_signal_handler_may_wake(void **state)
{
    struct uct *t = *state;
    struct sigaction action = {.sa_handler = wake_from_handler};
    struct itimerval soon = {.it_value = {0, 20000}};

    signalled = t->ring;
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
        assert_true(wait_for_wake_up(t) < 5000);
        UCT_UNTIL(t, uct_stats(t).wakeups == (uint64_t)i + 1);
    }
}

int main(void)
{
    static const struct uct_options plain = {.ring.features_off = UINT64_MAX};
    const struct CMUnitTest tests[] = {
        UCT(a_wake_before_the_wait_ends_it),
        UCT_WITH(a_wake_before_the_wait_ends_it, "with nothing new", &plain),
        UCT(a_wake_is_not_lost_to_a_flush),
        UCT_WITH(a_wake_is_not_lost_to_a_flush, "with nothing new", &plain),
        UCT(a_wake_is_not_lost_to_a_close),
        UCT_WITH(a_wake_is_not_lost_to_a_close, "with nothing new", &plain),
        UCT(a_wake_is_not_lost_behind_records),
        UCT_WITH(a_wake_is_not_lost_behind_records, "with nothing new", &plain),
        UCT(every_wake_of_another_thread_is_seen),
        UCT_WITH(every_wake_of_another_thread_is_seen, "with nothing new", &plain),
        UCT(a_signal_handler_may_wake),
    };

    return UCT_RUN("wake", tests);
}
