/* Where the kernel, a limit or a policy says no. Each case runs in a child that it ends with. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support.h"

/* What these limits are about, whatever the environment asks for. */
static const struct uct_options uring = {.ring.backend = UC_BACKEND_URING};

/* A ring is refused with @error, and the probe's sentence names @knob. */
static int is_refused(int error, const char *knob)
{
    struct uc_probe probe = {.size = sizeof(probe)};
    int before = uct_count_fds();
    const struct uc_ring_options options = {.size = sizeof(options), .backend = UC_BACKEND_URING};
    uc_ring *ring = NULL;

    UCT_CHECK(uc_ring_new(&options, &ring) == error);
    UCT_CHECK(!ring);
    UCT_CHECK(uc_probe(&probe) == 0);
    UCT_CHECK(probe.error == error);
    UCT_CHECK(strstr(probe.reason, knob) != NULL);
    UCT_CHECK(strlen(probe.reason) < sizeof(probe.reason) - 1);
    UCT_CHECK(uct_count_fds() == before);
    return 0;
}

static int forbid_setup(void *argument)
{
    int error = *(const int *)argument;

    UCT_CHECK(uct_forbid(SYS_io_uring_setup, error));
    return is_refused(-error, "seccomp");
}

static void a_seccomp_filter_is_named(void **state)
{
    static const int errors[] = {EPERM, ENOSYS, EACCES};

    for (int i = 0; i < 3; i++)
        assert_int_equal(uct_in_child(forbid_setup, (void *)&errors[i]), 0);
}

/* Registering is refused: a ring without what it would have brought still works. */
static int forbid_register(void *argument)
{
    struct uct *t;
    struct uct_link link;
    uint64_t sent = 0;

    UCT_CHECK(uct_forbid(SYS_io_uring_register, EPERM));
    if (uc_ring_new(NULL, &(uc_ring *){NULL}) < 0)
        return 0; /* refused as a whole: fine, if nothing hangs */
    t = uct_open(NULL);
    link = uct_link(t, NULL, 0);
    if (uc_fd_recv_start(link.sink->fd) < 0 ||
        uc_ring_wait(t->ring, t->events, t->max_events, 0) < 0)
        return 0;
    uct_write_all(link.peer, 0, &sent, 10000);
    UCT_UNTIL(t, link.sink->received == sent);
    return 0;
}

static void a_seccomp_filter_on_register_does_not_hang(void **state)
{
    assert_int_equal(uct_in_child(forbid_register, NULL), 0);
}

static int forbid_enter(void *argument)
{
    struct uct *t = uct_open(argument);
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t begin = uct_now_ms(), sent = 0;
    int port_holder = uct_listen(0, 1, 0), again, r;
    uint16_t port = uct_port(port_holder);
    struct uct_sink *listener = uct_attach(t, port_holder, NULL);

    UCT_CHECK(uc_fd_recv_start(link.sink->fd) == 0);
    UCT_CHECK(uc_fd_accept_start(listener->fd) == 0);
    UCT_CHECK(uct_turn(t, 0) == 0);
    UCT_CHECK(uct_forbid(SYS_io_uring_enter, EPERM));
    uct_write_all(link.peer, 0, &sent, 100);
    while ((r = uc_ring_wait(t->ring, t->events, 1, 1000000000)) > 0)
        ;                    /* what the kernel had put there by itself */
    UCT_CHECK(r == -EACCES); /* not what another thread is told */
    UCT_CHECK(uc_ring_wait(t->ring, t->events, 1, -1) == -EACCES);
    UCT_CHECK(uc_fd_recv_stop(link.sink->fd) == -EACCES);
    UCT_CHECK(uc_op_nop(t->ring, 0, NULL) == -EACCES);
    UCT_CHECK(uc_ring_wake(t->ring) == 0);
    UCT_CHECK(uc_ring_free(t->ring) == NULL);
    UCT_CHECK(uc_fd_free(link.sink->fd) == NULL);
    UCT_CHECK(uc_fd_free(listener->fd) == NULL);
    UCT_CHECK(close(port_holder) == 0);
    again = uct_listen(port, 1, 0);
    UCT_CHECK(again >= 0);
    UCT_CHECK(uct_now_ms() - begin < 5000);
    return 0;
}

static void a_seccomp_filter_set_up_later_ends_the_wait_and_freeing_works(void **state)
{
    static const struct uct_options plain = {
        .ring = {.features_off = UINT64_MAX, .backend = UC_BACKEND_URING},
    };

    assert_int_equal(uct_in_child(forbid_enter, (void *)&uring), 0);
    assert_int_equal(uct_in_child(forbid_enter, (void *)&plain), 0);
}

/* The queue is full, and the kernel refuses to take from it. */
static int forbid_enter_with_a_full_queue(void *argument)
{
    static const struct uct_options small = {
        .ring = {.sq_entries = 8, .backend = UC_BACKEND_URING},
    };
    struct uct *t = uct_open(&small);
    int r = 0;

    UCT_CHECK(uct_turn(t, 0) == 0);
    UCT_CHECK(uct_forbid(SYS_io_uring_enter, EPERM));
    for (int i = 0; i < 1000 && r == 0; i++)
        r = uc_op_nop(t->ring, 0, NULL);
    /* A kernel thread that is awake needs no entry. */
    UCT_CHECK(r == -EACCES || (r == 0 && uct_sqpoll_is_forced()));
    UCT_CHECK(r == 0 || uc_ring_wait(t->ring, t->events, 1, -1) == -EACCES);
    UCT_CHECK(uc_ring_free(t->ring) == NULL);
    return 0;
}

static int forbid_register_before_the_first_turn(void *argument)
{
    struct uct *t = uct_open(&uring);

    UCT_CHECK(uct_forbid(SYS_io_uring_register, EPERM));
    UCT_CHECK(uc_ring_wait(t->ring, t->events, 1, 0) == -EACCES);
    UCT_CHECK(uc_op_nop(t->ring, 0, NULL) == -EACCES);
    UCT_CHECK(uc_ring_enable(t->ring) == -EACCES);
    UCT_CHECK(uc_ring_free(t->ring) == NULL);
    return 0;
}

static void a_refusal_is_never_the_answer_to_a_wrong_thread(void **state)
{
    assert_int_equal(uct_in_child(forbid_enter_with_a_full_queue, NULL), 0);
    assert_int_equal(uct_in_child(forbid_register_before_the_first_turn, NULL), 0);
}

static int no_locked_memory(void *argument)
{
    struct uc_probe probe = {.size = sizeof(probe)};

    UCT_CHECK(uct_become_nobody(0));
    UCT_CHECK(is_refused(-ENOMEM, "RLIMIT_MEMLOCK") == 0);
    UCT_CHECK(uc_probe(&probe) == 0);
    UCT_CHECK(probe.memlock_bytes == 0);
    UCT_CHECK(probe.memlock_exempt == 0);
    return 0;
}

static void no_locked_memory_is_named(void **state)
{
    if (!uct_can_limit_rings())
        skip();
    assert_int_equal(uct_in_child(no_locked_memory, NULL), 0);
}

static int many_rings(void *argument)
{
    /* With SQPOLL each waits for the end of its thread. */
    int rings = uct_sqpoll_is_forced() ? 50 : 500;

    UCT_CHECK(uct_become_nobody(8 << 20));
    for (int i = 0; i < rings; i++) {
        struct uct *t = uct_open(&uring);
        struct uct_link link = uct_link(t, NULL, 0);
        uint64_t sent = 0;

        UCT_CHECK(uc_fd_recv_start(link.sink->fd) == 0);
        uct_write_all(link.peer, 0, &sent, 100);
        UCT_UNTIL(t, link.sink->received == sent);
        UCT_CHECK(uct_close(t));
    }
    return 0;
}

static void five_hundred_rings_fit_into_eight_mib_one_after_the_other(void **state)
{
    if (geteuid() != 0)
        skip();
    assert_int_equal(uct_in_child(many_rings, NULL), 0);
}

static int many_rings_at_once(void *argument)
{
    enum {
        COUNT = 1000
    };
    uc_ring **rings = calloc(COUNT, sizeof(*rings));
    struct uc_pool_options small = {
        .size = sizeof(small), .buffer_bytes = 4096, .buffer_count = 1, .buffer_max = 1};
    struct uc_ring_options options = {.size = sizeof(options), .backend = UC_BACKEND_URING};
    struct uc_ring_info info = {.size = sizeof(info)};
    int made = 0, r = 0;

    UCT_CHECK(rings && uct_become_nobody(1 << 20));
    while (made < COUNT) {
        UCT_CHECK(uc_pool_new(&small, &options.pool) == 0);
        r = uc_ring_new(&options, &rings[made]);
        uc_pool_free(options.pool);
        if (r < 0)
            break;
        made++;
    }
    UCT_CHECK(r == -ENOMEM && made > 1);
    UCT_CHECK(uc_ring_get_info(rings[made - 1], &info) == 0);
    UCT_CHECK(info.halvings > 0 && info.sq_entries < 128);
    for (int i = 0; i < made; i++)
        UCT_CHECK(uc_ring_free(rings[i]) == NULL);
    options.pool = NULL;
    r = uc_ring_new(&options, &rings[0]);
    UCT_CHECK(r == 0);
    uc_ring_free(rings[0]);
    free(rings);
    return 0;
}

static void rings_get_smaller_before_they_are_refused(void **state)
{
    if (!uct_can_limit_rings())
        skip();
    assert_int_equal(uct_in_child(many_rings_at_once, NULL), 0);
}

static bool limit_locked_memory(rlim_t bytes)
{
    struct rlimit limit = {bytes, 8 << 20};

    return setrlimit(RLIMIT_MEMLOCK, &limit) == 0;
}

static void *take_over(void *ring)
{
    return uc_ring_enable(ring) < 0 ? ring : NULL;
}

static bool move(uc_ring *ring)
{
    pthread_t thread;
    void *failed = ring;

    return pthread_create(&thread, NULL, take_over, ring) == 0 &&
           pthread_join(thread, &failed) == 0 && !failed;
}

/* 404 KiB for these queues, 202 for half of them; 256 for the pool. */
static int want_for_a_while(void *argument)
{
    struct uct_options large = {
        .ring = {.sq_entries = 4096, .cq_entries = 8192, .backend = UC_BACKEND_URING},
        .pool = {.buffer_bytes = 65536, .buffer_count = 4, .buffer_max = 4},
    };
    bool registered = argument != NULL;
    struct uct *t;

    large.pool.flags = registered ? UC_POOL_REGISTER_REQUIRED : 0;
    UCT_CHECK(uct_become_nobody(8 << 20));
    UCT_CHECK(limit_locked_memory(registered ? 600 << 10 : 350 << 10));
    t = uct_open(&large);
    UCT_CHECK(uct_info(t->ring).halvings > 0 && uct_info(t->ring).sq_entries < 4096);
    UCT_CHECK(strstr(uct_info(t->ring).reason, "smaller"));
    UCT_CHECK(!registered || uct_info(t->ring).features & UC_FEATURE_REGISTERED_BUFFERS);
    UCT_CHECK(uct_turn(t, 0) == 0);
    UCT_CHECK(limit_locked_memory(8 << 20));
    UCT_CHECK(move(t->ring));
    UCT_CHECK(uct_info(t->ring).halvings == 0 && uct_info(t->ring).sq_entries == 4096);
    UCT_CHECK(!strstr(uct_info(t->ring).reason, "smaller"));
    UCT_CHECK(uc_ring_free(t->ring) == NULL);
    return 0;
}

static bool may_register(void)
{
    struct uc_probe probe = {.size = sizeof(probe)};

    assert_int_equal(uc_probe(&probe), 0);
    return !(probe.features_off & UC_FEATURE_REGISTERED_BUFFERS);
}

static void what_is_told_is_of_the_ring_that_was_had_at_last(void **state)
{
    if (!uct_can_limit_rings())
        skip();
    assert_int_equal(uct_in_child(want_for_a_while, NULL), 0);
    if (may_register())
        assert_int_equal(uct_in_child(want_for_a_while, "registered"), 0);
}

static int no_descriptors(void *argument)
{
    struct rlimit none = {3, 3};

    UCT_CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    return uc_ring_new(NULL, &(uc_ring *){NULL}) == -EMFILE ? 0 : __LINE__;
}

static void no_descriptor_for_a_ring_is_told(void **state)
{
    assert_int_equal(uct_in_child(no_descriptors, NULL), 0);
}

/* With one descriptor after the other allowed, making a ring fails at each of its steps. */
static int few_descriptors(void *argument)
{
    struct rlimit few;
    uc_ring *ring = NULL;
    int before = uct_count_fds(), r = -EMFILE;

    for (rlim_t limit = 3; limit < 100 && r < 0; limit++) {
        few = (struct rlimit){limit, 100};
        UCT_CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
        r = uc_ring_new(NULL, &ring);
        UCT_CHECK(r == 0 || r == -EMFILE);
    }
    UCT_CHECK(r == 0);
    uc_ring_free(ring);
    few.rlim_cur = 100;
    UCT_CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    UCT_CHECK(uct_count_fds() == before);
    return 0;
}

static void a_ring_that_cannot_be_made_leaves_no_descriptor(void **state)
{
    assert_int_equal(uct_in_child(few_descriptors, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seccomp_filter_is_named),
        cmocka_unit_test(a_seccomp_filter_on_register_does_not_hang),
        cmocka_unit_test(a_seccomp_filter_set_up_later_ends_the_wait_and_freeing_works),
        cmocka_unit_test(a_refusal_is_never_the_answer_to_a_wrong_thread),
        cmocka_unit_test(no_locked_memory_is_named),
        cmocka_unit_test(five_hundred_rings_fit_into_eight_mib_one_after_the_other),
        cmocka_unit_test(rings_get_smaller_before_they_are_refused),
        cmocka_unit_test(what_is_told_is_of_the_ring_that_was_had_at_last),
        cmocka_unit_test(no_descriptor_for_a_ring_is_told),
        cmocka_unit_test(a_ring_that_cannot_be_made_leaves_no_descriptor),
    };

    unsetenv("UC_BACKEND"); /* the probe is to ask io_uring */
    return UCT_RUN_ON_URING("limits", tests);
}
