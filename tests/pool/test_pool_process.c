/* Locked memory and forked children: every rule here is checked in a process of its own. */
#include <errno.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "small_pool.h"

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define LOCKING_IS_IGNORED 1 /* sanitizers replace mlock() by nothing */
#else
#define LOCKING_IS_IGNORED 0
#endif

#define NOBODY 65534

/* In children: cmocka's asserts would go on with the parent's tests. A body returns 0 or a line. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return __LINE__;                                                                       \
    } while (0)

static int in_child(int (*body)(uc_pool *pool), uc_pool *pool)
{
    pid_t child = fork();
    int status = -1;

    if (child == 0) {
        int line = body(pool);

        if (line)
            fprintf(stderr, "child: line %d\n", line);
        _exit(line != 0);
    }
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

/* Locking is limited to @bytes for this child, who has no privilege. */
static bool limit_locking(uint64_t bytes)
{
    struct rlimit limit = {bytes, bytes};

    if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0)
        return false;
    return geteuid() != 0 || (setgroups(0, NULL) == 0 && setuid(NOBODY) == 0);
}

static uc_pool *new_locked(uint32_t flags, uint64_t *ret_locked_bytes, int *ret_error)
{
    struct uc_pool_options options = small();
    struct uc_pool_stats stats = {.size = sizeof(stats)};
    uc_pool *pool = NULL;

    options.flags = flags;
    *ret_error = uc_pool_new(&options, &pool);
    if (pool)
        uc_pool_get_stats(pool, &stats);
    *ret_locked_bytes = stats.locked_bytes;
    return pool;
}

static int lock_within_the_limit(uc_pool *pool)
{
    uint64_t bytes = 4 * (uint64_t)pool->buffer_bytes, locked;
    int error;

    CHECK(limit_locking(bytes + pool->buffer_bytes));
    pool = new_locked(UC_POOL_MLOCK, &locked, &error);
    CHECK(pool && locked == bytes);
    uc_pool_free(pool);
    pool = new_locked(UC_POOL_MLOCK_REQUIRED, &locked, &error);
    CHECK(pool && locked == bytes);
    uc_pool_free(pool);
    return 0;
}

static int grow_beyond_the_limit(uc_pool *pool)
{
    uint64_t bytes = 4 * (uint64_t)pool->buffer_bytes, locked;
    uint32_t index;
    int error;

    CHECK(limit_locking(bytes + pool->buffer_bytes));
    pool = new_locked(UC_POOL_MLOCK, &locked, &error);
    CHECK(pool);
    for (int i = 0; i < 5; i++)
        CHECK(uci_pool_take(pool, &index) == 0);
    CHECK(pool->count == 8 && pool->locked_bytes == bytes && adds_up(pool));
    uc_pool_free(pool);
    pool = new_locked(UC_POOL_MLOCK_REQUIRED, &locked, &error);
    CHECK(pool);
    for (int i = 0; i < 4; i++)
        CHECK(uci_pool_take(pool, &index) == 0);
    CHECK(uci_pool_take(pool, &index) == -ENOBUFS);
    CHECK(pool->count == 4 && pool->locked_bytes == bytes && adds_up(pool));
    CHECK(pool->exhausted == 1 && pool->grown == 0);
    uc_pool_free(pool);
    return 0;
}

static int grow_within_the_limit(uc_pool *pool)
{
    uint64_t bytes = 8 * (uint64_t)pool->buffer_bytes, locked;
    uint32_t index;
    int error;

    CHECK(limit_locking(bytes));
    pool = new_locked(UC_POOL_MLOCK_REQUIRED, &locked, &error);
    CHECK(pool);
    for (int i = 0; i < 5; i++)
        CHECK(uci_pool_take(pool, &index) == 0);
    CHECK(pool->count == 8 && pool->locked_bytes == bytes);
    uc_pool_free(pool);
    return 0;
}

static int lock_above_the_limit(uc_pool *pool)
{
    uint64_t locked;
    int error;

    CHECK(limit_locking(pool->buffer_bytes));
    pool = new_locked(UC_POOL_MLOCK, &locked, &error);
    CHECK(pool && locked == 0);
    uc_pool_free(pool);
    CHECK(!new_locked(UC_POOL_MLOCK_REQUIRED, &locked, &error) && error == -ENOMEM);
    return 0;
}

static int lock_where_none_is_allowed(uc_pool *pool)
{
    uint64_t locked;
    int error;

    CHECK(limit_locking(0));
    pool = new_locked(UC_POOL_MLOCK, &locked, &error);
    CHECK(pool && locked == 0);
    uc_pool_free(pool);
    CHECK(!new_locked(UC_POOL_MLOCK_REQUIRED, &locked, &error) && error == -EPERM);
    return 0;
}

static void run_locking(void **state, int (*body)(uc_pool *pool))
{
    if (LOCKING_IS_IGNORED)
        skip();
    assert_int_equal(in_child(body, *state), 0);
}

static void locked_memory_is_reported(void **state)
{
    run_locking(state, lock_within_the_limit);
}

static void growth_is_locked_too(void **state)
{
    run_locking(state, grow_within_the_limit);
}

static void growth_beyond_the_limit_is_unlocked_or_refused(void **state)
{
    run_locking(state, grow_beyond_the_limit);
}

static void memory_above_the_limit_is_unlocked_or_refused(void **state)
{
    run_locking(state, lock_above_the_limit);
}

static void where_locking_is_forbidden_the_error_says_so(void **state)
{
    run_locking(state, lock_where_none_is_allowed);
}

static uint64_t lease_token; /* taken before the fork */

static int try_everything(uc_pool *pool)
{
    struct uc_pool_stats stats = {.size = sizeof(stats), .buffers = 77};
    struct uc_lease lease = {1, 2, 3};
    uint8_t *base = uc_pool_base(pool);

    CHECK(uc_pool_lease(pool, &lease) == -ECHILD);
    CHECK(uc_pool_keep(pool, lease_token, &lease) == -ECHILD);
    CHECK(uc_pool_release(pool, lease_token) == -ECHILD);
    CHECK(uc_pool_get_stats(pool, &stats) == -ECHILD);
    CHECK(uci_pool_bind(pool) == -ECHILD);
    CHECK(lease.token == 1 && stats.buffers == 77 && adds_up(pool));
    CHECK(base && uc_pool_reserved(pool) == (uint64_t)MAX * pool->buffer_bytes && is_mapped(base));
    base[0] = 99;
    CHECK(!uc_pool_free(pool));
    CHECK(!is_mapped(base));
    return 0;
}

static void in_a_child_everything_is_refused_but_freeing(void **state)
{
    uc_pool *pool = *state;
    uint8_t *base = uc_pool_base(pool);
    struct uc_lease lease;

    assert_int_equal(uc_pool_lease(pool, &lease), 0);
    lease_token = lease.token;
    base[0] = 1;
    assert_int_equal(in_child(try_everything, pool), 0);
    assert_true(base[0] == 1 && pool->refused == 0);
    assert_int_equal(uc_pool_release(pool, lease.token), 0);
}

static int free_then_leave(uc_pool *pool)
{
    uint8_t *base = uc_pool_base(pool);

    uc_pool_free(pool);
    CHECK(is_mapped(base) && pool->bound);
    uci_pool_unbind(pool);
    CHECK(!is_mapped(base));
    return 0;
}

static int leave_then_free(uc_pool *pool)
{
    uint8_t *base = uc_pool_base(pool);

    uci_pool_unbind(pool);
    CHECK(is_mapped(base) && !pool->bound);
    uc_pool_free(pool);
    CHECK(!is_mapped(base));
    return 0;
}

static void in_a_child_memory_lives_until_the_childs_ring_leaves(void **state)
{
    uc_pool *pool = *state;
    struct uc_lease lease;
    uint32_t index;

    assert_int_equal(uci_pool_bind(pool), 0);
    assert_int_equal(uci_pool_take(pool, &index), 0);
    assert_int_equal(uc_pool_lease(pool, &lease), 0);
    assert_int_equal(in_child(free_then_leave, pool), 0);
    assert_int_equal(in_child(leave_then_free, pool), 0);
    uc_pool_release(pool, lease.token);
    uci_pool_unbind(pool);
}

static int begin_anew(uc_pool *pool)
{
    uint8_t *base = uc_pool_base(pool);
    struct uc_pool_stats stats = {.size = sizeof(stats)};
    struct uc_lease lease;

    uci_pool_reinit(pool);
    CHECK(adds_up(pool) && pool->bound);
    CHECK(uc_pool_get_stats(pool, &stats) == 0);
    CHECK(stats.generation == 2 && stats.free == 4 && stats.buffers == 4);
    CHECK(uc_pool_release(pool, lease_token) == -ESTALE);
    for (int i = 0; i < 4; i++) {
        CHECK(uc_pool_lease(pool, &lease) == 0);
        CHECK(uc_pool_release(pool, lease_token) == -ESTALE);
        CHECK(lease.token != lease_token);
    }
    CHECK(uc_pool_release(pool, lease.token) == 0);
    CHECK(adds_up(pool));
    uci_pool_unbind(pool);
    CHECK(uci_pool_bind(pool) == 0);
    uci_pool_unbind(pool);
    for (uint32_t index = 0; index < 3; index++)
        CHECK(uc_pool_release(pool, uci_pool_token(pool, index)) == 0);
    uc_pool_free(pool);
    CHECK(!is_mapped(base));
    return 0;
}

static void begun_anew_in_a_child_it_works_and_refuses_the_parents_leases(void **state)
{
    uc_pool *pool = *state;
    struct uc_lease lease, rests;
    uint32_t index;

    assert_int_equal(uci_pool_bind(pool), 0);
    pool->quarantine_ns = 100;
    assert_int_equal(uc_pool_lease(pool, &lease), 0);
    assert_int_equal(uc_pool_lease(pool, &rests), 0);
    assert_int_equal(uc_pool_release(pool, rests.token), 0);
    assert_int_equal(uci_pool_take(pool, &index), 0);
    pool->quarantine_ns = 0;
    lease_token = lease.token;
    assert_int_equal(in_child(begin_anew, pool), 0);
    assert_int_equal(pool->generation, 1);
    assert_int_equal(uc_pool_release(pool, lease.token), 0);
    uci_pool_unbind(pool);
}

/* What the kernel says this process has locked, in KiB. */
static long locked_kib(void)
{
    FILE *status = fopen("/proc/self/status", "re");
    char line[256];
    long kib = -1;

    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "VmLck: %ld", &kib) == 1)
            break;
    if (status)
        fclose(status);
    return kib;
}

static int lock_anew(uc_pool *pool)
{
    uint64_t bytes = 4 * (uint64_t)pool->buffer_bytes;

    CHECK(locked_kib() == 0);
    uci_pool_reinit(pool);
    CHECK(pool->locked_bytes == bytes && locked_kib() == (long)(bytes >> 10));
    uc_pool_free(pool);
    CHECK(locked_kib() == 0);
    return 0;
}

static void begun_anew_it_is_locked_again(void **state)
{
    uint64_t locked;
    int error;
    uc_pool *pool = new_locked(UC_POOL_MLOCK, &locked, &error);

    assert_non_null(pool);
    if (LOCKING_IS_IGNORED || !locked) {
        uc_pool_free(pool);
        skip();
    }
    assert_int_equal(in_child(lock_anew, pool), 0);
    uc_pool_free(pool);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(locked_memory_is_reported),
        TEST(growth_is_locked_too),
        TEST(growth_beyond_the_limit_is_unlocked_or_refused),
        TEST(memory_above_the_limit_is_unlocked_or_refused),
        TEST(where_locking_is_forbidden_the_error_says_so),
        TEST(in_a_child_everything_is_refused_but_freeing),
        TEST(in_a_child_memory_lives_until_the_childs_ring_leaves),
        TEST(begun_anew_in_a_child_it_works_and_refuses_the_parents_leases),
        cmocka_unit_test(begun_anew_it_is_locked_again),
    };

    return cmocka_run_group_tests_name("pool: locking and forking", tests, NULL, NULL);
}
