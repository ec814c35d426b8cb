/* fork() beside a thread that makes, frees or moves rings. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define CHILDREN 300

/* Another thread, busy with rings of its own until it is told to stop. */
struct busy {
    uc_ring *ring; /* that moves, or NULL: they are made and freed */
    atomic_bool stop;
    atomic_uint rounds, failures;
};

static void *make_and_free(void *argument)
{
    struct busy *busy = argument;
    uc_ring *ring;

    for (; !busy->stop; busy->rounds++) {
        if (uc_ring_new(NULL, &ring) < 0)
            busy->failures++;
        else
            uc_ring_free(ring);
    }
    return NULL;
}

static void *take_over(void *argument)
{
    struct busy *busy = argument;

    busy->failures += uc_ring_enable(busy->ring) < 0;
    return NULL;
}

static void *keep_moving(void *argument)
{
    struct busy *busy = argument;
    pthread_t thread;

    for (; !busy->stop; busy->rounds++)
        if (pthread_create(&thread, NULL, take_over, busy) || pthread_join(thread, NULL))
            busy->failures++;
    return NULL;
}

static int has_no_ring(void *argument)
{
    char path[32], name[32] = "";

    for (int fd = 0; fd < 200; fd++) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (readlink(path, name, sizeof(name) - 1) > 0)
            UCT_CHECK(!strstr(name, "io_uring") && !strstr(name, "eventpoll"));
    }
    return 0;
}

/* Return: how many of the children had no copy of a ring. */
static int fork_beside(struct busy *busy, void *(*body)(void *))
{
    pthread_t thread;
    int children;

    assert_int_equal(pthread_create(&thread, NULL, body, busy), 0);
    for (children = 0; children < CHILDREN; children++)
        if (uct_in_child(has_no_ring, NULL) != 0)
            break;
    while (!busy->rounds)
        sched_yield();
    busy->stop = true;
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(busy->failures, 0);
    return children;
}

static void no_child_keeps_a_ring_that_another_thread_makes_or_frees(void **state)
{
    struct busy busy = {0};

    assert_int_equal(fork_beside(&busy, make_and_free), CHILDREN);
}

static void no_child_keeps_a_ring_that_moves(void **state)
{
    struct busy busy = {0};
    int children;

    assert_int_equal(uc_ring_new(NULL, &busy.ring), 0);
    children = fork_beside(&busy, keep_moving);
    uc_ring_free(busy.ring);
    assert_int_equal(children, CHILDREN);
}

/* A ring that the kernel could not let go of when it was to move, because a child of a bare clone()
 * holds it: it has no queue any more. */
static int fork_with_a_dead_ring(void *argument)
{
    struct uct *t = uct_open(argument);
    struct uct_sink *listener = uct_attach(t, uct_listen(0, 64, 0), NULL);
    struct busy busy = {.ring = t->ring};
    pthread_t thread;
    pid_t holder;

    UCT_CHECK(uc_fd_accept_start(listener->fd) == 0);
    uct_turn(t, 0);
    holder = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (holder == 0)
        for (prctl(PR_SET_PDEATHSIG, SIGKILL);;)
            pause();
    UCT_CHECK(pthread_create(&thread, NULL, take_over, &busy) == 0);
    UCT_CHECK(pthread_join(thread, NULL) == 0);
    UCT_CHECK(uc_ring_wait(t->ring, t->events, 1, 0) == (busy.failures ? -EBUSY : -EPERM));
    UCT_CHECK(uct_in_child(has_no_ring, NULL) == 0);
    UCT_CHECK(uc_ring_free(t->ring) == NULL);
    UCT_CHECK(uc_fd_free(listener->fd) == NULL);
    UCT_CHECK(kill(holder, SIGKILL) == 0 && waitpid(holder, NULL, 0) == holder);
    return 0;
}

static void a_fork_leaves_a_ring_alone_that_could_not_move(void **state)
{
    static const struct uct_options plain = {.ring.features_off = UINT64_MAX};

    assert_int_equal(uct_in_child(fork_with_a_dead_ring, (void *)&plain), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UCT(no_child_keeps_a_ring_that_another_thread_makes_or_frees),
        UCT(no_child_keeps_a_ring_that_moves),
        UCT(a_fork_leaves_a_ring_alone_that_could_not_move),
    };

    return UCT_RUN("fork_threads", tests);
}
