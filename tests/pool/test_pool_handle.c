#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "small_pool.h"

static void the_defaults_are_those_of_the_header(void **state)
{
    struct uc_pool_stats stats = {.size = sizeof(stats)};
    uc_pool *pool;

    assert_int_equal(uc_pool_new(NULL, &pool), 0);
    assert_int_equal(uc_pool_get_stats(pool, &stats), 0);
    assert_int_equal(stats.buffer_bytes, 68 << 10);
    assert_int_equal(stats.buffers, 64);
    assert_int_equal(stats.buffers_max, 1024);
    assert_int_equal(stats.free, 64);
    assert_int_equal(stats.generation, 1);
    assert_int_equal(stats.locked_bytes, 0);
    assert_int_equal(stats.registered_bytes, 0);
    assert_int_equal(pool->quarantine_ns, 5000000);
    assert_int_equal(uc_pool_reserved(pool), 1024 * (68 << 10));
    assert_int_equal((uintptr_t)uc_pool_base(pool) % (uintptr_t)sysconf(_SC_PAGESIZE), 0);
    assert_null(uc_pool_free(pool));
}

static void zeros_mean_the_defaults_but_for_quarantine(void **state)
{
    struct uc_pool_options options = {.size = sizeof options};
    uc_pool *pool;

    assert_int_equal(uc_pool_new(&options, &pool), 0);
    assert_int_equal(pool->buffer_bytes, 68 << 10);
    assert_int_equal(pool->count, 64);
    assert_int_equal(pool->max, 1024);
    assert_int_equal(pool->quarantine_ns, 0);
    uc_pool_free(pool);
    options.quarantine_ns = UC_QUARANTINE_DEFAULT;
    options.buffer_count = 3000;
    assert_int_equal(uc_pool_new(&options, &pool), 0);
    assert_int_equal(pool->quarantine_ns, 5000000);
    assert_int_equal(pool->max, 32768);
    uc_pool_free(pool);
}

static void buffers_are_whole_pages(void **state)
{
    struct uc_pool_options options = small();
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uc_pool *pool;

    options.buffer_bytes = 4097;
    assert_int_equal(uc_pool_new(&options, &pool), 0);
    assert_int_equal(pool->buffer_bytes % page, 0);
    assert_true(pool->buffer_bytes >= 4097 && pool->buffer_bytes < 4097 + page);
    uc_pool_free(pool);
}

static void refuse(struct uc_pool_options options, int expected)
{
    uc_pool *untouched = (uc_pool *)&options;

    assert_int_equal(uc_pool_new(&options, &untouched), expected);
    assert_ptr_equal(untouched, &options);
}

static void numbers_out_of_range_are_refused(void **state)
{
    struct uc_pool_options options = small();

#define REFUSE(member, value)                                                                      \
    do {                                                                                           \
        options = small();                                                                         \
        options.member = (value);                                                                  \
        refuse(options, -EINVAL);                                                                  \
    } while (0)
    REFUSE(size, 0);
    REFUSE(size, sizeof options - 4);
    REFUSE(size, UINT32_MAX);
    REFUSE(flags, 16);
    REFUSE(flags, UINT32_MAX);
    REFUSE(reserved, 1);
    REFUSE(buffer_bytes, 1);
    REFUSE(buffer_bytes, 4095);
    REFUSE(buffer_bytes, (16 << 20) + 1);
    REFUSE(buffer_bytes, UINT32_MAX);
    REFUSE(buffer_count, 32769);
    REFUSE(buffer_count, UINT32_MAX);
    REFUSE(buffer_max, 3);
    REFUSE(buffer_max, 32769);
#undef REFUSE
    assert_int_equal(uc_pool_new(&options, NULL), -EINVAL);
}

static void the_ends_of_the_ranges_are_accepted(void **state)
{
    struct uc_pool_options options = small();
    uc_pool *pool;

    options.buffer_count = options.buffer_max = 1;
    assert_int_equal(uc_pool_new(&options, &pool), 0);
    uc_pool_free(pool);
    options.buffer_count = options.buffer_max = 32768;
    assert_int_equal(uc_pool_new(&options, &pool), 0);
    uc_pool_free(pool);
    options.buffer_count = options.buffer_max = 2;
    options.buffer_bytes = 16 << 20;
    assert_int_equal(uc_pool_new(&options, &pool), 0);
    uc_pool_free(pool);
}

static void a_newer_callers_unknown_wish_is_refused(void **state)
{
    struct {
        struct uc_pool_options known;
        uint64_t unknown;
    } options = {small(), 0};
    uc_pool *pool = NULL;

    options.known.size = sizeof options;
    assert_int_equal(uc_pool_new(&options.known, &pool), 0);
    uc_pool_free(pool);
    options.unknown = 1;
    assert_int_equal(uc_pool_new(&options.known, &pool), -E2BIG);
}

static void null_is_refused_or_nothing(void **state)
{
    uc_pool *pool = *state;
    struct uc_pool_stats stats = {.size = sizeof(stats)};
    struct uc_lease lease;

    assert_null(uc_pool_free(NULL));
    assert_null(uc_pool_base(NULL));
    assert_int_equal(uc_pool_reserved(NULL), 0);
    assert_int_equal(uc_pool_lease(NULL, &lease), -EINVAL);
    assert_int_equal(uc_pool_lease(pool, NULL), -EINVAL);
    assert_int_equal(uc_pool_keep(NULL, 1, &lease), -EINVAL);
    assert_int_equal(uc_pool_keep(pool, 1, NULL), -EINVAL);
    assert_int_equal(uc_pool_release(NULL, 1), -EINVAL);
    assert_int_equal(uc_pool_get_stats(NULL, &stats), -EINVAL);
    assert_int_equal(uc_pool_get_stats(pool, NULL), -EINVAL);
    assert_int_equal(pool->by_state[UCI_BUFFER_FREE], 4);
}

static void the_statistics_tell_every_state(void **state)
{
    uc_pool *pool = *state;
    struct uc_pool_stats stats = {.size = sizeof(stats)};
    struct uc_lease leased, released;
    uint32_t index;

    pool->quarantine_ns = 100;
    assert_int_equal(uc_pool_lease(pool, &released), 0);
    assert_int_equal(uc_pool_lease(pool, &leased), 0);
    assert_int_equal(uci_pool_take(pool, &index), 0);
    assert_int_equal(uci_pool_take(pool, &index), 0);
    uci_pool_complete(pool, index, 0, 1);
    assert_int_equal(uci_pool_take(pool, &index), 0);
    assert_int_equal(uc_pool_release(pool, released.token), 0);
    assert_int_equal(uc_pool_get_stats(pool, &stats), 0);
    assert_int_equal(stats.buffers, 8);
    assert_int_equal(stats.free, 3);
    assert_int_equal(stats.in_flight, 2);
    assert_int_equal(stats.completed, 1);
    assert_int_equal(stats.leased, 1);
    assert_int_equal(stats.quarantine, 1);
    assert_int_equal(stats.grown, 1);
    clock_ns += 100;
    assert_int_equal(uc_pool_get_stats(pool, &stats), 0);
    assert_int_equal(stats.free, 4);
    assert_int_equal(stats.quarantine, 0);
    assert_int_equal(uc_pool_release(pool, leased.token), 0);
}

static void the_whole_reserve_can_be_touched(void **state)
{
    uc_pool *pool = *state;

    assert_int_equal(uc_pool_reserved(pool), MAX * pool->buffer_bytes);
    memset(uc_pool_base(pool), 1, uc_pool_reserved(pool));
}

static void a_pool_serves_one_ring_at_a_time(void **state)
{
    uc_pool *pool = *state;

    assert_int_equal(uci_pool_bind(pool), 0);
    assert_int_equal(uci_pool_bind(pool), -EBUSY);
    uci_pool_unbind(pool);
    assert_int_equal(uci_pool_bind(pool), 0);
    uci_pool_unbind(pool);
}

static void a_ring_that_leaves_gives_back_all_but_the_leases(void **state)
{
    uc_pool *pool = *state;
    struct uc_lease kept;
    uint32_t in_flight, completed, held;

    assert_int_equal(uci_pool_bind(pool), 0);
    assert_int_equal(uci_pool_take(pool, &in_flight), 0);
    assert_int_equal(uci_pool_take(pool, &completed), 0);
    assert_int_equal(uci_pool_take(pool, &held), 0);
    uci_pool_complete(pool, completed, 0, 1);
    uci_pool_complete(pool, held, 0, 1);
    assert_int_equal(uc_pool_keep(pool, uci_pool_token(pool, held), &kept), 0);
    uci_pool_unbind(pool);
    assert_int_equal(pool->by_state[UCI_BUFFER_FREE], 3);
    assert_int_equal(pool->by_state[UCI_BUFFER_LEASED], 1);
    assert_int_equal(uc_pool_release(pool, kept.token), 0);
}

static void memory_lives_until_the_last_lease_ends(void **state)
{
    uc_pool *pool = *state;
    uint8_t *base = uc_pool_base(pool);
    struct uc_lease first, second;

    *state = NULL;
    assert_int_equal(uc_pool_lease(pool, &first), 0);
    assert_int_equal(uc_pool_lease(pool, &second), 0);
    assert_null(uc_pool_free(pool));
    memset(base + second.offset, 0x5a, second.capacity);
    assert_int_equal(uc_pool_release(pool, first.token), 0);
    assert_int_equal(uc_pool_release(pool, first.token), -ESTALE);
    assert_true(adds_up(pool) && is_mapped(base));
    assert_int_equal(uc_pool_release(pool, second.token), 0);
    assert_false(is_mapped(base));
}

static void memory_lives_until_the_ring_leaves(void **state)
{
    uc_pool *pool = *state;
    uint8_t *base = uc_pool_base(pool);

    *state = NULL;
    assert_int_equal(uci_pool_bind(pool), 0);
    assert_null(uc_pool_free(pool));
    assert_null(uc_pool_free(pool));
    assert_true(adds_up(pool) && is_mapped(base));
    uci_pool_unbind(pool);
    assert_false(is_mapped(base));
}

static void a_lease_outlives_both_handle_and_ring(void **state)
{
    uc_pool *pool = *state;
    uint8_t *base = uc_pool_base(pool);
    struct uc_lease lease;

    *state = NULL;
    assert_int_equal(uci_pool_bind(pool), 0);
    assert_int_equal(uc_pool_lease(pool, &lease), 0);
    uci_pool_unbind(pool);
    uc_pool_free(pool);
    assert_true(is_mapped(base));
    assert_int_equal(uc_pool_release(pool, lease.token), 0);
    assert_false(is_mapped(base));
}

/* There are 255 pool ids; the pool that gets this one's again must still refuse its leases. */
static void a_lease_of_a_dead_pool_is_refused_by_its_successor(void **state)
{
    struct uc_pool_options options = small();
    uc_pool *pool = *state, *next;
    struct uc_lease lease, fresh;

    assert_int_equal(uc_pool_lease(pool, &lease), 0);
    for (int made = 0; made < 255; made++) {
        assert_int_equal(uc_pool_new(&options, &next), 0);
        if (next->id == pool->id)
            break;
        uc_pool_free(next);
    }
    assert_int_equal(next->id, pool->id);
    assert_int_equal(uc_pool_lease(next, &fresh), 0);
    assert_int_equal(fresh.offset, lease.offset);
    assert_int_equal(uc_pool_release(next, lease.token), -ESTALE);
    assert_int_equal(uc_pool_release(next, fresh.token), 0);
    uc_pool_free(next);
    assert_int_equal(uc_pool_release(pool, lease.token), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_those_of_the_header),
        cmocka_unit_test(zeros_mean_the_defaults_but_for_quarantine),
        cmocka_unit_test(buffers_are_whole_pages),
        cmocka_unit_test(numbers_out_of_range_are_refused),
        cmocka_unit_test(the_ends_of_the_ranges_are_accepted),
        cmocka_unit_test(a_newer_callers_unknown_wish_is_refused),
        TEST(null_is_refused_or_nothing),
        TEST(the_statistics_tell_every_state),
        TEST(the_whole_reserve_can_be_touched),
        TEST(a_pool_serves_one_ring_at_a_time),
        TEST(a_ring_that_leaves_gives_back_all_but_the_leases),
        TEST(memory_lives_until_the_last_lease_ends),
        TEST(memory_lives_until_the_ring_leaves),
        TEST(a_lease_outlives_both_handle_and_ring),
        TEST(a_lease_of_a_dead_pool_is_refused_by_its_successor),
    };

    return cmocka_run_group_tests_name("pool: handle", tests, NULL, NULL);
}
