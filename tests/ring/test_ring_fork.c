/* fork() while operations are in flight. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

struct parts {
    struct uct *t;
    struct uct_link link;
    struct uct_sink *listener;
    uint16_t port;
    uint64_t sent;
};

static struct parts make_parts(struct uct *t)
{
    struct parts parts = {.t = t};
    int fd = uct_listen(0, 64, 0);

    parts.port = uct_port(fd);
    parts.listener = uct_attach(t, fd, NULL);
    parts.link = uct_link(t, NULL, 4096);
    assert_int_equal(uc_fd_accept_start(parts.listener->fd), 0);
    assert_int_equal(uc_fd_recv_start(parts.link.sink->fd), 0);
    uct_turn(t, 0);
    return parts;
}

static void parent_goes_on(struct parts *parts)
{
    uint32_t accepts = parts->listener->accepts;
    uint64_t seen = 0;
    uint8_t bytes[3000];

    uct_write_all(parts->link.peer, 0, &parts->sent, 2000);
    uct_peer(parts->t, uct_connect(parts->port, 0));
    uct_pattern(1, 0, bytes, sizeof(bytes));
    assert_true(uc_fd_send(parts->link.sink->fd, bytes, sizeof(bytes), 0) > 0);
    UCT_PUMP(parts->t, uct_read_some(parts->link.peer, 1, &seen),
             parts->link.sink->received == parts->sent && parts->listener->accepts > accepts &&
                 seen == sizeof(bytes));
    assert_int_equal(parts->link.sink->ends, 0);
}

static int do_nothing(void *argument)
{
    return 0;
}

static int free_everything(void *argument)
{
    struct parts *parts = argument;

    for (uint32_t i = 0; i < parts->t->sink_count; i++)
        if (i % 2)
            UCT_CHECK(uc_fd_free(parts->t->sinks[i]->fd) == NULL);
    UCT_CHECK(uc_ring_free(parts->t->ring) == NULL);
    for (uint32_t i = 0; i < parts->t->sink_count; i++)
        if (i % 2 == 0)
            UCT_CHECK(uc_fd_free(parts->t->sinks[i]->fd) == NULL);
    return 0;
}

static int use_a_fresh_ring(void *argument)
{
    struct parts *parts = argument;
    struct uct *t = uct_open(NULL);
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0;

    UCT_CHECK(uc_fd_recv_start(link.sink->fd) == 0);
    uct_write_all(link.peer, 0, &sent, 10000);
    UCT_UNTIL(t, link.sink->received == sent);
    UCT_CHECK(uc_ring_wait(parts->t->ring, t->events, 1, 0) == -ECHILD);
    UCT_CHECK(uct_close(t));
    return free_everything(argument);
}

static int reinit(void *argument)
{
    struct parts *parts = argument;
    struct uct *t = parts->t;
    struct uc_pool_stats pool = {.size = sizeof(pool)};
    struct uct_link link;
    uint64_t sent = 0;

    UCT_CHECK(uc_ring_reinit(t->ring) == 0);
    UCT_CHECK(uc_ring_reinit(t->ring) == -EALREADY);
    UCT_CHECK(uc_fd_recv_stop(parts->link.sink->fd) == -ESTALE);
    UCT_CHECK(uc_pool_get_stats(t->pool, &pool) == 0);
    UCT_CHECK(pool.generation == 2);
    UCT_CHECK(uct_stats(t).attached == 0);
    link = uct_link(t, NULL, 0);
    UCT_CHECK(uc_fd_recv_start(link.sink->fd) == 0);
    uct_write_all(link.peer, 0, &sent, 10000);
    UCT_UNTIL(t, link.sink->received == sent);
    UCT_CHECK(uc_ring_wake(t->ring) == 0);
    UCT_UNTIL(t, uct_stats(t).wakeups == 1);
    UCT_CHECK(uc_fd_free(parts->link.sink->fd) == NULL);
    UCT_CHECK(uc_fd_close(link.sink->fd, 0) == 0);
    UCT_UNTIL(t, link.sink->closed);
    UCT_CHECK(uct_stats(t).stale == 0);
    UCT_CHECK(uc_ring_free(t->ring) == NULL);
    return 0;
}

/* The number of a handle that was freed before is free to be attached again. */
static int free_then_reinit(void *argument)
{
    struct parts *parts = argument;
    struct uct *t = parts->t;
    int number = parts->link.sink->number;
    uc_fd *again = NULL;

    UCT_CHECK(uc_fd_free(parts->link.sink->fd) == NULL);
    UCT_CHECK(uc_fd_free(parts->listener->fd) == NULL);
    UCT_CHECK(uc_ring_reinit(t->ring) == 0);
    UCT_CHECK(uct_stats(t).attached == 0);
    UCT_CHECK(uc_fd_attach(t->ring, number, NULL, &again) == 0);
    UCT_CHECK(uc_fd_recv_start(again) == 0);
    UCT_CHECK(uc_ring_wait(t->ring, t->events, 1, 0) == 0);
    UCT_CHECK(uct_stats(t).attached == 1);
    UCT_CHECK(uc_ring_free(t->ring) == NULL);
    UCT_CHECK(uc_fd_free(again) == NULL);
    return 0;
}

static void the_parent_goes_on_undisturbed(void **state)
{
    static uct_body *const bodies[] = {do_nothing, free_everything, use_a_fresh_ring, reinit,
                                       free_then_reinit};
    struct parts parts = make_parts(*state);

    for (size_t i = 0; i < 3 * sizeof(bodies) / sizeof(bodies[0]); i++) {
        assert_int_equal(uct_in_child(bodies[i % 5], &parts), 0);
        parent_goes_on(&parts);
    }
    assert_int_equal(uct_stats(*state).stale, 0);
}

static int forked_by_a_child(void *argument)
{
    UCT_CHECK(uct_in_child(reinit, argument) == 0);
    UCT_CHECK(uct_in_child(free_everything, argument) == 0);
    return reinit(argument);
}

static void a_childs_child_works_as_well(void **state)
{
    struct parts parts = make_parts(*state);

    assert_int_equal(uct_in_child(forked_by_a_child, &parts), 0);
    parent_goes_on(&parts);
}

/* A child made without libc is told by the wiped page alone. */
static void a_child_of_a_bare_clone_is_refused(void **state)
{
    struct parts parts = make_parts(*state);
    int status = -1;
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

    if (child == 0) {
        struct uc_event event;
        bool fine = uc_ring_wait(parts.t->ring, &event, 1, 0) == -ECHILD &&
                    uc_fd_send(parts.link.sink->fd, "x", 1, 0) == -ECHILD &&
                    free_everything(&parts) == 0;

        _exit(!fine);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    parent_goes_on(&parts);
}

struct leashed {
    pid_t pid;
    int leash;
};

/* A child that lives, with all it was given but one number, until it is let go. */
static struct leashed fork_on_leash(int closes)
{
    struct leashed child;
    int leash[2];

    assert_int_equal(pipe2(leash, O_CLOEXEC), 0);
    child.pid = fork();
    if (child.pid == 0) {
        char byte;

        close(leash[1]);
        if (closes >= 0)
            close(closes);
        _exit(read(leash[0], &byte, 1) != 0);
    }
    close(leash[0]);
    child.leash = leash[1];
    return child;
}

static void let_go(struct leashed child)
{
    close(child.leash);
    assert_int_equal(waitpid(child.pid, NULL, 0), child.pid);
}

/* In a moment: a child that knows its descriptors has to close its copy first. */
static void expect_free_port(uint16_t port)
{
    uint64_t until = uct_now_ms() + 2000;
    int fd;

    do {
        fd = uct_listen(port, 1, 0);
    } while (fd < 0 && uct_now_ms() <= until);
    assert_true(fd >= 0);
    close(fd);
}

/* A child that lives on and holds copies of everything must not keep the parent's port taken. */
static void the_port_is_free_when_the_parent_closes_while_a_child_lives(void **state)
{
    struct uct *t = *state;
    struct parts parts = make_parts(t);
    struct leashed child = fork_on_leash(parts.listener->number);

    assert_int_equal(uc_fd_close(parts.listener->fd, 0), 0);
    UCT_UNTIL(t, parts.listener->closed);
    expect_free_port(parts.port);
    let_go(child);
}

static void freeing_the_ring_frees_the_port_while_a_child_lives(void **state)
{
    struct uct *t = *state;
    struct parts parts = make_parts(t);
    struct leashed child;

    assert_int_equal(fcntl(parts.listener->number, F_SETFD, FD_CLOEXEC), 0);
    child = fork_on_leash(parts.listener->number);
    t->ring = uc_ring_free(t->ring);
    for (uint32_t i = 0; i < t->sink_count; i++) {
        uc_fd_free(t->sinks[i]->fd);
        close(t->sinks[i]->number);
    }
    expect_free_port(parts.port);
    let_go(child);
}

/* A connection that was accepted, and that nobody has been told of yet, ends when the parent closes
 * it: a child that lives on does not keep it. */
static void connections_nobody_was_told_of_are_closed_in_the_child(void **state)
{
    struct uct *t = *state;
    struct parts parts = make_parts(t);
    struct leashed child;
    int clients[6];
    struct uc_event event;

    for (int round = 0; round < 2; round++) { /* in the second turn in a row, many are accepted */
        for (int i = 0; i < 3; i++)
            clients[round * 3 + i] = uct_peer(t, uct_connect(parts.port, 0));
        assert_int_equal(uc_ring_wait(t->ring, &event, 1, -1), 1);
        assert_int_equal(event.kind, UC_EVENT_ACCEPT);
        close(event.result);
    }
    child = fork_on_leash(-1);
    UCT_UNTIL(t, parts.listener->accepts == 4);
    for (uint32_t i = 0; i < t->accepted_count; i++)
        close(t->accepted[i]);
    t->accepted_count = 0;
    for (int i = 0; i < 6; i++) {
        struct pollfd poll_fd = {.fd = clients[i], .events = POLLIN};
        char byte;

        assert_int_equal(poll(&poll_fd, 1, (int)uct_deadline_ms()), 1);
        assert_int_equal(read(clients[i], &byte, 1), 0);
    }
    let_go(child);
}

/* Connects between libuc's preparations for a fork and the fork. */
static struct {
    struct uct *t;
    uint16_t port;
    int listener; /* 0: not now */
} latecomer;

static void connect_late(void)
{
    struct pollfd waiting = {.fd = latecomer.listener, .events = POLLIN};
    uint64_t until = uct_now_ms() + 100; /* for a kernel that would accept now */

    if (!latecomer.listener)
        return;
    uct_peer(latecomer.t, uct_connect(latecomer.port, 0));
    while (uct_now_ms() < until && poll(&waiting, 1, 0) == 1)
        sched_yield();
}

static int has_no_connection(void *argument)
{
    for (int fd = 0; fd < 1000; fd++) {
        struct sockaddr_in name = {0};
        socklen_t bytes = sizeof(name);

        if (fd != latecomer.listener && getsockname(fd, (struct sockaddr *)&name, &bytes) == 0)
            UCT_CHECK(name.sin_family != AF_INET || ntohs(name.sin_port) != latecomer.port);
    }
    return 0;
}

/* A kernel that does not wait for our entries accepts up to the moment of the fork: it is told not
 * to, and who comes then is accepted afterwards, by the parent alone. */
static void a_connection_of_the_moment_of_the_fork_is_the_parents_alone(void **state)
{
    struct uct *t = *state;
    struct parts parts = make_parts(t);
    int children;

    latecomer.t = t;
    latecomer.port = parts.port;
    latecomer.listener = parts.listener->number;
    for (children = 0; children < 3; children++) {
        if (uct_in_child(has_no_connection, NULL) != 0)
            break;
        UCT_UNTIL(t, parts.listener->accepts == (uint32_t)children + 1);
        close(t->accepted[0]);
        t->accepted_count = 0;
    }
    latecomer.listener = 0;
    assert_int_equal(children, 3);
    parent_goes_on(&parts);
}

static void *free_it(void *argument)
{
    return uc_ring_free(argument);
}

/* From another thread a ring is freed by closing it, for which nobody else may hold it. */
static void a_living_child_does_not_hold_up_freeing_from_another_thread(void **state)
{
    struct uct *t = *state;
    uint64_t begin;
    pthread_t thread;
    struct leashed child;

    (void)make_parts(t);
    child = fork_on_leash(-1);
    begin = uct_now_ms();
    assert_int_equal(pthread_create(&thread, NULL, free_it, t->ring), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    begin = uct_now_ms() - begin;
    t->ring = NULL;
    let_go(child);
    for (uint32_t i = 0; i < t->sink_count; i++) {
        uc_fd_free(t->sinks[i]->fd);
        close(t->sinks[i]->number);
    }
    assert_true(begin < 900); /* after a second it would have been given up */
}

int main(void)
{
    static const struct uct_options plain = {.ring.features_off = UINT64_MAX};
    static const struct uct_options unasked = {.ring.features_off = UC_FEATURE_DEFER_TASKRUN};
    static const struct uct_options single = {.ring.features_off = UC_FEATURE_DEFER_TASKRUN |
                                                                   UC_FEATURE_MULTISHOT_ACCEPT};
    static const struct uct_options thread = {
        .ring = {.sqpoll = UC_SQPOLL_TRY, .sqpoll_idle_ms = 10}};
    const struct CMUnitTest tests[] = {
        UCT(the_parent_goes_on_undisturbed),
        UCT_WITH(the_parent_goes_on_undisturbed, "with nothing new", &plain),
        UCT(a_childs_child_works_as_well),
        UCT(a_child_of_a_bare_clone_is_refused),
        UCT(the_port_is_free_when_the_parent_closes_while_a_child_lives),
        UCT(freeing_the_ring_frees_the_port_while_a_child_lives),
        UCT(connections_nobody_was_told_of_are_closed_in_the_child),
        UCT_WITH(connections_nobody_was_told_of_are_closed_in_the_child, "with nothing new",
                 &plain),
        UCT(a_connection_of_the_moment_of_the_fork_is_the_parents_alone),
        UCT_WITH(a_connection_of_the_moment_of_the_fork_is_the_parents_alone, "with SQPOLL",
                 &thread),
        UCT_WITH(a_connection_of_the_moment_of_the_fork_is_the_parents_alone,
                 "without deferred task work", &unasked),
        UCT_WITH(a_connection_of_the_moment_of_the_fork_is_the_parents_alone,
                 "without deferred task work and multishot accept", &single),
        UCT(a_living_child_does_not_hold_up_freeing_from_another_thread),
    };

    /* What is registered first is called last: behind libuc's own. */
    if (pthread_atfork(connect_late, NULL, NULL))
        return 1;
    return UCT_RUN("fork", tests);
}
