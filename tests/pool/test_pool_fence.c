/* UC_FENCE=1: what is written to a buffer that nobody holds is found. Each death in a child. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fork/fork.h"
#include "small_pool.h"

static uc_pool *new_fenced(void)
{
    struct uc_pool_options options = small();
    uc_pool *pool = NULL;

    options.quarantine_ns = 0;
    assert_int_equal(setenv("UC_FENCE", "1", 1), 0);
    assert_int_equal(uc_pool_new(&options, &pool), 0);
    assert_int_equal(unsetenv("UC_FENCE"), 0);
    return pool;
}

static uint8_t *bytes_of(uc_pool *pool, const struct uc_lease *lease)
{
    return (uint8_t *)uc_pool_base(pool) + lease->offset;
}

/* Return: the signal that ended a child in which @body ran, 0 if none did. */
static int death_in(void (*body)(uc_pool *), uc_pool *pool)
{
    const struct rlimit no_core = {0};
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); /* sanitizers catch it */
        signal(SIGABRT, SIG_DFL);
        setrlimit(RLIMIT_CORE, &no_core);
        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        body(pool);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void write_to_a_free_one(uc_pool *pool)
{
    *(volatile uint8_t *)uc_pool_base(pool) = 1;
}

static void write_beyond_the_first(uc_pool *pool)
{
    ((volatile uint8_t *)uc_pool_base(pool))[pool->buffer_bytes] = 1;
}

static void a_write_to_a_free_buffer_or_beyond_any_is_a_fault(void **state)
{
    uc_pool *pool = new_fenced();
    struct uc_lease leases[COUNT];

    assert_int_equal(death_in(write_to_a_free_one, pool), SIGSEGV);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(uc_pool_lease(pool, &leases[i]), 0);
        memset(bytes_of(pool, &leases[i]), i, leases[i].capacity);
    }
    assert_int_equal(death_in(write_to_a_free_one, pool), 0);
    assert_int_equal(death_in(write_beyond_the_first, pool), SIGSEGV);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(uc_pool_release(pool, leases[i].token), 0);
    assert_int_equal(death_in(write_to_a_free_one, pool), SIGSEGV);
    assert_true(adds_up(pool));
    uc_pool_free(pool);
}

static void the_kernel_cannot_write_to_a_free_buffer_either(void **state)
{
    uc_pool *pool = new_fenced();
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "late", 4), 4);
    assert_int_equal(read(ends[0], uc_pool_base(pool), 4), -1);
    assert_int_equal(errno, EFAULT);
    close(ends[0]);
    close(ends[1]);
    uc_pool_free(pool);
}

static struct uc_lease last;
static uint32_t touched;

/* As the kernel does to memory that it has pinned: past the protection. */
static void write_past_the_fence_and_lease_again(uc_pool *pool)
{
    struct uc_lease lease;
    uint8_t *bytes = bytes_of(pool, &last);

    pool->origin = uci_origin(); /* else it is the parent's */
    if (uc_pool_release(pool, last.token) < 0 || mprotect(bytes, 4096, PROT_READ | PROT_WRITE) < 0)
        return;
    bytes[touched] ^= 1;
    if (mprotect(bytes, 4096, PROT_NONE) == 0)
        (void)uc_pool_lease(pool, &lease);
}

static void a_write_past_the_protection_is_told_at_the_next_use(void **state)
{
    const uint32_t places[] = {0, 255, 4096 - 256, 4095};
    uc_pool *pool = new_fenced();

    assert_int_equal(uc_pool_lease(pool, &last), 0);
    for (uint32_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        touched = places[i];
        assert_int_equal(death_in(write_past_the_fence_and_lease_again, pool), SIGABRT);
    }
    assert_int_equal(uc_pool_release(pool, last.token), 0);
    uc_pool_free(pool);
}

static void what_grows_is_fenced_and_what_is_used_well_is_not_complained_of(void **state)
{
    uc_pool *pool = new_fenced();
    struct uc_lease leases[MAX];

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MAX; i++) {
            assert_int_equal(uc_pool_lease(pool, &leases[i]), 0);
            memset(bytes_of(pool, &leases[i]), round, leases[i].capacity);
        }
        for (int i = 0; i < MAX; i++)
            assert_int_equal(uc_pool_release(pool, leases[i].token), 0);
    }
    assert_int_equal(pool->count, MAX);
    assert_int_equal(death_in(write_to_a_free_one, pool), SIGSEGV);
    assert_true(adds_up(pool));
    uc_pool_free(pool);
}

static bool has_little_room_for_mappings(void)
{
    FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
    long most = 0;
    bool known = file && fscanf(file, "%ld", &most) == 1;

    if (file)
        fclose(file);
    return known && most <= 100000;
}

static void lease_where_nothing_can_be_mapped_any_more(uc_pool *pool)
{
    struct uc_lease lease;
    int access = PROT_NONE;

    pool->origin = uci_origin(); /* else it is the parent's */
    while (mmap(NULL, 4096, access ^= PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        ;
    for (int i = 0; i < COUNT; i++)
        if (uc_pool_lease(pool, &lease) == 0)
            memset(bytes_of(pool, &lease), i, lease.capacity);
}

static void it_works_also_where_the_kernel_cannot_open_one_buffer_alone(void **state)
{
    uc_pool *pool;

    (void)state;
    if (!has_little_room_for_mappings())
        skip();
    pool = new_fenced();
    assert_int_equal(death_in(lease_where_nothing_can_be_mapped_any_more, pool), 0);
    uc_pool_free(pool);
}

static void an_unfenced_pool_is_as_ever(void **state)
{
    uc_pool *pool = *state;

    assert_int_equal(pool->stride, pool->buffer_bytes);
    assert_int_equal(death_in(write_to_a_free_one, pool), 0);
    assert_int_equal(death_in(write_beyond_the_first, pool), 0);
}

static void a_word_that_is_not_known_is_refused(void **state)
{
    uc_pool *pool = NULL;

    assert_int_equal(setenv("UC_FENCE", "yes", 1), 0);
    assert_int_equal(uc_pool_new(NULL, &pool), -EINVAL);
    assert_null(pool);
    assert_int_equal(setenv("UC_FENCE", "0", 1), 0);
    assert_int_equal(uc_pool_new(NULL, &pool), 0);
    assert_int_equal(pool->stride, pool->buffer_bytes);
    assert_int_equal(unsetenv("UC_FENCE"), 0);
    uc_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_unfenced_pool_is_as_ever, set_up, tear_down),
        cmocka_unit_test(a_write_to_a_free_buffer_or_beyond_any_is_a_fault),
        cmocka_unit_test(the_kernel_cannot_write_to_a_free_buffer_either),
        cmocka_unit_test(a_write_past_the_protection_is_told_at_the_next_use),
        cmocka_unit_test(what_grows_is_fenced_and_what_is_used_well_is_not_complained_of),
        cmocka_unit_test(it_works_also_where_the_kernel_cannot_open_one_buffer_alone),
        cmocka_unit_test(a_word_that_is_not_known_is_refused),
    };

    return cmocka_run_group_tests_name("fence", tests, NULL, NULL);
}
