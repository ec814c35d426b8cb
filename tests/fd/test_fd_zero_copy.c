/* The numbers of notices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fd/zero_copy.h"

static void numbers_rise_from_one(void **state)
{
    struct uci_zero_copy zero_copy = {0};

    (void)state;
    assert_true(uci_zero_copy_has_room(&zero_copy));
    for (uint64_t number = 1; number <= 5; number++)
        assert_int_equal(uci_zero_copy_expect(&zero_copy, 100 + number, true), number);
    assert_int_equal(zero_copy.outstanding, 5);
    assert_int_equal(uci_zero_copy_ended(&zero_copy), 0);
    uci_zero_copy_finish(&zero_copy);
}

static void only_what_is_waited_for_is_taken_and_once(void **state)
{
    struct uci_zero_copy zero_copy = {0};
    bool took = false;

    (void)state;
    assert_true(uci_zero_copy_has_room(&zero_copy));
    uci_zero_copy_expect(&zero_copy, 7, true);
    uci_zero_copy_expect(&zero_copy, 8, false);
    assert_false(uci_zero_copy_take(&zero_copy, 9, &took));
    assert_true(uci_zero_copy_take(&zero_copy, 7, &took));
    assert_true(took);
    assert_true(uci_zero_copy_take(&zero_copy, 8, &took));
    assert_false(took);
    assert_false(uci_zero_copy_take(&zero_copy, 7, &took));
    assert_int_equal(zero_copy.outstanding, 0);
    uci_zero_copy_finish(&zero_copy);
}

static void what_has_ended_is_up_to_the_oldest_that_is_waited_for(void **state)
{
    static const uint64_t order[] = {3, 1, 2, 5, 4}, ended[] = {0, 1, 3, 3, 5};
    struct uci_zero_copy zero_copy = {0};
    bool took;

    (void)state;
    assert_true(uci_zero_copy_has_room(&zero_copy));
    for (uint64_t number = 1; number <= 5; number++)
        uci_zero_copy_expect(&zero_copy, number, true);
    for (int i = 0; i < 5; i++) {
        assert_true(uci_zero_copy_take(&zero_copy, order[i], &took));
        assert_int_equal(uci_zero_copy_ended(&zero_copy), ended[i]);
    }
    uci_zero_copy_finish(&zero_copy);
}

static void a_walk_finds_all_that_are_waited_for(void **state)
{
    struct uci_zero_copy zero_copy = {0};
    uint64_t number = 0;
    bool took;

    (void)state;
    assert_int_equal(uci_zero_copy_walk(&zero_copy, &number), 0);
    assert_true(uci_zero_copy_has_room(&zero_copy));
    for (uint64_t user_data = 11; user_data <= 15; user_data++)
        uci_zero_copy_expect(&zero_copy, user_data, true);
    assert_true(uci_zero_copy_take(&zero_copy, 11, &took));
    assert_true(uci_zero_copy_take(&zero_copy, 13, &took));
    assert_int_equal(uci_zero_copy_walk(&zero_copy, &number), 12);
    assert_int_equal(uci_zero_copy_walk(&zero_copy, &number), 14);
    assert_int_equal(uci_zero_copy_walk(&zero_copy, &number), 15);
    assert_int_equal(uci_zero_copy_walk(&zero_copy, &number), 0);
    uci_zero_copy_finish(&zero_copy);
}

static void room_is_from_the_oldest_on_for_ever(void **state)
{
    struct uci_zero_copy zero_copy = {0};
    bool took;

    (void)state;
    for (uint64_t number = 1; number < 10 * UCI_NOTICES_MAX; number++) {
        assert_true(uci_zero_copy_has_room(&zero_copy));
        uci_zero_copy_expect(&zero_copy, number, true);
        if (number >= UCI_NOTICES_MAX) {
            assert_false(uci_zero_copy_has_room(&zero_copy));
            assert_true(uci_zero_copy_take(&zero_copy, number - UCI_NOTICES_MAX + 1, &took));
        }
    }
    assert_int_equal(zero_copy.outstanding, UCI_NOTICES_MAX - 1);
    uci_zero_copy_finish(&zero_copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_rise_from_one),
        cmocka_unit_test(only_what_is_waited_for_is_taken_and_once),
        cmocka_unit_test(what_has_ended_is_up_to_the_oldest_that_is_waited_for),
        cmocka_unit_test(a_walk_finds_all_that_are_waited_for),
        cmocka_unit_test(room_is_from_the_oldest_on_for_ever),
    };

    return cmocka_run_group_tests_name("zero copy", tests, NULL, NULL);
}
