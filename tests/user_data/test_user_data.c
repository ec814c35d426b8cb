#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <uc/user_data.h>
#include <cmocka.h>

#include "user_data/kind.h"

#define ROUNDS 1000000

/* xorshift64*: the same values in every run */
static uint64_t draw(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * 2685821657736338717u;
}

static void check_round_trip(uint32_t kind, uint32_t generation, uint32_t index)
{
    uint64_t packed = 0;

    assert_int_equal(uc_user_data_pack(kind, generation, index, &packed), 0);
    assert_int_equal(uc_user_data_kind(packed), kind);
    assert_int_equal(uc_user_data_generation(packed), generation);
    assert_int_equal(uc_user_data_index(packed), index);
    assert_true(packed != 0 && packed != UINT64_MAX);
    assert_true(packed == uci_user_data(kind, generation, index));
}

static void what_is_packed_comes_out_again(void **state)
{
    uint64_t seed = 0x9e3779b97f4a7c15u;

    for (int round = 0; round < ROUNDS; round++) {
        uint64_t a = draw(&seed), b = draw(&seed);

        check_round_trip((uint32_t)(a >> 32) % UC_USER_DATA_KIND_MAX + 1, (uint32_t)a,
                         (uint32_t)b & UC_USER_DATA_INDEX_MAX);
    }
}

static void the_corners_of_every_part_come_out_again(void **state)
{
    static const uint32_t kinds[] = {1, 2, 0x7f, 0x80, UC_USER_DATA_KIND_MAX};
    static const uint32_t generations[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffff, UINT32_MAX};
    static const uint32_t indexes[] = {0, 1, 0x7fffff, 0x800000, UC_USER_DATA_INDEX_MAX};

    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t g = 0; g < sizeof generations / sizeof *generations; g++)
            for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++)
                check_round_trip(kinds[k], generations[g], indexes[i]);
}

static void the_parts_stand_where_the_header_says(void **state)
{
    uint64_t packed = 0;

    assert_int_equal(uc_user_data_pack(0xab, 0x12345678, 0xcdef01, &packed), 0);
    assert_true(packed == 0xab12345678cdef01u);
}

static void any_64_bits_can_be_taken_apart(void **state)
{
    uint64_t seed = 88172645463325252u;

    for (int round = 0; round < ROUNDS; round++) {
        uint64_t any = draw(&seed);
        uint32_t kind = uc_user_data_kind(any), index = uc_user_data_index(any);

        assert_true(kind <= 0xff && index <= UC_USER_DATA_INDEX_MAX);
        assert_true(uci_user_data(kind, uc_user_data_generation(any), index) == any);
    }
}

static void a_part_out_of_range_is_refused_and_changes_nothing(void **state)
{
    static const uint32_t kinds[] = {0, 0xff, 0x100, 0x101, UINT32_MAX};
    static const uint32_t indexes[] = {0x1000000, 0x1000001, 0x80000000, UINT32_MAX};
    uint64_t packed = 77;

    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        assert_int_equal(uc_user_data_pack(kinds[k], 1, 1, &packed), -EINVAL);
    for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++)
        assert_int_equal(uc_user_data_pack(1, 1, indexes[i], &packed), -EINVAL);
    assert_int_equal(uc_user_data_pack(1, 1, 1, NULL), -EINVAL);
    assert_int_equal(packed, 77);
}

static void every_kind_in_use_is_in_range(void **state)
{
    for (uint32_t kind = UCI_KIND_RECV; kind <= UCI_KIND_WAKE; kind++)
        check_round_trip(kind, 1, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_comes_out_again),
        cmocka_unit_test(the_corners_of_every_part_come_out_again),
        cmocka_unit_test(the_parts_stand_where_the_header_says),
        cmocka_unit_test(any_64_bits_can_be_taken_apart),
        cmocka_unit_test(a_part_out_of_range_is_refused_and_changes_nothing),
        cmocka_unit_test(every_kind_in_use_is_in_range),
    };

    return cmocka_run_group_tests_name("user_data: codec", tests, NULL, NULL);
}
