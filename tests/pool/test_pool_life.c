#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "small_pool.h"

static uint32_t take(uc_pool *pool)
{
    uint32_t index = UCI_BUFFER_NONE;

    assert_int_equal(uci_pool_take(pool, &index), 0);
    assert_true(index < pool->count);
    assert_int_equal(pool->buffers[index].state, UCI_BUFFER_IN_FLIGHT);
    return index;
}

static uint32_t take_and_complete(uc_pool *pool)
{
    uint32_t index = take(pool);

    uci_pool_complete(pool, index, 0, 100);
    return index;
}

static struct uc_lease lease(uc_pool *pool)
{
    struct uc_lease leased = {0};

    assert_int_equal(uc_pool_lease(pool, &leased), 0);
    assert_true(leased.token != 0);
    return leased;
}

static uint32_t state_of(uc_pool *pool, uint32_t index)
{
    return pool->buffers[index].state;
}

static void what_came_back_last_is_taken_first(void **state)
{
    uc_pool *pool = *state;
    uint32_t a = take(pool), b = take(pool);

    assert_int_equal(a, 0);
    assert_int_equal(b, 1);
    uci_pool_recycle(pool, a);
    uci_pool_recycle(pool, b);
    assert_int_equal(take(pool), b);
    assert_int_equal(take(pool), a);
}

static void a_buffer_goes_round_free_in_flight_completed_free(void **state)
{
    uc_pool *pool = *state;
    uint32_t index = take(pool);

    uci_pool_complete(pool, index, 128, 77);
    assert_int_equal(state_of(pool, index), UCI_BUFFER_COMPLETED);
    assert_int_equal(pool->buffers[index].start, 128);
    assert_int_equal(pool->buffers[index].length, 77);
    uci_pool_recycle(pool, index);
    assert_int_equal(state_of(pool, index), UCI_BUFFER_FREE);
    assert_int_equal(pool->by_state[UCI_BUFFER_FREE], COUNT);
}

static void a_payload_that_waited_can_be_told_anew(void **state)
{
    uc_pool *pool = *state;
    uint32_t index = take_and_complete(pool);
    uint64_t token = uci_pool_token(pool, index);

    uci_pool_complete(pool, index, 60, 40);
    assert_int_equal(pool->buffers[index].start, 60);
    assert_int_equal(pool->buffers[index].length, 40);
    assert_int_equal(pool->by_state[UCI_BUFFER_COMPLETED], 1);
    assert_true(uci_pool_token(pool, index) == token);
}

static void a_buffer_can_come_back_without_data(void **state)
{
    uc_pool *pool = *state;
    uint32_t index = take(pool);

    uci_pool_recycle(pool, index);
    assert_int_equal(state_of(pool, index), UCI_BUFFER_FREE);
}

static void a_kept_buffer_is_not_recycled(void **state)
{
    uc_pool *pool = *state;
    uint32_t index = take_and_complete(pool);
    uint64_t token = uci_pool_token(pool, index);
    struct uc_lease kept = {0};

    assert_int_equal(uc_pool_keep(pool, token, &kept), 0);
    assert_true(kept.token == token);
    assert_int_equal(kept.offset, index * 4096u);
    assert_int_equal(kept.capacity, 4096);
    uci_pool_recycle(pool, index);
    uci_pool_recycle_token(pool, token);
    assert_int_equal(state_of(pool, index), UCI_BUFFER_LEASED);
    assert_int_equal(uc_pool_release(pool, kept.token), 0);
}

static void a_record_does_not_recycle_a_later_life_of_its_buffer(void **state)
{
    uc_pool *pool = *state;
    struct uc_lease kept;
    uint32_t index = take_and_complete(pool);
    uint64_t token = uci_pool_token(pool, index);

    pool->quarantine_ns = 0;
    assert_int_equal(uc_pool_keep(pool, token, &kept), 0);
    assert_int_equal(uc_pool_release(pool, kept.token), 0);
    assert_int_equal(take(pool), index);
    uci_pool_recycle_token(pool, token);
    assert_int_equal(state_of(pool, index), UCI_BUFFER_IN_FLIGHT);
    uci_pool_recycle_token(pool, uci_pool_token(pool, index));
    assert_int_equal(state_of(pool, index), UCI_BUFFER_FREE);
}

static void keeping_twice_is_refused_and_changes_nothing(void **state)
{
    uc_pool *pool = *state;
    uint64_t token = uci_pool_token(pool, take_and_complete(pool));
    struct uc_lease kept, untouched = {1, 2, 3};

    assert_int_equal(uc_pool_keep(pool, token, &kept), 0);
    assert_int_equal(uc_pool_keep(pool, token, &untouched), -ESTALE);
    assert_int_equal(untouched.token, 1);
    assert_int_equal(untouched.offset, 2);
    assert_int_equal(untouched.capacity, 3);
    assert_int_equal(pool->by_state[UCI_BUFFER_LEASED], 1);
    assert_int_equal(pool->refused, 1);
}

static void keeping_a_payload_that_was_taken_back_is_refused(void **state)
{
    uc_pool *pool = *state;
    uint32_t index = take_and_complete(pool);
    uint64_t token = uci_pool_token(pool, index);
    struct uc_lease kept;

    uci_pool_recycle(pool, index);
    assert_int_equal(uc_pool_keep(pool, token, &kept), -ESTALE);
    assert_int_equal(take_and_complete(pool), index);
    assert_int_equal(uc_pool_keep(pool, token, &kept), -ESTALE);
    assert_int_equal(state_of(pool, index), UCI_BUFFER_COMPLETED);
    assert_int_equal(pool->refused, 2);
}

static void what_the_kernel_has_cannot_be_kept_or_released(void **state)
{
    uc_pool *pool = *state;
    uint32_t index = take(pool);
    uint64_t token = uci_pool_token(pool, index);
    struct uc_lease kept;

    assert_int_equal(uc_pool_keep(pool, token, &kept), -ESTALE);
    assert_int_equal(uc_pool_release(pool, token), -ESTALE);
    assert_int_equal(state_of(pool, index), UCI_BUFFER_IN_FLIGHT);
}

static void a_record_that_was_not_kept_cannot_be_released(void **state)
{
    uc_pool *pool = *state;
    uint32_t index = take_and_complete(pool);

    assert_int_equal(uc_pool_release(pool, uci_pool_token(pool, index)), -ESTALE);
    assert_int_equal(state_of(pool, index), UCI_BUFFER_COMPLETED);
}

static void released_twice_is_refused_and_changes_nothing(void **state)
{
    uc_pool *pool = *state;
    struct uc_lease first = lease(pool), second = lease(pool);

    assert_int_equal(uc_pool_release(pool, first.token), 0);
    assert_int_equal(uc_pool_release(pool, first.token), -ESTALE);
    assert_int_equal(pool->by_state[UCI_BUFFER_LEASED], 1);
    assert_int_equal(pool->by_state[UCI_BUFFER_QUARANTINE], 1);
    clock_ns += QUARANTINE_NS;
    uci_pool_expire(pool);
    assert_int_equal(uc_pool_release(pool, first.token), -ESTALE);
    assert_int_equal(lease(pool).offset, first.offset);
    assert_int_equal(uc_pool_release(pool, first.token), -ESTALE);
    assert_int_equal(pool->refused, 3);
    assert_int_equal(uc_pool_release(pool, second.token), 0);
}

static void a_foreign_lease_is_refused_and_changes_nothing(void **state)
{
    uc_pool *pool = *state, *other;
    struct uc_lease own = lease(pool), foreign, kept;

    assert_int_equal(uc_pool_new(NULL, &other), 0);
    foreign = lease(other);
    assert_int_equal(uc_pool_release(pool, foreign.token), -EINVAL);
    assert_int_equal(uc_pool_keep(pool, foreign.token, &kept), -EINVAL);
    assert_int_equal(uc_pool_release(other, own.token), -EINVAL);
    assert_int_equal(pool->refused, 2);
    assert_int_equal(other->refused, 1);
    assert_true(adds_up(pool) && adds_up(other));
    assert_int_equal(uc_pool_release(other, foreign.token), 0);
    uc_pool_free(other);
}

static void what_names_no_buffer_is_refused(void **state)
{
    uc_pool *pool = *state;
    uint64_t here = (uint64_t)pool->id << 24;
    uint64_t generation = (uint64_t)pool->first_generation << 32;

    assert_int_equal(uc_pool_release(pool, 0), -EINVAL);
    assert_int_equal(uc_pool_release(pool, UINT64_MAX), -EINVAL);
    assert_int_equal(uc_pool_release(pool, generation | here | COUNT), -EINVAL);
    assert_int_equal(uc_pool_release(pool, generation | here | 0xffffff), -EINVAL);
    assert_int_equal(uc_pool_release(pool, generation | here), -ESTALE);
}

static void a_released_lease_rests_for_the_quarantine(void **state)
{
    uc_pool *pool = *state;

    assert_true(uci_pool_expire(pool) == -1);
    assert_int_equal(uc_pool_release(pool, lease(pool).token), 0);
    assert_true(uci_pool_expire(pool) == QUARANTINE_NS);
    clock_ns += QUARANTINE_NS - 1;
    assert_true(uci_pool_expire(pool) == 1);
    assert_int_equal(pool->by_state[UCI_BUFFER_QUARANTINE], 1);
    clock_ns++;
    assert_true(uci_pool_expire(pool) == -1);
    assert_int_equal(pool->by_state[UCI_BUFFER_QUARANTINE], 0);
    assert_int_equal(pool->by_state[UCI_BUFFER_FREE], COUNT);
}

static void quarantine_ends_in_the_order_of_release(void **state)
{
    uc_pool *pool = *state;
    struct uc_lease a = lease(pool), b = lease(pool), c = lease(pool);

    assert_int_equal(uc_pool_release(pool, b.token), 0);
    clock_ns += 10;
    assert_int_equal(uc_pool_release(pool, c.token), 0);
    clock_ns += 10;
    assert_int_equal(uc_pool_release(pool, a.token), 0);
    clock_ns += QUARANTINE_NS - 20;
    assert_true(uci_pool_expire(pool) == 10);
    assert_int_equal(state_of(pool, (uint32_t)(b.offset / 4096)), UCI_BUFFER_FREE);
    clock_ns += 10;
    assert_true(uci_pool_expire(pool) == 10);
    assert_int_equal(state_of(pool, (uint32_t)(c.offset / 4096)), UCI_BUFFER_FREE);
    assert_int_equal(state_of(pool, (uint32_t)(a.offset / 4096)), UCI_BUFFER_QUARANTINE);
    clock_ns += 10;
    assert_true(uci_pool_expire(pool) == -1);
}

static void without_quarantine_a_lease_is_free_at_once(void **state)
{
    uc_pool *pool = *state;

    pool->quarantine_ns = 0;
    assert_int_equal(uc_pool_release(pool, lease(pool).token), 0);
    assert_int_equal(pool->by_state[UCI_BUFFER_FREE], COUNT);
    assert_true(uci_pool_expire(pool) == -1);
}

static void an_endless_quarantine_does_not_wrap(void **state)
{
    uc_pool *pool = *state;

    clock_ns = 1000;
    pool->quarantine_ns = UINT64_MAX - 10;
    assert_int_equal(uc_pool_release(pool, lease(pool).token), 0);
    assert_true(uci_pool_expire(pool) == INT64_MAX);
    assert_int_equal(pool->by_state[UCI_BUFFER_QUARANTINE], 1);
}

static void a_lease_is_the_callers_to_write(void **state)
{
    uc_pool *pool = *state;
    struct uc_lease leased = lease(pool);

    memset((uint8_t *)uc_pool_base(pool) + leased.offset, 0xa5, leased.capacity);
    assert_int_equal(uc_pool_release(pool, leased.token), 0);
}

static void the_pool_doubles_until_it_may_grow_no_more(void **state)
{
    uc_pool *pool = *state;
    void *base = uc_pool_base(pool);
    uint32_t index = 77;

    for (uint32_t taken = 0; taken < MAX; taken++) {
        assert_int_equal(take(pool), taken);
        assert_int_equal(pool->count, taken < 4 ? 4 : taken < 8 ? 8 : 16);
    }
    assert_int_equal(pool->grown, 2);
    assert_int_equal(pool->exhausted, 0);
    assert_int_equal(uci_pool_take(pool, &index), -ENOBUFS);
    assert_int_equal(index, 77);
    assert_int_equal(pool->exhausted, 1);
    assert_ptr_equal(uc_pool_base(pool), base);
}

static void what_has_rested_is_used_before_the_pool_grows(void **state)
{
    uc_pool *pool = *state;
    struct uc_lease leased = lease(pool);

    for (int i = 1; i < COUNT; i++)
        take(pool);
    assert_int_equal(uc_pool_release(pool, leased.token), 0);
    clock_ns += QUARANTINE_NS;
    assert_int_equal(take(pool), leased.offset / 4096);
    assert_int_equal(pool->grown, 0);
}

static void what_still_rests_is_not_used_even_when_all_is_gone(void **state)
{
    uc_pool *pool = *state;
    struct uc_lease leased = lease(pool);
    uint32_t index;

    for (int i = 1; i < MAX; i++)
        take(pool);
    assert_int_equal(uc_pool_release(pool, leased.token), 0);
    assert_int_equal(uci_pool_take(pool, &index), -ENOBUFS);
    assert_int_equal(uc_pool_lease(pool, &leased), -ENOBUFS);
    assert_int_equal(pool->exhausted, 2);
}

static void an_exhausted_pool_leaves_the_lease_untouched(void **state)
{
    uc_pool *pool = *state;
    struct uc_lease leased = {1, 2, 3};

    for (int i = 0; i < MAX; i++)
        take(pool);
    assert_int_equal(uc_pool_lease(pool, &leased), -ENOBUFS);
    assert_int_equal(leased.token, 1);
    assert_int_equal(pool->references, 1);
}

/* 200 000 changes drawn from one number; @held says in whose hands each buffer is. */
static void no_sequence_of_changes_puts_a_buffer_in_two_hands(void **state)
{
    uc_pool *pool = *state;
    uint64_t seed = 0x853c49e6748fea9bu, held[MAX] = {0}, ended = 0;
    struct uc_lease leased;

    for (int round = 0; round < 200000; round++) {
        uint32_t index, some;

        seed ^= seed >> 12;
        seed ^= seed << 25;
        seed ^= seed >> 27;
        some = (uint32_t)(seed >> 40) % MAX;
        switch ((seed >> 20) % 7) {
        case 0:
            if (uci_pool_take(pool, &index) == 0) {
                assert_int_equal(held[index], 0);
                held[index] = uci_pool_token(pool, index);
            }
            break;
        case 1:
            if (uc_pool_lease(pool, &leased) == 0) {
                assert_int_equal(held[leased.offset / 4096], 0);
                held[leased.offset / 4096] = leased.token;
            }
            break;
        case 2:
            if (held[some] && state_of(pool, some) == UCI_BUFFER_IN_FLIGHT)
                uci_pool_complete(pool, some, 0, 1);
            break;
        case 3:
            if (held[some] && state_of(pool, some) == UCI_BUFFER_COMPLETED)
                assert_int_equal(uc_pool_keep(pool, held[some], &leased), 0);
            break;
        case 4:
            if (held[some] && state_of(pool, some) == UCI_BUFFER_LEASED) {
                assert_int_equal(uc_pool_release(pool, held[some]), 0);
                ended = held[some];
                held[some] = 0;
            }
            break;
        case 5:
            if (held[some] && state_of(pool, some) != UCI_BUFFER_LEASED) {
                uci_pool_recycle(pool, some);
                ended = held[some];
                held[some] = 0;
            }
            break;
        default:
            clock_ns += seed >> 32 & 0xff;
            uci_pool_expire(pool);
            if (ended)
                assert_int_equal(uc_pool_release(pool, ended), -ESTALE);
        }
        assert_true(adds_up(pool));
    }
    assert_int_equal(pool->count, MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_came_back_last_is_taken_first),
        TEST(a_buffer_goes_round_free_in_flight_completed_free),
        TEST(a_payload_that_waited_can_be_told_anew),
        TEST(a_buffer_can_come_back_without_data),
        TEST(a_kept_buffer_is_not_recycled),
        TEST(a_record_does_not_recycle_a_later_life_of_its_buffer),
        TEST(keeping_twice_is_refused_and_changes_nothing),
        TEST(keeping_a_payload_that_was_taken_back_is_refused),
        TEST(what_the_kernel_has_cannot_be_kept_or_released),
        TEST(a_record_that_was_not_kept_cannot_be_released),
        TEST(released_twice_is_refused_and_changes_nothing),
        TEST(a_foreign_lease_is_refused_and_changes_nothing),
        TEST(what_names_no_buffer_is_refused),
        TEST(a_released_lease_rests_for_the_quarantine),
        TEST(quarantine_ends_in_the_order_of_release),
        TEST(without_quarantine_a_lease_is_free_at_once),
        TEST(an_endless_quarantine_does_not_wrap),
        TEST(a_lease_is_the_callers_to_write),
        TEST(the_pool_doubles_until_it_may_grow_no_more),
        TEST(what_has_rested_is_used_before_the_pool_grows),
        TEST(what_still_rests_is_not_used_even_when_all_is_gone),
        TEST(an_exhausted_pool_leaves_the_lease_untouched),
        TEST(no_sequence_of_changes_puts_a_buffer_in_two_hands),
    };

    return cmocka_run_group_tests_name("pool: life of a buffer", tests, NULL, NULL);
}
