/*
 * What the suites on real sockets and files share.
 *
 * A test works on a struct uct: a ring, and a sink for each attached descriptor that counts what
 * comes out of it and compares received bytes with the pattern they were sent from. Tear-down ends
 * whatever the test left, and fails the test unless nothing stays behind: nothing in flight, no
 * stale completion, every buffer accounted for, no descriptor, no thread.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include <uc.h>

#define UCT_SINKS 4096
#define UCT_PEERS 8192
#define UCT_EVENTS 256

struct uct_sink {
    uc_fd *fd;
    int number;
    uint64_t seed;     /* of the pattern that is expected */
    uint64_t received; /* bytes, all as expected unless mismatches is counted */
    uint32_t mismatches;
    uint32_t largest; /* record */
    uint32_t records, ends, datagrams, datagram_errors, truncated;
    uint32_t accepts, connects, shutdowns, polls, failed, closed, low_waters;
    uint64_t references;
    int32_t end_result, accept_result, connect_result, shutdown_result;
    int32_t poll_result, failed_result, closed_result;
    uint32_t end_flags, last_kind, after_closed;
    uint32_t unasked; /* records of received data while the test had stopped */
    bool stopped;
    bool ignore_bytes; /* they are no pattern */
    uint8_t last[64];  /* head of the last payload */
    uint8_t address[128];
    uint32_t address_bytes;
    uint32_t last_bytes;
};

struct uct_options {
    struct uc_ring_options ring;
    struct uc_pool_options pool; /* size 0: the ring's own */
    uint32_t max_events;         /* in one uc_ring_wait(); 0: UCT_EVENTS */
};

struct uct {
    uc_ring *ring;
    uc_pool *pool;
    bool pool_is_mine;
    uint32_t max_events;
    struct uct_sink *sinks[UCT_SINKS];
    uint32_t sink_count;
    int peers[UCT_PEERS]; /* closed at tear-down */
    uint32_t peer_count;
    uint32_t operations; /* records of one-shot operations */
    uint64_t operation_cookie;
    int32_t operation_result;
    int accepted[UCT_PEERS];
    uint32_t accepted_count;
    int32_t wait_error; /* of the last turn, 0: none */
    int fds_before, threads_before;
    struct uc_event events[UCT_EVENTS];
};

/* fixture.c */
/* meson test --setup sqpoll: every ring that uct_open() makes has SQPOLL, where the kernel lets it.
 * What is asked of it stays the same; a test that is about the other way asks here. */
bool uct_sqpoll_is_forced(void);
int uct_set_up(void **state); /* *state: struct uct_options or NULL */
int uct_tear_down(void **state);
int uct_main(const char *name, const struct CMUnitTest *tests, size_t count);
int uct_main_on_uring(const char *name, const struct CMUnitTest *tests, size_t count);
struct uct *uct_open(const struct uct_options *options);
bool uct_close(struct uct *t); /* whether nothing stayed behind */
struct uc_ring_stats uct_stats(struct uct *t);
struct uc_ring_info uct_info(uc_ring *ring);
bool uct_moves_whole(struct uct *t); /* a ring's sends go on after a move to another thread */
bool uct_is_uring(struct uct *t);    /* not what stands in for it */
/* Whether that many system calls are right: with SQPOLL it may be fewer. */
bool uct_has_cost(struct uct *t, uint64_t entries_before, uint64_t expected);
int uct_count_fds(void);
int uct_count_threads(void); /* without the kernel's I/O workers, which linger */

/* turn.c */
struct uct_sink *uct_attach(struct uct *t, int number, const struct uc_fd_options *options);
void uct_forget(struct uct *t, struct uct_sink *sink); /* closed and freed */
int uct_turn(struct uct *t, int64_t timeout_ns);
void uct_dispatch(struct uct *t, const struct uc_event *event);
int32_t uct_outcome(struct uct *t, uint64_t cookie); /* of the one operation that is due */
uint64_t uct_now_ms(void);
uint64_t uct_deadline_ms(
    void); /* for what has to come true; longer where UC_TEST_SLOWNESS says so */
void uct_close_now(struct uct *t, struct uct_sink *sink);

#define UCT_TURNS(t, timeout_ns, condition)                                                        \
    do {                                                                                           \
        uint64_t until_ = uct_now_ms() + uct_deadline_ms();                                        \
        while (!(condition)) {                                                                     \
            if (uct_now_ms() > until_)                                                             \
                fail_msg("it did not come true in time: %s", #condition);                          \
            uct_turn(t, timeout_ns);                                                               \
        }                                                                                          \
    } while (0)

/* Turn until @condition holds; for conditions that this ring alone brings about. */
#define UCT_UNTIL(t, condition) UCT_TURNS(t, 100000000, condition)

/* What submitting has brought about by the time it returns; with SQPOLL soon after. */
#define UCT_SOON(t, condition)                                                                     \
    do {                                                                                           \
        if (uct_sqpoll_is_forced())                                                                \
            UCT_UNTIL(t, condition);                                                               \
        assert_true(condition);                                                                    \
    } while (0)

/* Turn until @condition holds; @step drives the other side between turns. */
#define UCT_PUMP(t, step, condition)                                                               \
    do {                                                                                           \
        uint64_t until_ = uct_now_ms() + uct_deadline_ms();                                        \
        while (!(condition)) {                                                                     \
            if (uct_now_ms() > until_)                                                             \
                fail_msg("it did not come true in time: %s", #condition);                          \
            step;                                                                                  \
            uct_turn(t, 200000);                                                                   \
        }                                                                                          \
    } while (0)

#define UCT(test) cmocka_unit_test_setup_teardown(test, uct_set_up, uct_tear_down)
#define UCT_WITH(test, label, options)                                                             \
    {#test " " label, test, uct_set_up, uct_tear_down, (void *)(options)}
#define UCT_RUN(name, tests) uct_main(name, tests, sizeof(tests) / sizeof((tests)[0]))
/* For suites about io_uring itself: they skip where it is refused, whatever the environment asks. */
#define UCT_RUN_ON_URING(name, tests)                                                              \
    uct_main_on_uring(name, tests, sizeof(tests) / sizeof((tests)[0]))

/* sockets.c: all on 127.0.0.1 and on ports that the kernel chooses; all answer or fail the test. */
int uct_peer(struct uct *t, int fd); /* to be closed at tear-down */
void uct_peer_close(struct uct *t, int fd);
int uct_listen(uint16_t port, int backlog, int buffer_bytes);
uint16_t uct_port(int fd);
int uct_connect(uint16_t port, int buffer_bytes);     /* non-blocking, connected */
void uct_tcp_pair(int pair[2], int buffer_bytes);     /* 0: the system's */
void uct_pipe(struct uct *t, int ends[2], int flags); /* closed at tear-down */
int uct_udp(void);
void uct_reset(struct uct *t, int fd); /* close with RST */

/* A connection: one end attached, the other a plain non-blocking socket. */
struct uct_link {
    struct uct_sink *sink;
    int peer;
};
struct uct_link uct_link(struct uct *t, const struct uc_fd_options *options, int buffer_bytes);

/* pattern.c: a stream of bytes known by seed and position. */
void uct_pattern(uint64_t seed, uint64_t position, void *bytes, uint64_t count);
bool uct_matches(uint64_t seed, uint64_t position, const void *bytes, uint64_t count);
/* Move what goes without blocking; *position is where the stream stands. Return: false at the end
 * of the stream or after an error. */
bool uct_write_some(int fd, uint64_t seed, uint64_t *position, uint64_t total);
bool uct_read_some(int fd, uint64_t seed, uint64_t *position);
void uct_write_all(int fd, uint64_t seed, uint64_t *position, uint64_t count);

/* child.c */
typedef int uct_body(void *argument); /* 0, or the line that failed */
int uct_in_child(uct_body *body, void *argument);
#define UCT_CHECK(condition)                                                                       \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return __LINE__;                                                                       \
    } while (0)
bool uct_become_nobody(uint64_t memlock_bytes);
bool uct_can_limit_rings(void); /* by that: by root, on a kernel that charges them */

/* seccomp.c; for children: a filter stays. */
bool uct_forbid(int number, int error); /* a system call is answered with an errno */
bool uct_kill_on_io_uring(void);        /* any of io_uring's ends the process with SIGSYS */
